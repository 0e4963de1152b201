"""Whether ssh's compression makes a copy faster: measured on the copy itself, as it depends on line, CPU and data.

On a fast line zlib is the bottleneck; below some tens of MB/s it pays, by as much as the data can be compressed. So
a slow copy is tried the other way for a few seconds, and goes on the way that was faster.
"""

from __future__ import annotations

import enum
from typing import Final

# Seconds of copying that make one measurement, and how long what was found holds.
WINDOW: Final = 4.0
TRIAL_INTERVAL: Final = 900.0
# Bytes a second above which nothing is tried: zlib does not do more on any CPU that we know.
FAST: Final = 40_000_000
# What must be gained to change, so that noise changes nothing.
GAIN: Final = 1.1


class _State(enum.Enum):
    MEASURING = "measuring"
    MOVING = "moving"
    TRYING = "trying"
    SETTLED = "settled"


class CompressionChoice:
    """Fed with what one disk's relay says; answers with a wish to change.

    All times are seconds of one monotonic clock that the caller reads.
    """

    def __init__(self) -> None:
        self._state = _State.MEASURING
        self._compressed = False
        self._start: tuple[float, int] | None = None
        self._generation = 0
        self._rate = 0.0
        self._settled_at = 0.0

    def sample(self, now: float, relayed: int, generation: int, *, copying: bool) -> bool | None:
        """Whether to compress from now on; None for no change.

        relayed: bytes so far. generation: of the tunnel that the relay uses; it rises when a change has happened.
        """
        if not copying:
            self._start = None
            return None
        if self._state is _State.MOVING:
            if generation > self._generation:
                self._state, self._start = _State.TRYING, None
            return None
        if self._state is _State.SETTLED:
            if now - self._settled_at < TRIAL_INTERVAL:
                return None
            self._state, self._start = _State.MEASURING, None
        rate = self._measure(now, relayed)
        return None if rate is None else self._decide(now, rate, generation)

    def _measure(self, now: float, relayed: int) -> float | None:
        """Bytes a second over a whole window; None while it is not over, or nothing came in it."""
        if self._start is None:
            self._start = (now, relayed)
        since, before = self._start
        if now - since < WINDOW:
            return None
        self._start = (now, relayed)
        # An outage says nothing about the line.
        return (relayed - before) / (now - since) if relayed > before else None

    def _decide(self, now: float, rate: float, generation: int) -> bool | None:
        if self._state is _State.MEASURING:
            if rate > FAST:
                return None
            self._rate, self._generation, self._state = rate, generation, _State.MOVING
            self._compressed = not self._compressed
            return self._compressed
        self._state, self._settled_at = _State.SETTLED, now
        if rate >= self._rate * GAIN:
            return None
        self._compressed = not self._compressed
        return self._compressed
