"""TCP ports of loopback: one that is free, and servers that misbehave."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A TCP port of loopback that is free at this moment."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port on loopback that accepts connections and never sends anything."""
    with socket.create_server((LOOPBACK, 0), backlog=64) as server:
        # The kernel completes the handshake without accept().
        yield server.getsockname()[1]


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port on loopback that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        yield taken.getsockname()[1]
