"""What runs inside the image's root file system while it is built, by its own Python: no import from outside."""
