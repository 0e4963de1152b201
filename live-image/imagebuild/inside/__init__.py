"""Runs inside the image's root file system during the build, with the image's Python; no imports from outside."""
