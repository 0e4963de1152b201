"""Work that signals end in order: it runs in a thread, and the main thread waits for its outcome and for signals.

A handler only writes the signal's number into a pipe that the main thread reads. What is set there, such as an Event,
could wait for a lock that the interrupted code holds. A signal that hits another thread does not wake the main one,
whose handlers they are: the interpreter does, by another pipe (`signal.set_wakeup_fd`). What comes out of that one
counts for nothing: a ^C goes to the whole process group, and a child that has not become another program yet, such as
ssh, writes into it too. The signals are not blocked and taken by sigwait(3): every child would be born with them
blocked.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from p2v_tui.front.jobs import Job, Outcome
from p2v_tui.session.words.cancellation import Cancellation

CAUGHT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Result = TypeVar("Result")


class Supervised(Job[Result]):
    """A job for the main thread to wait for. ^C cancels it, each time anew; TERM and HUP detach it."""

    def __init__(self, name: str, work: Callable[[Cancellation], Result], *, grace: float | None) -> None:
        super().__init__(name, work, self._came, grace=grace)
        self._outcome: Outcome[Result] | None = None
        self._end_read, self._end_write = os.pipe()

    def run_to_end(self) -> Outcome[Result]:
        """Starts the work, and returns what comes of it. Once only."""
        with _signals() as (signals, woken):
            self.start()
            ready: list[int] = []
            while self._end_read not in ready:
                ready, _, _ = select.select([signals, woken, self._end_read], [], [])
                if woken in ready:
                    os.read(woken, 4096)
                for number in os.read(signals, 4096) if signals in ready else b"":
                    if number == signal.SIGINT:
                        self.cancel()
                    elif number in CAUGHT:
                        self.detach()
        os.close(self._end_read)
        os.close(self._end_write)
        assert self._outcome is not None
        return self.as_cancelled(self._outcome)

    def _came(self, outcome: Outcome[Result]) -> None:
        self._outcome = outcome
        os.write(self._end_write, b"\0")


@contextlib.contextmanager
def _signals() -> Iterator[tuple[int, int]]:
    """While it lasts, the numbers of the signals that come can be read from the first descriptor.

    The second one can be read when that may be so.
    """
    reading, writing = os.pipe()
    woken, wake = os.pipe()
    for end in (writing, wake):
        os.set_blocking(end, False)
    process = os.getpid()

    def note(number: int, _: object) -> None:
        if os.getpid() == process:
            with contextlib.suppress(BlockingIOError):
                os.write(writing, bytes([number]))

    # What the caller ignores stays ignored: nohup means it.
    caught = [number for number in CAUGHT if signal.getsignal(number) is not signal.SIG_IGN]
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, note) for number in caught}
    try:
        yield reading, woken
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        for end in (reading, writing, woken, wake):
            os.close(end)
