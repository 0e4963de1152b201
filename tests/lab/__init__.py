"""The laboratory: what the demo, the tests and the benches stand on, with real programs.

A conversion server (`conversion_server`), a small real Debian disk to convert (`guest_disk`), a boot of what came
out (`boot`), and the demo that joins them to p2v-tui (`demo`). Nothing here is part of the product, and nothing
here knows how the product works inside: it is met through its command line only.
"""
