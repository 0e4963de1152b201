"""An answer that nobody has to wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from p2v_tui.errors import Cancelled
from p2v_tui.hwprobe.answers import Answer
from p2v_tui.session.words.cancellation import Cancellation


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def fail() -> int:
    raise ValueError("no")


def test_what_the_function_returns_is_the_answer() -> None:
    assert Answer(lambda: 3).wait(lambda: None) == 3
    assert Answer(lambda: 3).by(time.monotonic() + 60) == 3


def test_what_the_function_raises_arrives_where_it_is_waited_for() -> None:
    with pytest.raises(ValueError, match="no"):
        Answer(fail).wait(lambda: None)
    assert Answer(fail).by(time.monotonic() + 60) is None


def test_a_cancellation_does_not_wait_for_an_answer_that_hangs(hang: threading.Event) -> None:
    cancellation = Cancellation()
    answer = Answer(hang.wait)
    cancellation.cancel()
    with pytest.raises(Cancelled):
        answer.wait(cancellation.check)
    assert not hang.is_set()


def test_waiting_for_an_answer_that_hangs_times_out(hang: threading.Event) -> None:
    assert Answer(hang.wait).by(time.monotonic()) is None
