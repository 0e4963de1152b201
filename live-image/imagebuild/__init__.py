"""Builds the live image from Debian packages. Standard library only; `live-image/build.py` is the command.

`image.py` is the order of the steps: start there.
"""
