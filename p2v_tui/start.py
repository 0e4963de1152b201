"""Where the program starts: from the first moment on, a signal ends it with words and the documented exit code.

The front ends have handlers of their own as soon as they run; what holds before that, while modules are loaded, and
after it is here. It imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
from typing import Final

CANCELLED: Final = 6


def main() -> int:
    """Runs the program and returns its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What the caller ignores stays ignored: nohup means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    from p2v_tui import cli  # noqa: PLC0415

    return cli.main()


def _end(number: int, _frame: object) -> None:
    """At once: an exception in the middle of an import would come out as something else."""
    os.write(2, f"p2v-tui: Cancelled: ended by {signal.Signals(number).name}.\n".encode())
    os._exit(CANCELLED)
