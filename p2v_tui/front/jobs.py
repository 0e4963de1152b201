"""Runs work in threads: whatever it raises becomes one kind of outcome, and cancelling takes less than a second.

A tool that hangs (lspci, ssh, a mount) can't be interrupted from outside. So the caller gets a cancelled outcome soon
after the cancellation. The thread ends when its tool does, and its late result is discarded. This module knows
neither screens nor consoles.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Generic, Self, TypeVar

from p2v_tui.errors import Cancelled, P2VError, as_failure
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Event, Report

# After a cancellation, work has so many seconds to end cleanly. Then it is abandoned.
GRACE: Final = 0.8

Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """How the work ended. error: None if it succeeded; result: what it returned then."""

    result: Result | None
    error: P2VError | None

    def get(self) -> Result:
        """Returns the result, or raises the error."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]


class Job(Generic[Result]):
    """Work in a thread. ended: called once with the outcome, from another thread, before anything else is notified.

    discard: called with a result that came too late. grace: how many seconds the work has to end cleanly after a
    cancellation; None: as long as its cleanup takes.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Cancellation], Result],
        ended: Callable[[Outcome[Result]], object] = lambda _: None,
        *,
        discard: Callable[[Result], object] = lambda _: None,
        grace: float | None = GRACE,
    ) -> None:
        self.cancellation = Cancellation()
        self.grace = grace
        self._work = work
        self._ended = ended
        self._discard_result = discard
        self._lock = threading.Lock()
        self._outcome: Outcome[Result] | None = None
        self._delivered = False
        self._callbacks: list[Callable[[], object]] = []
        # A daemon if nobody waits for it, because work that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=grace is not None)

    def start(self) -> Self:
        self._thread.start()
        return self

    @property
    def over(self) -> bool:
        """Whether the outcome has been delivered."""
        return self._delivered

    @property
    def outcome(self) -> Outcome[Result]:
        """The outcome. Only once the job is over."""
        assert self._outcome is not None
        return self.as_cancelled(self._outcome)

    def when_over(self, notify: Callable[[], object]) -> None:
        """Calls `notify` once: from another thread when the outcome is delivered, or at once if it was."""
        with self._lock:
            if not self._delivered:
                self._callbacks.append(notify)
                return
        notify()

    def cancel(self) -> None:
        """Requests the end; the outcome comes within the grace period, even if the work hangs."""
        self.cancellation.cancel()
        self._abandon_later()

    def stop_waiting(self) -> None:
        """After `cancel`: the cleanup no longer waits for a server that cannot be reached."""
        if self.cancellation.requested:
            self.cancellation.cancel()

    def detach(self) -> None:
        """Like `cancel`, but what runs on the conversion server need not end."""
        self.cancellation.detach()
        self._abandon_later()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for the thread. Returns whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def as_cancelled(self, outcome: Outcome[Result]) -> Outcome[Result]:
        """Turns an error after a cancellation into Cancelled, since ^C also ends the tools that the work runs."""
        if outcome.error is not None and self.cancellation.requested and self.grace is not None:
            return Outcome(None, Cancelled())
        return outcome

    def _abandon_later(self) -> None:
        if self.grace is None or self._outcome is not None:
            return
        timer = threading.Timer(self.grace, self._end, [Outcome(None, Cancelled())])
        timer.daemon = True
        timer.start()

    def _run(self) -> None:
        try:
            outcome = Outcome(self._work(self.cancellation), None)
        except BaseException as error:
            # Whatever happens, the outcome must be delivered.
            outcome = self.as_cancelled(Outcome(None, as_failure(error)))
        if not self._end(outcome) and outcome.result is not None:
            self._discard_result(outcome.result)

    def _end(self, outcome: Outcome[Result]) -> bool:
        """Returns whether this is the first outcome, which counts."""
        with self._lock:
            if self._outcome is not None:
                return False
            self._outcome = outcome
        try:
            self._ended(outcome)
        finally:
            # Whoever waits is notified in any case.
            with self._lock:
                self._delivered = True
            for notify in self._callbacks:
                notify()
        return True


class AwaitedJob(Generic[Result]):
    """A job that a coroutine awaits. Awaiting returns the work's result or raises its P2VError.

    on_event: called in the loop with each event that the work reports, in order and before the outcome; its
    exceptions are raised where the job is awaited. If the coroutine is cancelled, as Textual does when its screen is
    closed, so is the job.

    wanted: whether the result is still wanted. If not, events are dropped, the result is discarded and the coroutine
    is cancelled: Textual itself does that only after the screen's fields are gone.
    """

    # Not asyncio.to_thread(): the loop and the interpreter wait for its threads at the end, so that a tool that hangs
    # would keep the program from ending; and they cannot be abandoned.

    def __init__(
        self,
        name: str,
        work: Callable[[Report, Cancellation], Result],
        *,
        on_event: Callable[[Event], object] = lambda _: None,
        discard: Callable[[Result], object] = lambda _: None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._on_event = on_event
        self._wanted = wanted
        self._discard_result = discard
        self._loop = asyncio.get_running_loop()
        # Textual looks up the application in it.
        self._context = contextvars.copy_context()
        self._outcome: asyncio.Future[Outcome[Result]] = self._loop.create_future()
        self.job = Job(name, lambda cancel: work(self._report, cancel), self._ended, discard=discard).start()

    def cancel(self) -> None:
        """See `Job.cancel`. Awaiting then raises Cancelled, unless the work ends before."""
        self.job.cancel()

    def __await__(self) -> Generator[Any, None, Result]:
        try:
            outcome = yield from self._outcome
        except asyncio.CancelledError:
            self.cancel()
            if not self._outcome.cancelled():
                # The outcome came, but the coroutine did not get it.
                self._discard(self._outcome.result())
            raise
        if not self._wanted():
            self._discard(outcome)
            raise asyncio.CancelledError
        return outcome.get()

    def _report(self, event: Event) -> None:
        """Called from the job's thread."""
        # RuntimeError: the loop has ended, and with it the screens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver_event, event, context=self._context)

    def _deliver_event(self, event: Event) -> None:
        # Later events are of no interest.
        if self._outcome.done() or self.job.cancellation.requested or not self._wanted():
            return
        try:
            self._on_event(event)
        except Exception as error:
            self._outcome.set_exception(error)

    def _ended(self, outcome: Outcome[Result]) -> None:
        """Called from the job's thread or the timer's."""
        try:
            self._loop.call_soon_threadsafe(self._deliver_outcome, outcome)
        except RuntimeError:
            self._discard(outcome)

    def _deliver_outcome(self, outcome: Outcome[Result]) -> None:
        if self._outcome.done():
            self._discard(outcome)
        else:
            self._outcome.set_result(outcome)

    def _discard(self, outcome: Outcome[Result]) -> None:
        if outcome.result is not None:
            self._discard_result(outcome.result)


class Jobs:
    """The jobs of the screens, so that they get a moment to clean up when the program ends."""

    def __init__(self) -> None:
        self._jobs: list[Job[Any]] = []

    def add(self, awaited: AwaitedJob[Result]) -> AwaitedJob[Result]:
        """Adds the job and returns it."""
        self._jobs = [*(each for each in self._jobs if not each.wait(0)), awaited.job]
        return awaited

    @property
    def busy(self) -> bool:
        """Whether an outcome is still to come."""
        return not all(job.over for job in self._jobs)

    def close(self, seconds: float = GRACE) -> None:
        """Cancels the running jobs, and waits at most that long for all of them to end."""
        deadline = time.monotonic() + seconds
        for job in self._jobs:
            job.cancel()
        for job in self._jobs:
            job.wait(max(0.0, deadline - time.monotonic()))
