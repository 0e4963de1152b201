"""Makes the data connections of one conversion: what they all share is given once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data.connection import DataConnection
from p2v_tui.session.data.connection_state import ConnectionSettings
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.login import Login
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.events import Event

# sshd drops logins at random from ten on that are not complete (sshd_config(5), MaxStartups).
LOGINS_AT_ONCE: Final = 4


@dataclass(frozen=True)
class ConnectionMaker:
    """program: the NBD server's. retry_for: for how many seconds a lost tunnel is tried again.

    logins: how many may log in at once.
    """

    program: str
    login: Login
    workspace: Workspace
    retry_for: float
    logins: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(LOGINS_AT_ONCE))

    def __call__(
        self,
        disk: Disk,
        number: int,
        *,
        directory: RemoteDirectory | None,
        tell: Callable[[Event], None],
        generation: int,
    ) -> DataConnection:
        """One that is not open yet. directory: where a relay waits for it, if one does. tell: told of outages, from
        the connection's thread. generation: of its first tunnel.
        """
        return DataConnection(
            ConnectionSettings(
                disk=disk,
                number=number,
                program=self.program,
                login=self.login,
                workspace=self.workspace,
                directory=directory,
                retry_for=self.retry_for,
                logins=self.logins,
                tell=tell,
                generation=generation,
            )
        )
