"""Where the program starts: from the first moment on, a signal ends it with a message and the documented exit code.
The front ends install their own handlers; those here hold before that, while modules are loaded, and afterwards. It
imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

CANCELLED: Final = 6


def main() -> int:
    """Runs the program and returns its exit code."""
    _open_what_is_closed()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What the caller ignores stays ignored, for nohup.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from p2v_tui import cli  # noqa: PLC0415

    return cli.main()


def _open_what_is_closed() -> None:
    """Opens /dev/null for each standard stream that the caller closed, so that no other file gets its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            # open() returns the lowest free number: the missing one.
            opened = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(opened, True)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _end(number: int, _frame: object) -> None:
    """Exits at once: an exception in the middle of an import would turn into another one."""
    os.write(2, f"p2v-tui: Cancelled: ended by {signal.Signals(number).name}.\n".encode())
    os._exit(CANCELLED)
