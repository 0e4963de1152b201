"""Every command that runs on the conversion server, and every path there, quoted in one place."""
