"""Whether ssh's compression makes a copy faster: measured on the copy itself, as it depends on line, CPU and data.

On a fast line zlib is the bottleneck; below some tens of MB/s it pays, by as much as the data can be compressed. So
a slow copy is tried the other way for a few seconds, and goes on the way that was faster.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

# Seconds of copying that make one measurement, and how long what was found holds.
WINDOW: Final = 4.0
TRIAL_INTERVAL: Final = 900.0
# Bytes a second above which nothing is tried: zlib does not do more on any CPU that we know.
FAST: Final = 40_000_000
# What must be gained to change, so that noise changes nothing.
GAIN: Final = 1.1
# A wish that the relay has not followed for so many seconds is dropped, or made again where it is the way back.
MOVE_TIMEOUT: Final = 60.0
# Seconds of copying that must be left for a trial: there and back it takes a third of that.
WORTHWHILE: Final = 60.0


@dataclass(frozen=True)
class Trial:
    """How a trial ended. compressed: whether the copy is from now on. without, with_it: bytes a second each way."""

    compressed: bool
    without: float
    with_it: float


class _State(enum.Enum):
    MEASURING = "measuring"
    MOVING = "moving"
    TRYING = "trying"
    DECIDED = "decided"


class CompressionChoice:
    """Fed with what one disk's relay says; answers with a wish to change.

    It knows nothing of tunnels but what it is told with each sample: a wish may never come true, and a tunnel may be
    lost and come back in the middle of a trial. trial: the last one that came to an end.
    All times are seconds of one monotonic clock that the caller reads.
    """

    def __init__(self) -> None:
        self.trial: Trial | None = None
        self._state = _State.MEASURING
        self._wish = False
        self._wished_at = 0.0
        self._start: tuple[float, int, int] | None = None
        self._rate = 0.0
        self._decided_at = 0.0

    def sample(self, now: float, relayed: int, generation: int, *, compressed: bool, copying: bool) -> bool | None:
        """Whether to compress from now on; None for no change.

        relayed: bytes so far. generation, compressed: of the tunnel that the relay uses now. copying: the disk is
        being copied, and will be for WORTHWHILE seconds.
        """
        match self._state:
            case _State.MEASURING:
                return self._before_trial(now, relayed, generation, compressed, copying)
            case _State.DECIDED:
                return self._after_trial(now, compressed) if copying else None
        # In a trial. One that outlasts the copy, or that the relay does not follow, finds out nothing.
        lost = now - self._wished_at > MOVE_TIMEOUT if self._state is _State.MOVING else compressed != self._wish
        if not copying or lost:
            self._decide(now)
            self._wish = compressed
        elif self._state is _State.TRYING:
            return self._in_trial(now, relayed, generation)
        elif compressed == self._wish:
            self._state, self._start = _State.TRYING, None
        return None

    def _before_trial(
        self, now: float, relayed: int, generation: int, compressed: bool, copying: bool
    ) -> bool | None:
        if not copying:
            self._start = None
            return None
        rate = self._measure(now, relayed, generation)
        if rate is None or rate > FAST:
            return None
        self._rate, self._state = rate, _State.MOVING
        return self._wish_for(now, compressed=not compressed)

    def _in_trial(self, now: float, relayed: int, generation: int) -> bool | None:
        rate = self._measure(now, relayed, generation)
        if rate is None:
            return None
        kept = rate >= self._rate * GAIN
        without, with_it = (self._rate, rate) if self._wish else (rate, self._rate)
        self.trial = Trial(self._wish if kept else not self._wish, without, with_it)
        self._decide(now)
        return None if kept else self._wish_for(now, compressed=not self._wish)

    def _after_trial(self, now: float, compressed: bool) -> bool | None:
        if compressed != self._wish:
            # It was not possible to go back; a tunnel that is opened again after a loss is as the lost one was.
            return self._wish_for(now, compressed=self._wish) if now - self._wished_at > MOVE_TIMEOUT else None
        if now - self._decided_at >= TRIAL_INTERVAL:
            self._state, self._start = _State.MEASURING, None
        return None

    def _measure(self, now: float, relayed: int, generation: int) -> float | None:
        """Bytes a second over a whole window of one tunnel; None while it is not over, or nothing came in it."""
        if self._start is None or self._start[2] != generation:
            self._start = (now, relayed, generation)
        since, before, _ = self._start
        if now - since < WINDOW:
            return None
        self._start = (now, relayed, generation)
        # An outage says nothing about the line.
        return (relayed - before) / (now - since) if relayed > before else None

    def _wish_for(self, now: float, *, compressed: bool) -> bool:
        self._wish, self._wished_at = compressed, now
        return compressed

    def _decide(self, now: float) -> None:
        self._state, self._decided_at = _State.DECIDED, now
