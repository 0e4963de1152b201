"""Opening a lost connection again: how often, how long, and when not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from p2v_tui.errors import Cancelled, ConnectionFailed, Detached, P2VError

# Seconds between two tries: soon after a short interruption, seldom enough not to trouble a server that comes up.
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
# A login that worked before may be refused while a directory service is away: so long it is tried again, in seconds,
# and no sooner than that, as some servers lock an account after a few refusals.
REFUSAL_PATIENCE: Final = 300.0
REFUSAL_DELAY: Final = 10.0
# What time does not heal, by the setting that the error names: a refused login, another host key.
_LOGIN_SETTINGS: Final = frozenset({"auth.password", "auth.identity.url", "auth.username"})
_FINAL_SETTINGS: Final = _LOGIN_SETTINGS | {"remote.hostkey"}

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
    patience: float,
    wait: Callable[[float], None],
    on_failure: Callable[[P2VError], None],
    clock: Callable[[], float] = time.monotonic,
    final: Callable[[P2VError], bool] | None = None,
    let_in_before: bool = False,
    after_success: bool = False,
    chance: Callable[[], float] = random.random,
) -> Opened:
    """What open_it returns as soon as it succeeds.

    Machines that were started together do not try again together: of each delay only the first half is certain.

    patience: seconds for all tries together. wait: called between two with the seconds to let pass. on_failure:
    called with the error of a try, unless it says the same as the one before: an outage may last for hours. final:
    which errors another try would not change, in place of `is_final`. let_in_before: this login worked already, so
    that it is final only when it has been refused for REFUSAL_PATIENCE. after_success: it was open, so that the time
    runs from the first failure on. chance: from 0 to 1. Raises such a one at once, and the last error when the
    patience is at its end.
    """
    deadline = None if after_success else clock() + patience
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
                deadline = clock() + patience
            if let_in_before and is_refused_login(error):
                delay = max(delay, REFUSAL_DELAY)
                refused_since = clock() if refused_since is None else refused_since
                over = clock() + delay > refused_since + REFUSAL_PATIENCE
            else:
                refused_since = None
                over = (final or is_final)(error)
            if over or clock() + delay > deadline:
                raise
            if error.message != told:
                told = error.message
                on_failure(error)
        wait(delay * (0.5 + 0.5 * chance()))
    raise AssertionError("the delays have no end")


def is_final(error: P2VError) -> bool:
    """Whether it would be the same the next time: the server refuses us, is another one, or was tried
    for long enough.
    """
    return not isinstance(error, ConnectionFailed) or error.setting in _FINAL_SETTINGS or error.given_up


def given_up(error: ConnectionFailed) -> ConnectionFailed:
    """The same, and final: it was tried for as long as the settings say."""
    return ConnectionFailed(error.message, error.advice, setting=error.setting, given_up=True)


def is_refused_login(error: P2VError) -> bool:
    """Whether the server that we know did not let us in, or gave us no shell."""
    return isinstance(error, ConnectionFailed) and error.setting in _LOGIN_SETTINGS
