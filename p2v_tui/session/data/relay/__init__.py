"""The NBD relay: keeps virt-v2v's connection to each disk open while the tunnels under it come and go.

It runs on the conversion server, alone and as the login user, with any Python from 3.6 on, and needs only the
standard library. `relay_program.py` packs this package into a zipapp, which p2v-tui uploads. p2v-tui itself imports
only `states`; the modules import each other by relative names, as the package is called `relay` there.

    python3 -I nbd_relay.pyz DIRECTORY DISKS SECONDS [--many-clients]

DIRECTORY: the remote directory (0700). The tunnel of disk N (from 0) ends there, in disk{N}.{generation}.sock; the
    generation counts up from 1 with each new tunnel. The highest one that answers is used. When a higher one answers
    while the one in use still works, the relay moves over, but first lets the old one answer its open requests.
DISKS: how many disks.
SECONDS: after so long without a working tunnel a disk is given up: virt-v2v fails instead of waiting for ever.
--many-clients: for a virt-v2v that makes several connections to a disk; otherwise only the first one is served.

Only reads and simple replies pass: the relay refuses structured replies in the handshake. It remembers each request
until the whole reply has been passed on, and otherwise repeats it on the next tunnel. That is safe, as reads are
idempotent; a reply that was cut off continues at that byte.

It logs to standard error, a line for each event, and writes nothing to standard output; `report` documents
relay.status. SIGTERM ends it, and unfinished disks count as given up; SIGUSR1 says that virt-v2v has ended, and all
disks count as done; SIGHUP does nothing. Exit code: 0 when every disk is done or one of the two signals came, 1 when
a disk was given up, 2 when it cannot start.

    limits                     every time and every bound
    states                     the states, and what leads from one to the next
    nbd, handshake,            the protocol: bytes in, bytes out
        transmission, reads
    links, session, disk       the decisions: bytes, tunnels up and down, and ticks in; bytes and actions out
    loop, client, data,        the sockets, thin
        sockets, peer
    report, program            the status, the command line, signals

The decisions use no sockets and no clock, so they are tested without processes.
"""
