"""Errors that end a client, a connection through a tunnel, or the relay of a disk."""

from .states import Cause


class ClientFault(Exception):
    """The client cannot be served any longer. The text says why."""


class TunnelLost(Exception):
    """The connection through the tunnel ended. The text says how."""


class TunnelFault(TunnelLost):
    """What came through the tunnel is not valid NBD from a server."""


class Unrecoverable(Exception):
    """The disk has to be given up. The text says why; cause: what is missing."""

    def __init__(self, reason: str, cause: Cause = Cause.NONE) -> None:
        super().__init__(reason)
        self.cause = cause


def another_disk() -> Unrecoverable:
    return Unrecoverable("another disk answers through the tunnel", Cause.DISK)
