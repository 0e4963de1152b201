"""How the disks' bytes travel: NBD servers here, tunnels, and the relay on the conversion server."""
