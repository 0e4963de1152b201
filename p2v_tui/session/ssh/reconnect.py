"""Reopening a lost connection: how often, for how long, and when not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeVar

from p2v_tui.errors import Cancelled, Detached, P2VError, Retry

# Seconds between tries: soon after a short interruption, later rare enough not to burden a server that comes up.
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
# A login that worked before may be refused while a directory service is down. It is retried for so many seconds, with
# long pauses, as some servers lock an account after a few refusals.
RETRY_REFUSED_FOR: Final = 300.0
REFUSAL_DELAY: Final = 10.0
# Failures that pass by themselves for everybody.
PASSING: Final = frozenset({Retry.LATER, Retry.SOON})

Opened = TypeVar("Opened")


def retry_delays() -> Iterator[float]:
    """Seconds to wait after each try: doubling, up to LONGEST_DELAY."""
    delay = FIRST_DELAY
    while True:
        yield delay
        delay = min(2 * delay, LONGEST_DELAY)


def open_again(
    open_it: Callable[[], Opened],
    *,
    retry_for: float,
    wait: Callable[[float], None],
    on_failure: Callable[[P2VError], None],
    clock: Callable[[], float] = time.monotonic,
    worthwhile: Collection[Retry] = PASSING,
    let_in_before: bool = False,
    after_success: bool = False,
    opened: Callable[[], int] = lambda: 0,
    chance: Callable[[], float] = random.random,
) -> Opened:
    """Calls open_it until it succeeds, and returns its result.

    The second half of each delay is random, so that machines that were started together do not retry together.

    retry_for: seconds for all tries together. wait: called between tries with the seconds to wait. on_failure: called
    with the error of a try, unless it equals the last one: an outage may last for hours. opened: how often the
    connection has been open so far; where open_it also uses it, each loss is reported, whatever the last one said.
    worthwhile: which failures are retried. let_in_before: this login worked already, so a refusal is retried too, for
    RETRY_REFUSED_FOR. after_success: it was open, so the time runs from the first failure. chance: from 0 to 1.
    Raises errors that no retry would change at once, and the last error when the time is over.
    """
    deadline = None if after_success else clock() + retry_for
    told = ("", 0)
    refused_since: float | None = None
    for usual_delay in retry_delays():
        delay = usual_delay
        try:
            return open_it()
        except (Cancelled, Detached):
            raise
        except P2VError as error:
            if deadline is None:
                deadline = clock() + retry_for
            if let_in_before and error.retry is Retry.AFTER_LOGIN:
                delay = max(delay, REFUSAL_DELAY)
                refused_since = clock() if refused_since is None else refused_since
                over = clock() + delay > refused_since + RETRY_REFUSED_FOR
            else:
                refused_since = None
                over = error.retry not in worthwhile
            if over or clock() + delay > deadline:
                raise
            if (news := (error.message, opened())) != told:
                told = news
                on_failure(error)
        wait(delay * (0.5 + 0.5 * chance()))
    raise AssertionError("the delays have no end")
