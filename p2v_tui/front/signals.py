"""Work that signals end in order: it runs in a thread, and the main thread waits for its outcome and for signals.

Nothing is done in a handler. What is set there, such as an Event, could wait for a lock that the interrupted code
holds; and what the handler of one thread does need not wake another. The interpreter writes each signal's number
into a pipe (`signal.set_wakeup_fd`), whichever thread it hits, and the main thread reads that. The signals are not
blocked and taken by sigwait(3): every child would be born with them blocked.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from p2v_tui.front.jobs import Job, Outcome
from p2v_tui.session import Cancellation

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
        with _signals() as signals:
            self.start()
            ready: list[int] = []
            while self._end_read not in ready:
                ready, _, _ = select.select([signals, self._end_read], [], [])
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
def _signals() -> Iterator[int]:
    """While it lasts, the numbers of the signals that come can be read from this descriptor."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # What the caller ignores stays ignored: nohup means it.
    caught = [number for number in CAUGHT if signal.getsignal(number) is not signal.SIG_IGN]
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, lambda *_: None) for number in caught}
    try:
        yield reading
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)
