"""Work in a thread of its own: whatever it raises arrives as one kind of outcome, and leaving it takes a second.

A tool that hangs (lspci, ssh, a mount) can't be interrupted from outside. So the one who waits is told that the work
was cancelled, a moment after having asked for it; the thread ends when its tool does, and what it brings then is put
away. Nothing here knows a screen or a console.
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

# How long work has to end in order once it is cancelled, in seconds; then it is left to itself.
GRACE: Final = 0.8

Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What came of the work: error is None where it succeeded, and result is what it returned."""

    result: Result | None
    error: P2VError | None

    def get(self) -> Result:
        """The result of work that returns one. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]


class Job(Generic[Result]):
    """Works from `start` on. ended: called once with the outcome, from another thread, before anybody hears of it.

    put_away: takes the result that came too late. grace: how long the work has to end in order once it is cancelled,
    in seconds; None where it is waited for, however long it tidies up.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Cancellation], Result],
        ended: Callable[[Outcome[Result]], object] = lambda _: None,
        *,
        put_away: Callable[[Result], object] = lambda _: None,
        grace: float | None = GRACE,
    ) -> None:
        self.cancellation = Cancellation()
        self.grace = grace
        self._work = work
        self._ended = ended
        self._put_away = put_away
        self._lock = threading.Lock()
        self._outcome: Outcome[Result] | None = None
        self._told = False
        self._waiting: list[Callable[[], object]] = []
        # A daemon where it is not waited for: work that hangs must not hold up the end of the program.
        self._thread = threading.Thread(target=self._run, name=name, daemon=grace is not None)

    def start(self) -> Self:
        self._thread.start()
        return self

    @property
    def over(self) -> bool:
        """Whether the outcome has been given away."""
        return self._told

    @property
    def outcome(self) -> Outcome[Result]:
        """Once it is over."""
        assert self._outcome is not None
        return self.as_cancelled(self._outcome)

    def when_over(self, tell: Callable[[], object]) -> None:
        """Calls `tell` once, from another thread when the outcome has been given away, at once where it has been."""
        with self._lock:
            if not self._told:
                self._waiting.append(tell)
                return
        tell()

    def cancel(self) -> None:
        """Asks for the end; the outcome comes within the grace, whatever the work hangs on."""
        self.cancellation.cancel()
        self._leave_later()

    def stop_waiting(self) -> None:
        """After `cancel`: the tidying up does not wait for a server that cannot be reached."""
        if self.cancellation.requested:
            self.cancellation.cancel()

    def detach(self) -> None:
        """As `cancel`; what runs on the conversion server need not end."""
        self.cancellation.detach()
        self._leave_later()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for the thread; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def as_cancelled(self, outcome: Outcome[Result]) -> Outcome[Result]:
        """An error after a cancellation is that cancellation's doing: ^C also ends the tools that the work runs."""
        if outcome.error is not None and self.cancellation.requested and self.grace is not None:
            return Outcome(None, Cancelled())
        return outcome

    def _leave_later(self) -> None:
        if self.grace is None or self._outcome is not None:
            return
        timer = threading.Timer(self.grace, self._end, [Outcome(None, Cancelled())])
        timer.daemon = True
        timer.start()

    def _run(self) -> None:
        try:
            outcome = Outcome(self._work(self.cancellation), None)
        except BaseException as error:
            # Nothing may keep the one who waits from hearing of the end.
            outcome = self.as_cancelled(Outcome(None, as_failure(error)))
        if not self._end(outcome) and outcome.result is not None:
            self._put_away(outcome.result)

    def _end(self, outcome: Outcome[Result]) -> bool:
        """Whether this is the outcome that counts."""
        with self._lock:
            if self._outcome is not None:
                return False
            self._outcome = outcome
        try:
            self._ended(outcome)
        finally:
            # Whoever waits hears of it in any case.
            with self._lock:
                self._told = True
            for tell in self._waiting:
                tell()
        return True


class AwaitedJob(Generic[Result]):
    """A job that a coroutine awaits: what the work returns, or the P2VError that it ended with.

    heard: called in the loop with what the work reports, in order and before the outcome; what it raises is raised
    where the job is awaited. A coroutine that is cancelled, as Textual does when its screen goes, cancels the job.

    wanted: whether anybody is still there to be told. Where not, nothing is heard any more, what the work returned is
    put away, and the coroutine is cancelled: Textual itself does that only when the screen's fields are gone already.
    """

    # Not asyncio.to_thread(): its threads are waited for when the loop ends and again when the interpreter does, so
    # that a tool that hangs would keep the program from ending; and nobody can leave it before.

    def __init__(
        self,
        name: str,
        work: Callable[[Report, Cancellation], Result],
        *,
        heard: Callable[[Event], object] = lambda _: None,
        put_away: Callable[[Result], object] = lambda _: None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._heard = heard
        self._wanted = wanted
        self._put_away = put_away
        self._loop = asyncio.get_running_loop()
        # Textual finds its application there.
        self._context = contextvars.copy_context()
        self._outcome: asyncio.Future[Outcome[Result]] = self._loop.create_future()
        self.job = Job(name, lambda cancel: work(self._report, cancel), self._ended, put_away=put_away).start()

    def cancel(self) -> None:
        """See `Job`: then what is awaited raises Cancelled, unless the work ends otherwise before."""
        self.job.cancel()

    def __await__(self) -> Generator[Any, None, Result]:
        try:
            outcome = yield from self._outcome
        except asyncio.CancelledError:
            self.cancel()
            if not self._outcome.cancelled():
                # It came, but the coroutine has not had it.
                self._discard(self._outcome.result())
            raise
        if not self._wanted():
            self._discard(outcome)
            raise asyncio.CancelledError
        return outcome.get()

    def _report(self, event: Event) -> None:
        """Called from the job's thread."""
        # When the loop is over, so are the screens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._hear, event, context=self._context)

    def _hear(self, event: Event) -> None:
        # What comes after the operator has left it is of no interest.
        if self._outcome.done() or self.job.cancellation.requested or not self._wanted():
            return
        try:
            self._heard(event)
        except Exception as error:
            self._outcome.set_exception(error)

    def _ended(self, outcome: Outcome[Result]) -> None:
        """Called from the job's thread, or from that of its grace."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, outcome)
        except RuntimeError:
            self._discard(outcome)

    def _deliver(self, outcome: Outcome[Result]) -> None:
        if self._outcome.done():
            self._discard(outcome)
        else:
            self._outcome.set_result(outcome)

    def _discard(self, outcome: Outcome[Result]) -> None:
        if outcome.result is not None:
            self._put_away(outcome.result)


class Jobs:
    """The jobs of the screens, so that the end of the program can give them a moment to tidy up."""

    def __init__(self) -> None:
        self._jobs: list[Job[Any]] = []

    def add(self, awaited: AwaitedJob[Result]) -> AwaitedJob[Result]:
        """The same job, now one of these."""
        self._jobs = [*(each for each in self._jobs if not each.wait(0)), awaited.job]
        return awaited

    @property
    def busy(self) -> bool:
        """Whether there is an outcome to come."""
        return not all(job.over for job in self._jobs)

    def close(self, seconds: float = GRACE) -> None:
        """Cancels what still works, and waits that long in all for it to end."""
        deadline = time.monotonic() + seconds
        for job in self._jobs:
            job.cancel()
        for job in self._jobs:
            job.wait(max(0.0, deadline - time.monotonic()))
