"""The way of the disks' bytes: NBD servers here, tunnels, and the relay that runs on the conversion server."""
