"""The frozen values that the thread of a data connection receives and publishes. Nothing else is shared with it."""

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

    directory: where tunnels end; None without a relay that could take over a new one. retry_for: for how many seconds
    a lost tunnel is retried. logins: limits the logins at once, as sshd's MaxStartups refuses a crowd. notify: called
    on outages, from the connection's thread.
    """

    disk: Disk
    number: int
    program: str
    login: Login
    workspace: Workspace
    directory: RemoteDirectory | None
    retry_for: float
    logins: threading.Semaphore
    notify: Callable[[Event], None]
    generation: int = 1

    @property
    def connection(self) -> Connection:
        return Connection(self.disk.name)


@dataclass(frozen=True)
class Observe:
    """What the relay says. It may cause a new tunnel to replace the present one."""

    observation: Observation


@dataclass(frozen=True)
class Admit:
    """Serve the disk to these clients. last: and to no others, ever."""

    clients: frozenset[socket.socket]
    last: bool


Command: TypeAlias = Observe | Admit


@dataclass(frozen=True)
class ConnectionState:
    """lost: the tunnel was lost and is not open again yet. reopened: how many lost tunnels were replaced.

    port: on the server's loopback, chosen there; None with a relay, which has its own ports. waiting: clients of that
    port that are not admitted yet.
    bytes_served: by the NBD server. hangs: the tunnel does not answer because the NBD server hangs on its disk.
    read_error: what the NBD server said of a failed read. observed: the last observation that was handled. error: why
    the connection ended, unless it was closed.
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
        """How often it was lost and reopened so far; None while it is lost."""
        return None if self.lost else self.reopened
