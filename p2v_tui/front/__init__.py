"""What every front end shares, without Textual."""
