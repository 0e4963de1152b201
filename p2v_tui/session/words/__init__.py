"""What every room says: events, checks, quantities, cancellation, and text that is safe for a terminal."""
