"""Runs the small programs that come with OpenSSH's client (ssh-keygen), with a time limit."""

from __future__ import annotations

from collections.abc import Sequence
from subprocess import CompletedProcess

from p2v_tui.errors import ConnectionFailed, PreflightRefused
from p2v_tui.programs import complete


def run_tool(command: Sequence[str], timeout: float) -> CompletedProcess[str]:
    """Runs the program to its end. timeout: seconds.

    Raises PreflightRefused when it is not installed, ConnectionFailed when it does not end.
    """
    try:
        done = complete(command, seconds=timeout)
    except FileNotFoundError as error:
        raise PreflightRefused(
            f"{command[0]} is not installed on this machine.", "Install the OpenSSH client (openssh-client)."
        ) from error
    if done is None:
        raise ConnectionFailed(
            f"{command[0]} did not end in {timeout:.0f} seconds.", "Check this machine's network and DNS."
        )
    output, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return CompletedProcess(done.args, done.returncode, output, errors)
