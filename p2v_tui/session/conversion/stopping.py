"""Ends a conversion's processes on the server, also if another process started it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from p2v_tui.errors import ConnectionFailed, Detached, P2VError, PreflightRefused, Retry
from p2v_tui.session.conversion.life import Effort, ServerAction
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.ssh.shell import RemoteShell
from p2v_tui.session.words.events import (
    CONTROL,
    ConnectionLost,
    LogDirectory,
    LogDirectoryRemoved,
    Report,
    Status,
    Warned,
)
from p2v_tui.session.words.quantities import duration_text
from p2v_tui.session.words.watch import Watch

STOP_TIMEOUT: Final = remote_commands.STOP_SECONDS + 30.0


def stop(
    shell: RemoteShell,
    directory: RemoteDirectory,
    *,
    sudo: bool,
    cancellable: bool = False,
    told: bool = True,
) -> None:
    """Ends virt-v2v and the relay and removes the secrets, if any.

    told: somebody knows about this end, so a later start need not report it. Raises PreflightRefused if virt-v2v does
    not end, ConnectionFailed; Cancelled if cancellable.
    """
    command = remote_commands.stop_wrapper(directory, sudo=sudo)
    stopped = shell.run(command, timeout=STOP_TIMEOUT, cancellable=cancellable)
    if stopped.status != 0:
        raise PreflightRefused(f"it does not end ({stopped.last_line}).")
    if told:
        shell.run(remote_commands.mark_told(directory), cancellable=cancellable)


def remove(shell: RemoteShell, directory: RemoteDirectory, report: Report, *, sudo: bool, cancellable: bool) -> None:
    """Like `stop`, and then removes the directory, whose log nobody would read. Raises as `stop` does."""
    stop(shell, directory, sudo=sudo, cancellable=cancellable)
    shell.run(remote_commands.remove_directory(directory), cancellable=cancellable)
    report(LogDirectoryRemoved())


def give_up(control: ControlConnection, saved: SavedConversion, watch: Watch) -> None:
    """Stops a conversion that another process of ours started, in whatever state it is.

    control: made with the workspace of that process, which keeps the record until virt-v2v is stopped.
    Raises ConnectionFailed, PreflightRefused or Cancelled, and may then be called again.
    """
    watch.report(Status("Opening the control connection"))
    shell = control.shell(watch)
    watch.report(LogDirectory(saved.directory.path))
    watch.report(Status("Stopping virt-v2v on the conversion server"))
    stop(shell, saved.directory, sudo=control.sudo, cancellable=True)
    control.workspace.forget()


@dataclass(frozen=True)
class ServerTidying:
    """Cleans up the server at the end of a conversion (`life.Tidying`).

    retry_for: for how many seconds a server that cannot be reached is retried, and virt-v2v would wait for us.
    leave_to: takes over the directory of an attempt that lost its connection before virt-v2v ran.
    """

    control: ControlConnection
    directory: RemoteDirectory
    watch: Watch
    retry_for: int
    leave_to: Callable[[RemoteDirectory], None] | None = None

    def end(self, what: ServerAction, effort: Effort) -> None:
        """Acts as soon as the server can be reached. A second cancellation ends that wait; if it came before this
        call, only what is possible at once is done.
        """
        report, again = self.watch.report, self.watch.again.cancellation
        if effort is Effort.AT_ONCE:
            again.cancel()
        doing = "Stopping virt-v2v" if what is ServerAction.STOP else "Tidying up"
        report(Status(f"{doing} on the conversion server"))
        try:
            try:
                self._end_now(what, cancellable=not again.requested)
            except ConnectionFailed as error:
                if effort is not Effort.WAIT or error.retry is Retry.NEVER:
                    raise
                report(ConnectionLost(CONTROL, error.message, self.retry_for))
                open_again(
                    functools.partial(self._end_now, what, cancellable=True),
                    retry_for=self.retry_for,
                    wait=again.wait,
                    on_failure=lambda failure: report(Status(f"Could not stop it yet: {failure.message}")),
                    let_in_before=True,
                    opened=lambda: self.control.opened,
                )
        except P2VError as error:
            report(
                Warned(
                    f"virt-v2v could not be stopped: {error.message} It may still run on the conversion server. "
                    f"Run there: kill -TERM -- -$(cat {self.directory.pid}), and remove {self.directory.path}"
                )
            )

    def _end_now(self, what: ServerAction, *, cancellable: bool) -> None:
        shell = self.control.shell(self.watch.again)
        if what is ServerAction.REMOVE:
            remove(shell, self.directory, self.watch.report, sudo=self.control.sudo, cancellable=cancellable)
        else:
            stop(shell, self.directory, sudo=self.control.sudo, cancellable=cancellable)

    def hand_over(self) -> None:
        if self.leave_to is not None:
            self.leave_to(self.directory)

    def forget(self) -> None:
        self.control.workspace.forget()

    def left_waiting(self) -> Detached:
        return Detached(
            "p2v-tui was told to end while the conversion runs.",
            f"virt-v2v waits on the conversion server for {duration_text(self.retry_for)}. Start p2v-tui again on "
            "this machine: it continues where this one ended.",
        )
