"""Ends what runs of a conversion on the server, also when another process started it."""

from __future__ import annotations

from typing import Final

from p2v_tui.errors import PreflightRefused
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.shell import RemoteShell
from p2v_tui.session.words.events import LogDirectory, Status
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
    """Ends virt-v2v and the relay and removes secrets, whether they are there or not.

    told: somebody wants it so, and need not be told by a later start how the conversion ended.
    Raises PreflightRefused when virt-v2v does not end, ConnectionFailed; Cancelled where it is cancellable.
    """
    command = remote_commands.stop_wrapper(directory, sudo=sudo)
    stopped = shell.run(command, timeout=STOP_TIMEOUT, cancellable=cancellable)
    if stopped.status != 0:
        raise PreflightRefused(f"it does not end ({stopped.last_line}).")
    if told:
        shell.run(remote_commands.mark_told(directory), cancellable=cancellable)


def give_up(control: ControlConnection, saved: SavedConversion, watch: Watch) -> None:
    """Stops a conversion that another process of ours started, and does not ask what became of it.

    control: made with the workspace of that process, which is kept until virt-v2v is stopped.
    Raises ConnectionFailed, PreflightRefused or Cancelled; then it can be tried again.
    """
    control.workspace.keep = True
    report = watch.report
    report(Status("Opening the control connection"))
    shell = control.shell(watch)
    report(LogDirectory(saved.directory.path))
    report(Status("Stopping virt-v2v on the conversion server"))
    stop(shell, saved.directory, sudo=control.sudo, cancellable=True)
    control.workspace.keep = False
