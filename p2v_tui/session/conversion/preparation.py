"""All that comes before virt-v2v. It is repeated from the beginning whenever the control connection is lost in the
middle: that loses little, and a half-done attempt cannot be continued, so its rest on the server is removed first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from p2v_tui.errors import Cancelled, Detached, P2VError
from p2v_tui.session.conversion.stopping import remove
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.ssh.shell import RemoteShell
from p2v_tui.session.words.events import (
    CONTROL,
    ConnectionLost,
    ConnectionRestored,
    Status,
    StillLost,
    Warned,
)
from p2v_tui.session.words.watch import Watch

Begun = TypeVar("Begun")


class Preparation:
    """retry_for: for how many seconds a lost connection is retried; 0 for not at all."""

    def __init__(self, control: ControlConnection, watch: Watch, *, retry_for: float) -> None:
        self._control = control
        self._watch = watch
        self._report = watch.report
        self._retry_for = retry_for
        self._lost_at: float | None = None
        self._left: list[RemoteDirectory] = []

    def take_over(self, directory: RemoteDirectory) -> None:
        """Takes over the directory of an attempt that lost its connection."""
        self._left.append(directory)

    def whole(self, begin: Callable[[], Begun]) -> Begun:
        """Returns what `begin` returns. Calls it again after each ConnectionFailed, once the server can be reached.

        Raises what `begin` raises, after cleaning up the server if that can be reached.
        """

        def attempt() -> Begun:
            shell = self._control.shell(self._watch)
            if self._lost_at is not None:
                self._report(ConnectionRestored(CONTROL, time.monotonic() - self._lost_at))
                self._lost_at = None
            if self._left:
                self._tidy(shell)
                self._report(Status("virt-v2v had not started: the preparation begins anew"))
            return begin()

        try:
            return open_again(
                attempt,
                retry_for=self._retry_for,
                wait=self._watch.cancellation.wait,
                on_failure=self._report_failure,
                let_in_before=True,
                after_success=True,
                opened=lambda: self._control.opened,
            )
        except Detached as error:
            # Whoever ends us will not wait for a server that cannot be reached.
            self._watch.cancellation.again.cancel()
            self._tidy_once()
            raise Cancelled from error
        except P2VError:
            self._tidy_once()
            raise

    def _report_failure(self, error: P2VError) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self._report(ConnectionLost(CONTROL, error.message, self._retry_for))
        else:
            self._report(StillLost(CONTROL, error.message))

    def _tidy(self, shell: RemoteShell, *, cancellable: bool = True) -> None:
        while self._left:
            remove(shell, self._left[0], self._report, sudo=self._control.sudo, cancellable=cancellable)
            del self._left[0]

    def _tidy_once(self) -> None:
        """Tries once: the relay ends by itself, and the next start removes what it finds."""
        if not self._left:
            return
        try:
            self._tidy(self._control.shell(self._watch.again), cancellable=False)
        except P2VError as error:
            places = ", ".join(directory.path for directory in self._left)
            self._report(
                Warned(
                    f"What was prepared on the conversion server is still there: {error.message} The next start of "
                    f"p2v-tui on this machine removes it, or run there: rm -r {places}"
                )
            )
