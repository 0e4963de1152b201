"""The checks before a conversion starts: the server is surveyed, its answers become facts, pure checks judge them."""
