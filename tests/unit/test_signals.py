"""Signals while work runs in a thread: they end it in order, at any moment, again and again, and never dead-lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from p2v_tui.errors import Cancelled, ConnectionFailed, Detached, P2VError
from p2v_tui.front.jobs import Job
from p2v_tui.front.signals import CAUGHT, caught
from p2v_tui.session.words.cancellation import Cancellation


def run(work: Callable[[Cancellation], None], *, grace: float | None = None) -> P2VError | None:
    with caught() as signals:
        return signals.run(Job("work", work, grace=grace)).error


def signalled(number: int, *, times: int = 1) -> Callable[[Cancellation], None]:
    """Work that sends the signal to the process that it is part of, and waits to be told of it."""

    def work(cancellation: Cancellation) -> None:
        for _ in range(times):
            os.kill(os.getpid(), number)
        while True:
            cancellation.wait(1e-6)

    return work


def test_work_that_nobody_disturbs_comes_to_its_end() -> None:
    assert run(lambda _: None) is None


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, Cancelled), (signal.SIGTERM, Detached), (signal.SIGHUP, Detached)]
)
def test_a_signal_cancels_or_detaches(number: int, error: type[P2VError]) -> None:
    assert isinstance(run(signalled(number)), error)


def test_the_second_interrupt_reaches_the_cleanup() -> None:
    def work(cancellation: Cancellation) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while not cancellation.requested:
            pass
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            cancellation.again.wait(1e-6)

    assert isinstance(run(work), Cancelled)


def test_a_storm_of_signals_ends_the_work_every_time() -> None:
    for _ in range(100):
        assert isinstance(run(signalled(signal.SIGINT, times=20)), Cancelled)


def test_what_a_signal_did_to_a_tool_of_the_work_is_no_failure_of_its_own() -> None:
    def work(_: Cancellation) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise ConnectionFailed("ssh-keygen gives no reason.")

    assert isinstance(run(work, grace=60), Cancelled)
    assert isinstance(run(work), ConnectionFailed)


def test_a_signal_to_another_thread_is_handled() -> None:
    def work(cancellation: Cancellation) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        while True:
            cancellation.wait(1e-6)

    for _ in range(20):
        assert isinstance(run(work), Detached)


def test_a_signal_to_a_child_before_its_exec_is_ignored() -> None:
    """As ssh is for a moment: one ^C, which goes to it too, would be two."""

    def work(cancellation: Cancellation) -> None:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(0)
        os.waitpid(child, 0)
        # Whatever it has left in the pipes is read before this.
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            cancellation.wait(1e-6)

    for _ in range(20):
        assert isinstance(run(work), Detached)


def test_work_that_hangs_is_abandoned() -> None:
    released = threading.Event()

    def work(_: Cancellation) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        released.wait()

    assert isinstance(run(work, grace=0.01), Cancelled)
    assert not released.is_set()
    released.set()


def test_what_the_caller_ignores_stays_ignored_and_the_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in CAUGHT}
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run(lambda _: os.kill(os.getpid(), signal.SIGHUP)) is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert {number: signal.getsignal(number) for number in CAUGHT} == before


def test_children_of_the_work_start_without_blocked_signals() -> None:
    masks: list[str] = []

    def work(_: Cancellation) -> None:
        done = subprocess.run(
            [sys.executable, "-c", "print(open('/proc/self/status').read())"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        masks.extend(line.split()[1] for line in done.stdout.splitlines() if line.startswith("SigBlk"))

    assert run(work) is None
    assert [int(mask, 16) for mask in masks] == [0]
