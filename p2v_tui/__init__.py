"""p2v-tui: convert a physical machine to a virtual one, from a text console."""

__version__ = "0.1.0"
