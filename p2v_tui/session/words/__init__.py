"""What every room uses to talk: events, checks, quantities, cancellation, and text that is safe for a terminal."""
