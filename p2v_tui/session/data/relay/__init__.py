"""The NBD relay: holds virt-v2v's connection to each disk for life, while the tunnels under it come and go.

It runs on the conversion server, alone and as the login user, with whatever Python is there: 3.6 or newer, standard
library only. `relay_program.py` packs this package into a zipapp, which p2v-tui uploads. Of all this p2v-tui itself
imports only `states`; the modules import each other by relative names, as the package is called `relay` there.

    python3 -I nbd_relay.pyz DIRECTORY DISKS SECONDS [--many-clients]

DIRECTORY: the remote directory (0700). The tunnel of disk N (from 0) ends there, in disk{N}.{generation}.sock; the
    generation counts up from 1 with each new tunnel. The highest one that answers is used. When a higher one answers
    while the one in use still works, the relay moves over: it lets the old one answer what it was asked.
DISKS: how many disks.
SECONDS: a disk without a working tunnel for so long is given up, so that virt-v2v fails instead of waiting for ever.
--many-clients: for a virt-v2v that makes several connections to a disk; otherwise the first one is the only one.

What passes is read-only, and simple replies only: the relay refuses structured replies in the handshake. It remembers
each request until the whole reply has been passed on, and asks again on the next tunnel. Reading is idempotent, so
that is safe; a reply that was cut off in the middle goes on where it was cut.

It says what happens on standard error, a line for each event, and nothing on standard output; `report` documents what
it writes into relay.status. SIGTERM ends it, and what was not done is given up; SIGUSR1 ends it because virt-v2v has
ended, and all is done; SIGHUP does nothing. Exit code: 0 when every disk is done or one of the two signals came, 1
when a disk was given up, 2 when it cannot start.

    limits                     every time and every bound
    states                     the states, and what leads from one to the next
    nbd, handshake,            the protocol: bytes in, bytes out
        transmission, reads
    links, session, disk       the decisions: bytes, tunnels up and down, and ticks in; bytes and actions out
    loop, client, data,        the sockets, thin
        sockets, peer
    report, program            the status, the command line, signals

What decides knows no socket and no clock, so it is tested without processes.
"""
