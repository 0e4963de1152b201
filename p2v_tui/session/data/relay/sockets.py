"""Sockets: waiting for them, the ends of tunnels, and the ports for clients."""

import contextlib
import errno
import os
import re
import select
import socket
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

CLOSED = "it was closed"
TCP_CONGESTION = 13  # socket knows it by name from Python 3.6 on, but not everywhere.


class Poller:
    """Calls back on the events of sockets. Call `forget` before a socket is closed."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: Dict[int, Tuple[int, Callable[[int], None]]] = {}

    def watch(self, watched: socket.socket, mask: int, callback: Callable[[int], None]) -> None:
        """mask: the events; 0: none, not even the end of the connection."""
        number = watched.fileno()
        if not mask:
            self.forget(watched)
        elif self._watched.get(number) != (mask, callback):
            self._watched[number] = (mask, callback)
            self._poll.register(number, mask)

    def forget(self, watched: socket.socket) -> None:
        number = watched.fileno()
        if self._watched.pop(number, None):
            self._poll.unregister(number)

    def wait(self, seconds: float) -> None:
        for number, events in self._poll.poll(int(seconds * 1000) + 1):
            entry = self._watched.get(number)
            if entry:
                entry[1](events)


class TunnelPort(NamedTuple):
    """A port in which a tunnel ends: what to send there, and what must come back before anything is trusted."""

    number: int
    question: bytes
    answer: bytes


def port_in(file: str) -> Optional[TunnelPort]:
    """What p2v-tui has stored for us; None if the tunnel ends in a socket. Raises OSError."""
    try:
        words = Path(file).read_bytes().split()
    except FileNotFoundError:
        return None
    if len(words) != 3 or not words[0].isdigit() or not 0 < int(words[0]) < 65536:
        raise OSError(errno.EINVAL, file + " is damaged")
    return TunnelPort(int(words[0]), words[1], words[2])


def connect(disk: int, generation: int) -> Tuple[socket.socket, Optional[TunnelPort]]:
    """Connect to the NBD server through the tunnel of this generation. Raises OSError."""
    place = f"disk{disk}.{generation}"
    port = port_in(place + ".port")
    made = socket.socket(socket.AF_INET if port else socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        if port:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(BlockingIOError):
                made.connect(("127.0.0.1", port.number))
        else:
            # A relative path, as a Unix socket's path may have only 107 bytes.
            made.connect(place + ".sock")
    except OSError:
        made.close()
        raise
    return made, port


class Tunnels:
    """The tunnels that end in the working directory for a disk."""

    def __init__(self, disk: int) -> None:
        self._pattern = re.compile(rf"disk{disk}\.([1-9][0-9]{{0,8}})\.(?:sock|port)")

    def there(self) -> List[int]:
        """Their generations."""
        names: List[str] = []
        # A directory that was removed has no tunnels.
        with contextlib.suppress(OSError):
            names = os.listdir(".")  # noqa: PTH208 - iterdir() makes a Path of each.
        matches = map(self._pattern.fullmatch, names)
        return [int(match.group(1)) for match in matches if match]


def reason_of(error: OSError) -> str:
    """The kernel's words for it, without file names."""
    return os.strerror(error.errno) if error.errno else "it failed"


def listen_on_loopback() -> List[socket.socket]:
    """Listen on a free port of 127.0.0.1, and on the same of ::1 so that nobody else can. Raises OSError."""
    for _ in range(64):
        made: List[socket.socket] = []
        try:
            made.append(listening(socket.AF_INET, "127.0.0.1", 0))
            with contextlib.suppress(NoSuchFamily):
                made.append(listening(socket.AF_INET6, "::1", made[0].getsockname()[1]))
        except OSError as error:
            for one in made:
                one.close()
            if not made or error.errno != errno.EADDRINUSE:
                raise
        else:
            return made
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


class NoSuchFamily(Exception):
    """This machine does not have this kind of address."""


def listening(family: int, address: str, port: int) -> socket.socket:
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise NoSuchFamily from error
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # With BBR, pacing on the loopback costs half of the relay's CPU time. Accepted sockets inherit this.
        with contextlib.suppress(OSError):
            made.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, b"reno")
        made.bind((address, port))
        made.listen(16)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise NoSuchFamily from error
        raise
    return made
