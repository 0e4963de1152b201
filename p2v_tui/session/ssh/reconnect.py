"""Opening a lost connection again: how often, how long, and when not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeVar

from p2v_tui.errors import Cancelled, Detached, P2VError, Retry

# Seconds between two tries: soon after a short interruption, seldom enough not to trouble a server that comes up.
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
# A login that worked before may be refused while a directory service is away: so long it is tried again, in seconds,
# and no sooner than that, as some servers lock an account after a few refusals.
RETRY_REFUSED_FOR: Final = 300.0
REFUSAL_DELAY: Final = 10.0
# What passes by itself, whoever asks.
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
    chance: Callable[[], float] = random.random,
) -> Opened:
    """What open_it returns as soon as it succeeds.

    Machines that were started together do not try again together: of each delay only the first half is certain.

    retry_for: seconds for all tries together. wait: called between two with the seconds to let pass. on_failure:
    called with the error of a try, unless it says the same as the one before: an outage may last for hours.
    worthwhile: which failures are tried again. let_in_before: this login worked already, so that it is tried again
    when it is refused, too, for RETRY_REFUSED_FOR. after_success: it was open, so that the time
    runs from the first failure on. chance: from 0 to 1. Raises at once what another try would not change, and
    the last error when the time is over.
    """
    deadline = None if after_success else clock() + retry_for
    told = ""
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
            if error.message != told:
                told = error.message
                on_failure(error)
        wait(delay * (0.5 + 0.5 * chance()))
    raise AssertionError("the delays have no end")
