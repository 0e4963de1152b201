"""How far a conversion is as a whole, and how long it will still take.

Each phase weighs what it took in earlier conversions, and the copy what its bytes take; `pace_book.py` remembers
both. All times are seconds of one monotonic clock that the caller reads. Nothing here is sure: texts say "about".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2v_tui.front.phases import COPYING, KINDS, STAGES, kind_of, shown_name
from p2v_tui.session.words.events import DiskProgress, Event, PhaseStarted, Progress, Stage, StageStarted

# Before anything has been remembered: seconds of a phase, as virt-v2v 2.2 took with KVM for a small Linux; those that
# are not here take a moment. Bytes of disk a second: a gigabit network.
_DEFAULTS: Final[Mapping[str, float]] = {
    STAGES: 10.0,
    "Opening the source": 20.0,
    "Inspecting the source": 15.0,
    "Converting": 90.0,
    "Mapping filesystem data": 10.0,
}
_MOMENT: Final = 1.0
DEFAULT_RATE: Final = 100_000_000.0
# The copy's own pace counts as soon as so much of the disk is copied, percent; before that it is too rough.
_TELLING_PERCENT: Final = 2


@dataclass(frozen=True)
class Paces:
    """What earlier conversions took. seconds: by the kind of phase (`phases.kind_of`).

    rate: bytes of disk a second while disks are copied, unused space too; None where that is not known.
    line: bytes a second as the connection test measured them now; None where it did not.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    rate: float | None = None
    line: float | None = None

    @property
    def copy_rate(self) -> float | None:
        """The slower of the two: the line may not be what limits a copy, and another machine's disks may have had
        more unused space.
        """
        return min((rate for rate in (self.rate, self.line) if rate), default=None)

    def of(self, kind: str) -> float:
        return self.seconds.get(kind, _DEFAULTS.get(kind, _MOMENT))


@dataclass(frozen=True)
class Timing:
    """When what began, folded from events by `heard`. phase: as it is shown. kind: see `phases.kind_of`.

    virt_v2v_began: None before it. took: of each phase that is over, in order. disks: as they are now.
    """

    began: float
    phase: str
    phase_began: float
    kind: str = STAGES
    virt_v2v_began: float | None = None
    took: tuple[tuple[str, float], ...] = ()
    disks: tuple[DiskProgress, ...] = ()
    # Of a conversion that was gone on with, when it began in fact.
    went_on: bool = False

    def paces(self, now: float) -> Paces:
        """What this conversion took, once it is over; not the stages, in which somebody may be asked."""
        seconds: dict[str, float] = {}
        for kind, took in (*self.took, (self.kind, now - self.phase_began)):
            seconds[kind] = seconds.get(kind, 0.0) + took
        copying = seconds.pop(COPYING, 0.0)
        seconds.pop(STAGES, None)
        size = sum(disk.size for disk in self.disks)
        return Paces(seconds, size / copying if copying > 0 and size else None)


@dataclass(frozen=True)
class Pace:
    """How far a conversion is. elapsed, left: seconds, of the whole. percent: of the time that it takes in all.

    phase: in words. phase_seconds: since it began. reading: whether bytes of this machine are read now.
    """

    elapsed: float
    left: float
    percent: int
    phase: str
    phase_seconds: float
    kind: str
    reading: bool


def first(now: float, disks: Sequence[DiskProgress] = (), *, ago: float | None = None) -> Timing:
    """Where a conversion begins. ago: for how many seconds it has run already, where another process began it."""
    began = now if ago is None else now - max(ago, 0.0)
    return Timing(began, Stage.CONNECTING.value, now, disks=tuple(disks), went_on=ago is not None)


def heard(timing: Timing, event: Event, now: float) -> Timing:
    """The timing when this has happened."""
    match event:
        case StageStarted(stage) if timing.virt_v2v_began is None:
            return _next(timing, stage.value, STAGES, now)
        case PhaseStarted(name, seconds):
            # By virt-v2v's own clock: the log of one that was gone on with comes all at once.
            began = timing.virt_v2v_began
            if began is None:
                began = timing.began if timing.went_on else now - seconds
                timing = dataclasses.replace(timing, virt_v2v_began=began)
            return _next(timing, shown_name(name), kind_of(name) or timing.kind, min(began + seconds, now))
        case Progress(disks):
            return dataclasses.replace(timing, disks=disks)
    return timing


def _next(timing: Timing, phase: str, kind: str, now: float) -> Timing:
    took = (*timing.took, (timing.kind, max(0.0, now - timing.phase_began)))
    return dataclasses.replace(timing, phase=phase, kind=kind, phase_began=now, took=took)


def pace_of(timing: Timing, paces: Paces, now: float) -> Pace:
    elapsed = max(0.0, now - timing.began)
    left = _left(timing, paces, now)
    return Pace(
        elapsed=elapsed,
        left=left,
        # The last percent is the success.
        percent=min(99, int(100 * elapsed / (elapsed + left))) if elapsed + left > 0 else 0,
        phase=timing.phase,
        phase_seconds=max(0.0, now - timing.phase_began),
        kind=timing.kind,
        reading=any(disk.rate > 0 for disk in timing.disks),
    )


def copy_seconds(size: int, rate: float | None) -> float:
    return size / (rate or DEFAULT_RATE)


def whole_seconds(size: int, paces: Paces) -> float:
    """Of a conversion that has not begun. size: of its disks, bytes."""
    return sum(paces.of(kind) for kind in KINDS if kind != COPYING) + copy_seconds(size, paces.copy_rate)


def _left(timing: Timing, paces: Paces, now: float) -> float:
    position = KINDS.index(timing.kind)
    to_come = sum(paces.of(kind) for kind in KINDS[position + 1 :] if kind != COPYING)
    if timing.kind != COPYING:
        to_come += max(0.0, paces.of(timing.kind) - (now - timing.phase_began))
    if position <= KINDS.index(COPYING):
        to_come += _copy_left(timing.disks, paces.copy_rate)
    return to_come


def _copy_left(disks: Sequence[DiskProgress], rate: float | None) -> float:
    """The disk that is copied now tells how long the others will take, once some of it is done."""
    seconds, to_come = 0.0, 0
    for disk in disks:
        left = disk.size * (100 - (disk.percent or 0)) // 100
        if disk.percent is not None and disk.percent < 100 and disk.seconds_left is not None:
            seconds += disk.seconds_left
            if disk.percent >= _TELLING_PERCENT and disk.seconds_left > 0:
                rate = left / disk.seconds_left
        else:
            to_come += left
    return seconds + copy_seconds(to_come, rate)
