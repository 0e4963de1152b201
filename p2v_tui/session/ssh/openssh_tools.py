"""Runs the small programs that come with OpenSSH's client (ssh-keygen), with a time limit."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from p2v_tui.errors import ConnectionFailed, PreflightRefused


def run_tool(command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """The ended program with its output as text. timeout: seconds.

    Raises PreflightRefused when it is not installed, ConnectionFailed when it does not end.
    """
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise PreflightRefused(
            f"{command[0]} is not installed on this machine.", "Install the OpenSSH client (openssh-client)."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConnectionFailed(
            f"{command[0]} did not end in {timeout:.0f} seconds.", "Check this machine's network and DNS."
        ) from error
