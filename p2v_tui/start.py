"""Where the program starts: from the first moment on, a signal ends it with words and the documented exit code.

The front ends have handlers of their own as soon as they run; what holds before that, while modules are loaded, and
after it is here. It imports nothing that takes time.
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
        # What the caller ignores stays ignored: nohup means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from p2v_tui import cli  # noqa: PLC0415

    return cli.main()


def _open_what_is_closed() -> None:
    """A standard stream that the caller closed takes and gives nothing, and no file of ours gets its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number is the one that is missing.
            opened = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(opened, True)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _end(number: int, _frame: object) -> None:
    """At once: an exception in the middle of an import would come out as something else."""
    os.write(2, f"p2v-tui: Cancelled: ended by {signal.Signals(number).name}.\n".encode())
    os._exit(CANCELLED)
