"""What ends a client, a connection through a tunnel, or the relay of a disk."""

from .states import Cause


class ClientFault(Exception):
    """The client cannot be served any longer: why."""


class TunnelLost(Exception):
    """The connection through the tunnel ended: how."""


class TunnelFault(TunnelLost):
    """What came through the tunnel is not what an NBD server says."""


class Unrecoverable(Exception):
    """The disk has to be given up: why, and what it lacks."""

    def __init__(self, reason: str, cause: Cause = Cause.NONE) -> None:
        super().__init__(reason)
        self.cause = cause


def another_disk() -> Unrecoverable:
    return Unrecoverable("another disk answers through the tunnel", Cause.DISK)
