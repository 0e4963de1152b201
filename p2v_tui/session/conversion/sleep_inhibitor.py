"""Keeps the machine from going to sleep while its disks are read (systemd-inhibit)."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Final

# In seconds. A cancellation waits that long.
END_TIMEOUT: Final = 0.5


@contextlib.contextmanager
def no_sleep() -> Iterator[None]:
    """Inhibits suspend, idle action and lid switch until the context or this process ends.

    Without systemd-logind it does nothing, as nothing would put the machine to sleep either.
    """
    command = ["systemd-inhibit", "--what=sleep:idle:handle-lid-switch", "--who=p2v-tui", "--mode=block"]
    try:
        # cat ends when our end of its pipe is closed, however we end.
        process = subprocess.Popen(
            [*command, "--why=The machine is being converted", "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        yield
        return
    try:
        yield
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # It may have ended at once without D-Bus; or it waits for a D-Bus that does not answer.
    try:
        process.communicate(timeout=END_TIMEOUT)
    except BrokenPipeError:
        process.wait()
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
