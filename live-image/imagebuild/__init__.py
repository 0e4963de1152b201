"""Builds the live image from Debian packages. Standard library only; `live-image/build.py` is the command.

`image.py` has the order of the steps: start there.
"""
