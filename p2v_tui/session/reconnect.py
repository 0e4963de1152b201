"""Opening a lost connection again: how often, how long, and when not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from p2v_tui.errors import Cancelled, ConnectionFailed, Detached, P2VError

# Seconds between two tries: soon after a short interruption, seldom enough not to trouble a server that comes up.
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
# What time does not heal, by the setting that the error names: another host key, a refused password or identity.
_FINAL_SETTINGS: Final = frozenset({"remote.hostkey", "auth.password", "auth.identity.url", "auth.username"})

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
) -> Opened:
    """What open_it returns as soon as it succeeds.

    patience: seconds for all tries together. wait: called between two with the seconds to let pass. on_failure:
    called with the error of a try, unless it says the same as the one before: an outage may last for hours. final:
    which errors another try would not change, in place of `is_final`. Raises such a one at once, and the last error
    when the patience is at its end.
    """
    deadline = clock() + patience
    told = ""
    for delay in retry_delays():
        try:
            return open_it()
        except (Cancelled, Detached):
            raise
        except P2VError as error:
            if (final or is_final)(error) or clock() + delay > deadline:
                raise
            if error.message != told:
                told = error.message
                on_failure(error)
        wait(delay)
    raise AssertionError("the delays have no end")


def is_final(error: P2VError) -> bool:
    """Whether it would be the same the next time: the server refuses us, or is another one."""
    return not isinstance(error, ConnectionFailed) or error.setting in _FINAL_SETTINGS
