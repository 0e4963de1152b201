"""Work in a thread: every end of it arrives once, as one kind of outcome, and a hang can be left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import queue
import threading
from collections.abc import Iterator

import pytest

from p2v_tui.errors import Cancelled, ConnectionFailed, InternalError, LocalFailure, P2VError, as_failure
from p2v_tui.front.jobs import AwaitedJob, Job, Jobs, Outcome
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Event, Report, Status

Outcomes = queue.SimpleQueue[Outcome[str]]
FULL = OSError(errno.ENOSPC, "No space left on device", "/tmp/p2v-tui-x")


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What a tool that hangs waits for; it is let go at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def raising(error: BaseException) -> str:
    raise error


def outcome_of(error: Exception) -> P2VError:
    outcomes: Outcomes = queue.SimpleQueue()
    Job("test", lambda _: raising(error), outcomes.put).start()
    failure = outcomes.get().error
    assert failure is not None
    return failure


def test_what_the_work_returns_arrives() -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    Job("test", lambda _: "done", outcomes.put).start()
    assert outcomes.get().get() == "done"


def test_a_failure_arrives_as_it_was_raised() -> None:
    refused = ConnectionFailed("refused", "try")
    assert outcome_of(refused) is refused


def test_a_full_disk_is_told_in_words_and_with_the_place() -> None:
    failure = outcome_of(FULL)
    assert isinstance(failure, LocalFailure)
    assert "no room left to write: /tmp/p2v-tui-x (No space left on device)" in failure.message
    assert "df -h" in failure.advice


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", b"/proc/x"), "/proc/x (Permission denied)"),
        (OSError("udev is not there"), "(udev is not there)"),
        (TimeoutError(), "(TimeoutError)"),
        (MemoryError(), "no memory left"),
    ],
)
def test_what_the_system_refuses_is_no_bug(error: Exception, words: str) -> None:
    failure = outcome_of(error)
    assert isinstance(failure, LocalFailure)
    assert words in failure.message


def test_a_bug_says_where_it_is_and_keeps_its_trace() -> None:
    failure = outcome_of(ValueError("bad"))
    assert isinstance(failure, InternalError)
    assert "ValueError: bad (test_jobs.py, line " in failure.message
    assert any("in raising" in line for line in failure.trace)


def test_a_failure_is_not_wrapped_twice() -> None:
    failure = as_failure(FULL)
    assert as_failure(failure) is failure


def test_work_that_checks_for_the_cancellation_ends_by_itself(released: threading.Event) -> None:
    outcomes: Outcomes = queue.SimpleQueue()

    def work(cancellation: Cancellation) -> str:
        while not released.wait(0.01):
            cancellation.check()
        return "released"

    job = Job("test", work, outcomes.put, grace=None).start()
    job.cancel()
    assert isinstance(outcomes.get().error, Cancelled)


def test_work_that_hangs_is_abandoned_when_it_is_cancelled_and_its_result_is_discarded(
    released: threading.Event,
) -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    late: queue.SimpleQueue[str] = queue.SimpleQueue()

    def work(_: Cancellation) -> str:
        released.wait()
        return "too late"

    job = Job("test", work, outcomes.put, discard=late.put).start()
    job.cancel()
    # The tool hangs still.
    assert isinstance(outcomes.get().error, Cancelled)
    assert not released.is_set()
    released.set()
    assert late.get() == "too late"
    assert outcomes.empty()


def test_a_job_that_must_be_waited_for_is_not_abandoned() -> None:
    outcomes: Outcomes = queue.SimpleQueue()
    begun = threading.Event()

    def work(_: Cancellation) -> str:
        begun.wait()
        return "tidied"

    job = Job("test", work, outcomes.put, grace=None).start()
    job.cancel()
    begun.set()
    assert outcomes.get().get() == "tidied"


# What a coroutine awaits.


async def test_events_of_the_work_come_in_order_and_before_its_result() -> None:
    heard: list[Event] = []

    def work(report: Report, _: Cancellation) -> str:
        for number in range(100):
            report(Status(str(number)))
        return "done"

    assert await Jobs().add(AwaitedJob("test", work, on_event=heard.append)) == "done"
    assert heard == [Status(str(number)) for number in range(100)]


async def test_what_awaited_work_raises_is_one_kind_of_error() -> None:
    with pytest.raises(InternalError, match="bad"):
        await Jobs().add(AwaitedJob("test", lambda *_: raising(ValueError("bad"))))


async def test_what_on_event_raises_is_raised_where_the_job_is_awaited(released: threading.Event) -> None:
    def work(report: Report, _: Cancellation) -> None:
        report(Status("text"))
        released.wait()

    def fail(event: Event) -> None:
        raise KeyError(event)

    with pytest.raises(KeyError):
        await Jobs().add(AwaitedJob("test", work, on_event=fail))


async def test_awaited_work_that_hangs_is_abandoned_when_it_is_cancelled(released: threading.Event) -> None:
    late: queue.SimpleQueue[str] = queue.SimpleQueue()
    heard: list[Event] = []

    def work(report: Report, _: Cancellation) -> str:
        released.wait()
        report(Status("nobody hears this"))
        return "too late"

    job = Jobs().add(AwaitedJob("test", work, on_event=heard.append, discard=late.put))
    job.cancel()
    with pytest.raises(Cancelled):
        await job
    assert not released.is_set()
    released.set()
    assert await asyncio.to_thread(late.get) == "too late"
    assert heard == []


async def test_a_coroutine_that_is_cancelled_cancels_its_work_and_discards_the_result() -> None:
    late: asyncio.Queue[str] = asyncio.Queue()
    begun = asyncio.Event()

    def work(report: Report, cancellation: Cancellation) -> str:
        report(Status("begun"))
        with contextlib.suppress(Cancelled):
            cancellation.wait(10)
            return "not cancelled"
        return "too late"

    async def wait_for(job: AwaitedJob[str]) -> None:
        await job

    loop = asyncio.get_running_loop()
    job = Jobs().add(
        AwaitedJob(
            "test",
            work,
            on_event=lambda _: begun.set(),
            discard=lambda text: loop.call_soon_threadsafe(late.put_nowait, text),
        )
    )
    task = asyncio.create_task(wait_for(job))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await late.get() == "too late"


async def test_a_result_that_nobody_wants_is_discarded_and_the_coroutine_is_cancelled(
    released: threading.Event,
) -> None:
    heard: list[Event] = []
    put_away: list[str] = []
    there = True

    def work(report: Report, _: Cancellation) -> str:
        released.wait()
        report(Status("late"))
        return "a server"

    job = AwaitedJob("test", work, on_event=heard.append, discard=put_away.append, wanted=lambda: there)
    there = False
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert (heard, put_away) == ([], ["a server"])


def test_the_end_of_the_loop_and_of_the_program_does_not_wait_for_what_hangs(released: threading.Event) -> None:
    jobs = Jobs()

    def hang(*_: object) -> str:
        released.wait()
        return ""

    async def start() -> AwaitedJob[str]:
        return jobs.add(AwaitedJob("test", hang))

    job = asyncio.run(start()).job
    jobs.close(0.01)
    assert not released.is_set()
    released.set()
    assert job.wait(10)
    assert not jobs.busy
