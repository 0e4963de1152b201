"""What the thread of a data connection is given, is told, and publishes: frozen values. Nothing else is shared."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from p2v_tui.errors import P2VError
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data.tunnel_policy import Observation
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.login import Login
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.events import Connection, Event


@dataclass(frozen=True)
class ConnectionSettings:
    """number: the disk's, from 0. program: the NBD server's. generation: of the first tunnel.

    directory: where tunnels end; None where no relay can take a new one over. retry_for: for how many seconds a lost
    tunnel is tried again. logins: so many at once; sshd's MaxStartups refuses a crowd. tell: told of outages, from
    the connection's thread.
    """

    disk: Disk
    number: int
    program: str
    login: Login
    workspace: Workspace
    directory: RemoteDirectory | None
    retry_for: float
    logins: threading.Semaphore
    tell: Callable[[Event], None]
    generation: int = 1

    @property
    def connection(self) -> Connection:
        return Connection(self.disk.name)


@dataclass(frozen=True)
class Observe:
    """What the relay says. Another tunnel is opened when that calls for one, and the present one left for it."""

    observation: Observation


@dataclass(frozen=True)
class Admit:
    """The disk is served to them. last: to nobody else, ever."""

    clients: frozenset[socket.socket]
    last: bool


Command: TypeAlias = Observe | Admit


@dataclass(frozen=True)
class ConnectionState:
    """lost: a tunnel that was open is missing. reopened: how many were opened in place of such a one.

    port: on the server's loopback, chosen there; None with a relay, which has ports of its own. waiting: who has come
    to it and was not admitted yet.
    bytes_served: by the NBD server. hangs: it did not answer either when the tunnel did not: it hangs on its disk.
    read_error: what it said of a read that failed. observed: what was looked at last of what the relay says.
    error: why the connection has ended, where nobody closed it.
    """

    lost: bool = False
    reopened: int = 0
    port: int | None = None
    waiting: frozenset[socket.socket] = frozenset()
    bytes_served: int = 0
    hangs: bool = False
    read_error: str | None = None
    observed: Observation | None = None
    error: P2VError | None = None

    @property
    def whole(self) -> int | None:
        """How often it was lost and opened again so far; None while it is lost."""
        return None if self.lost else self.reopened
