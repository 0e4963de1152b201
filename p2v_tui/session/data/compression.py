"""Finds out whether ssh's compression makes a copy faster, by measuring the copy itself.

It depends on the line, the CPU and the data. On a fast line zlib is the bottleneck; below some tens of MB/s
compression pays off. So a slow copy switches for a few seconds, and then keeps whichever was faster.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

# Seconds of copying for one measurement, and for how long its result holds.
WINDOW: Final = 4.0
TRIAL_INTERVAL: Final = 900.0
# Bytes a second. No trial starts on a faster line: zlib is slower than this on every CPU that we know.
FAST: Final = 40_000_000
# The least gain worth a change, so that noise changes nothing.
GAIN: Final = 1.1
# After so many seconds without a move of the relay a wish is dropped; the wish to move back is repeated.
MOVE_TIMEOUT: Final = 60.0
# A trial starts only if so many seconds of copying are left: there and back, it takes a third of that.
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

    All that it knows of tunnels comes with each sample: a wish may never be met, and a tunnel may be lost and come
    back in the middle of a trial. trial: the last one that was finished. All times are seconds of one monotonic clock
    that the caller reads.
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
        # In a trial. If the copy ends first, or the relay does not move, it has no result.
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
            # The move back failed, or a lost tunnel was reopened the way it was.
            return self._wish_for(now, compressed=self._wish) if now - self._wished_at > MOVE_TIMEOUT else None
        if now - self._decided_at >= TRIAL_INTERVAL:
            self._state, self._start = _State.MEASURING, None
        return None

    def _measure(self, now: float, relayed: int, generation: int) -> float | None:
        """Bytes a second over a whole window of one tunnel; None before its end, or if nothing was read in it."""
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
