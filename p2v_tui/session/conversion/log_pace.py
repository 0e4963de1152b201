"""How much of the growing log to ask for at once: as much as arrives in about a second, on any line."""

from __future__ import annotations

from typing import Final

FIRST: Final = 256 * 1024
# Each answer is in memory several times.
MOST: Final = 4 * 1024 * 1024
LEAST: Final = 16 * 1024
# Seconds for one answer: after a quicker one more is asked for, after a slower one less.
_QUICK: Final = 0.7
_SLOW: Final = 3.0


class LogPace:
    """limit: how many bytes to ask for next."""

    def __init__(self) -> None:
        self.limit = FIRST

    def came(self, count: int, seconds: float) -> None:
        """So many bytes came in so many seconds; fewer than asked for if the log had no more."""
        if count >= self.limit and seconds < _QUICK:
            self.limit = min(self.limit * 2, MOST)
        elif seconds > _SLOW:
            self.less()

    def less(self) -> None:
        """No answer came in time."""
        self.limit = max(self.limit // 4, LEAST)
