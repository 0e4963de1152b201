"""Makes the data connections of one conversion, from what they all share."""

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

# sshd drops new logins at random once ten are incomplete (sshd_config(5), MaxStartups).
LOGINS_AT_ONCE: Final = 4


@dataclass(frozen=True)
class ConnectionMaker:
    """program: the NBD server's. retry_for: for how many seconds a lost tunnel is retried.

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
        notify: Callable[[Event], None],
        generation: int,
    ) -> DataConnection:
        """Makes one that is not open yet. directory: where a relay waits for it, if any. notify: called on outages,
        from the connection's thread. generation: of its first tunnel.
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
                notify=notify,
                generation=generation,
            )
        )
