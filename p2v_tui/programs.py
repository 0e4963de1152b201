"""Runs a small external program to its end, with a time limit: the one way in which all of p2v-tui does."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from typing import Final

# A tool that reads a failing disk can hang for minutes in the kernel; what it would tell is not worth the wait.
TOOL_SECONDS: Final = 20.0


def complete(
    command: Sequence[str], *, stdin: bytes = b"", seconds: float = TOOL_SECONDS, merged: bool = False
) -> subprocess.CompletedProcess[bytes] | None:
    """A program that has ended, with its output; None where it takes too long.

    It speaks English. merged: what it writes to its standard error is in its output. Raises OSError where it cannot
    be started.
    """
    environment = {**os.environ, "LC_ALL": "C", "LVM_SUPPRESS_FD_WARNINGS": "1"}
    # pvs, blkid and ethtool live in sbin, which an ordinary user's PATH does not name.
    environment["PATH"] = os.pathsep.join([environment.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        env=environment,
    )
    try:
        output, errors = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        # A tool in an uninterruptible read of a failing disk does not even die: do not wait for that.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=1)
        return None
    except BaseException:
        process.kill()
        raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors or b"")
