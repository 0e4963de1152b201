"""Signals end work cleanly: it runs in a thread, and the main thread waits for its outcome and for signals.

A handler only writes the signal's number into a pipe that the main thread reads. Setting an Event there could wait
for a lock that the interrupted code holds. Handlers run in the main thread, but a signal to another thread does not
wake it; the interpreter does, by another pipe (`signal.set_wakeup_fd`). The bytes in that one are ignored: ^C goes to
the whole process group, so a child that has not called exec yet, such as ssh, also writes into it. The signals are
not blocked and received by sigwait(3), since children would inherit the blocked mask.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from typing import Final, TypeVar

from p2v_tui.front.jobs import Job, Outcome

CAUGHT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Result = TypeVar("Result")


class Signals:
    """Runs the main thread's jobs, one after the other, while signals are caught."""

    def __init__(self, numbers: int, woken: int) -> None:
        """File descriptors. numbers: to read signals' numbers from; woken: readable when a signal may have come."""
        self._numbers = numbers
        self._woken = woken

    def run(self, job: Job[Result]) -> Outcome[Result]:
        """Starts the job and returns its outcome. ^C cancels it, TERM and HUP detach it.

        A second ^C ends the wait for a server that cannot be reached.
        """
        over, end = os.pipe()
        job.when_over(lambda: os.write(end, b"\0"))
        job.start()
        ready: list[int] = []
        while over not in ready:
            ready, _, _ = select.select([self._numbers, self._woken, over], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
            for number in os.read(self._numbers, 4096) if self._numbers in ready else b"":
                if number == signal.SIGINT and job.cancellation.requested:
                    job.stop_waiting()
                elif number == signal.SIGINT:
                    job.cancel()
                elif number in CAUGHT:
                    job.detach()
        os.close(over)
        os.close(end)
        return job.outcome


@contextlib.contextmanager
def caught() -> Iterator[Signals]:
    """In this context signals only reach the jobs of the main thread."""
    reading, writing = os.pipe()
    woken, wake = os.pipe()
    for end in (writing, wake):
        os.set_blocking(end, False)
    process = os.getpid()

    def note(number: int, _: object) -> None:
        if os.getpid() == process:
            with contextlib.suppress(BlockingIOError):
                os.write(writing, bytes([number]))

    # Signals that were ignored when we started stay ignored, for nohup.
    caught_here = [number for number in CAUGHT if signal.getsignal(number) is not signal.SIG_IGN]
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, note) for number in caught_here}
    try:
        yield Signals(reading, woken)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        for end in (reading, writing, woken, wake):
            os.close(end)
