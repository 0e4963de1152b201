"""All that speaks to the conversion server, in rooms; each imports only those that stand before it in this list:

words: what every room says. remote: commands and paths on the server. ssh: OpenSSH. plan: what is to be converted.
data: the way of the disks' bytes. preflight: the checks before the start; it and data know nothing of each other.
conversion: one conversion from beginning to end. The `__init__` of a room imports nothing, so that a room is loaded
without its neighbours.
"""
