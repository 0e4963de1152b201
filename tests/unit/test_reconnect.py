"""How often and how long a lost connection is tried again."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from p2v_tui.errors import (
    Cancelled,
    ConnectionFailed,
    ConnectionGivenUp,
    Detached,
    LoginRefused,
    P2VError,
    PreflightRefused,
    WrongHostKey,
)
from p2v_tui.session.ssh.reconnect import (
    LONGEST_DELAY,
    RETRY_REFUSED_FOR,
    open_again,
    retry_delays,
)


class Server:
    """Answers as told, on a clock that only the waiting moves."""

    def __init__(self, *answers: P2VError | None) -> None:
        self._answers = iter(answers)
        self.now = 0.0
        self.opened = 0
        self.tries: list[float] = []
        self.failures: list[P2VError] = []

    def lose(self) -> str:
        """It opens each time, and is lost in what is done with it."""
        self.opened += 1
        return self.open()

    def open(self) -> str:
        self.tries.append(self.now)
        answer = next(self._answers)
        if answer is not None:
            raise answer
        return "open"

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def open_again(
        self, retry_for: float, *, let_in_before: bool = False, chance: Callable[[], float] = lambda: 1.0
    ) -> str:
        return open_again(
            self.open,
            retry_for=retry_for,
            wait=self.wait,
            on_failure=self.failures.append,
            clock=lambda: self.now,
            let_in_before=let_in_before,
            chance=chance,
        )


DOWN = ConnectionFailed("refuses connections", setting="remote.port")


def test_the_delays_double_up_to_the_longest() -> None:
    assert list(itertools.islice(retry_delays(), 8)) == [1, 2, 4, 8, 16, 30, 30, 30]


def test_it_is_tried_until_it_opens_and_a_failure_is_told_when_it_is_another_one() -> None:
    silent = ConnectionFailed("does not answer")
    server = Server(DOWN, DOWN, silent, DOWN, DOWN, None)
    assert server.open_again(3600) == "open"
    assert server.tries == [0, 1, 3, 7, 15, 31]
    assert server.failures == [DOWN, silent, DOWN]


def test_what_was_open_in_between_is_told_again_when_it_is_lost_with_the_same_words() -> None:
    server = Server(DOWN, DOWN, DOWN, None)
    open_again(
        server.lose,
        retry_for=3600,
        wait=server.wait,
        on_failure=server.failures.append,
        clock=lambda: server.now,
        opened=lambda: server.opened,
    )
    assert server.failures == [DOWN, DOWN, DOWN]


def test_the_last_error_is_raised_when_the_time_is_over() -> None:
    last = ConnectionFailed("does not answer")
    server = Server(DOWN, DOWN, DOWN, last)
    with pytest.raises(ConnectionFailed) as raised:
        server.open_again(10)
    assert raised.value is last
    assert server.now <= 10


def test_without_time_to_retry_it_is_tried_once() -> None:
    server = Server(DOWN)
    with pytest.raises(ConnectionFailed):
        server.open_again(0)
    assert server.tries == [0]


def test_an_hour_is_tried_to_its_end_but_for_one_delay() -> None:
    server = Server(*itertools.repeat(DOWN, 1000))
    with pytest.raises(ConnectionFailed):
        server.open_again(3600)
    assert 3600 - LONGEST_DELAY <= server.tries[-1] <= 3600


@pytest.mark.parametrize(
    "error",
    [
        WrongHostKey("another host key", setting="remote.hostkey"),
        LoginRefused("password refused", setting="auth.password"),
        LoginRefused("identity refused", setting="auth.identity.url"),
        ConnectionGivenUp("tried for an hour"),
        PreflightRefused("forwarding is forbidden"),
    ],
)
def test_a_permanent_error_is_not_retried(error: P2VError) -> None:
    server = Server(DOWN, error)
    with pytest.raises(type(error)) as raised:
        server.open_again(3600)
    assert raised.value is error


@pytest.mark.parametrize("error", [Cancelled(), Detached()])
def test_a_cancellation_is_not_reported_as_a_failure_of_the_server(error: P2VError) -> None:
    server = Server(error)
    with pytest.raises(type(error)):
        server.open_again(3600)
    assert server.failures == []


def test_machines_that_were_started_together_do_not_try_again_together() -> None:
    early, late = Server(DOWN, DOWN, DOWN, None), Server(DOWN, DOWN, DOWN, None)
    early.open_again(3600, chance=lambda: 0.0)
    late.open_again(3600)
    assert early.tries == [0, 0.5, 1.5, 3.5]
    assert late.tries == [0, 1, 3, 7]


REFUSED = LoginRefused("password refused", setting="auth.password")


def test_a_login_that_worked_before_is_tried_again_when_it_is_refused() -> None:
    server = Server(DOWN, REFUSED, REFUSED, None)
    assert server.open_again(3600, let_in_before=True) == "open"
    assert server.failures == [DOWN, REFUSED]


def test_a_login_that_worked_before_is_refused_for_minutes_before_that_is_final() -> None:
    server = Server(*itertools.repeat(DOWN, 30), *itertools.repeat(REFUSED, 100))
    with pytest.raises(ConnectionFailed) as raised:
        server.open_again(24 * 3600, let_in_before=True)
    assert raised.value is REFUSED
    first = server.tries[30]
    assert RETRY_REFUSED_FOR - LONGEST_DELAY <= server.tries[-1] - first <= RETRY_REFUSED_FOR
    # Some servers lock an account after a few refusals.
    assert len(server.tries) - 30 <= 12


def test_another_host_key_is_final_whoever_was_let_in_before() -> None:
    server = Server(WrongHostKey("another host key", setting="remote.hostkey"))
    with pytest.raises(ConnectionFailed):
        server.open_again(3600, let_in_before=True)
    assert server.tries == [0]
