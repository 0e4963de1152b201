"""Runs a small external program to its end, with a time limit, for all of p2v-tui."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from typing import Final

# A tool that reads a failing disk can hang in the kernel for minutes; its result is not worth the wait.
TOOL_SECONDS: Final = 20.0


def complete(
    command: Sequence[str], *, stdin: bytes = b"", seconds: float = TOOL_SECONDS, merged: bool = False
) -> subprocess.CompletedProcess[bytes] | None:
    """Returns the ended program with its output; None if it takes too long. Its messages are in English. merged: its
    output includes standard error. Raises OSError if it cannot be started.
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
        # A tool in an uninterruptible read of a failing disk does not die: do not wait for that.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=1)
        return None
    except BaseException:
        process.kill()
        raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors or b"")
