"""How far the whole conversion is, and how long it will still take.

Each phase counts for the time that it took in earlier conversions, and the copy for the time that its bytes take;
`pace_book.py` remembers both. All times are seconds of one monotonic clock that the caller reads. All of it is an
estimate: texts say "about".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2v_tui.front.phases import COPYING, KINDS, STAGES, kind_of, shown_name
from p2v_tui.session.words.events import DiskProgress, Event, PhaseStarted, Progress, Stage, StageStarted

# Used until something is remembered. Phases, in seconds: what virt-v2v 2.2 took with KVM for a small Linux; a phase
# that is not listed takes a moment. Bytes of disk a second: a gigabit network.
_DEFAULTS: Final[Mapping[str, float]] = {
    STAGES: 10.0,
    "Opening the source": 20.0,
    "Inspecting the source": 15.0,
    "Converting": 90.0,
    "Mapping filesystem data": 10.0,
}
_MOMENT: Final = 1.0
DEFAULT_RATE: Final = 100_000_000.0
# From this percentage of a disk on, the copy's own pace counts. Before that it is too rough.
_TELLING_PERCENT: Final = 2
# Seconds. A shorter copy tells nothing about the rate of a longer one.
_TELLING_COPY: Final = 5.0


@dataclass(frozen=True)
class Paces:
    """What earlier conversions took. seconds: by the kind of phase (`phases.kind_of`).

    rate: bytes of disk a second while disks are copied, unused space included; None if unknown.
    line: bytes a second as the connection test measured them now; None if it did not.
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
    """When each phase began. `heard` makes it from events. phase: as it is shown. kind: see `phases.kind_of`.

    virt_v2v_began: None before it. took: the seconds of each phase that is over, in order. disks: as they are now.
    """

    began: float
    phase: str
    phase_began: float
    kind: str = STAGES
    virt_v2v_began: float | None = None
    took: tuple[tuple[str, float], ...] = ()
    disks: tuple[DiskProgress, ...] = ()
    # When a conversion that was continued really began.
    went_on: bool = False

    def paces(self, now: float) -> Paces:
        """What this conversion took, once it is over. Stages do not count, because one may wait for an answer."""
        seconds: dict[str, float] = {}
        for kind, took in (*self.took, (self.kind, now - self.phase_began)):
            seconds[kind] = seconds.get(kind, 0.0) + took
        copying = seconds.pop(COPYING, 0.0)
        seconds.pop(STAGES, None)
        size = sum(disk.size for disk in self.disks)
        return Paces(seconds, size / copying if copying >= _TELLING_COPY and size else None)


@dataclass(frozen=True)
class Pace:
    """How far a conversion is. elapsed, left: seconds of the whole conversion. percent: of its whole time.

    phase: in words. phase_seconds: since the phase began. reading: whether this machine's disks are being read.
    """

    elapsed: float
    left: float
    percent: int
    phase: str
    phase_seconds: float
    kind: str
    reading: bool


def first(now: float, disks: Sequence[DiskProgress] = (), *, ago: float | None = None) -> Timing:
    """The timing of a conversion that begins. ago: how many seconds ago, if another process began it."""
    began = now if ago is None else now - max(ago, 0.0)
    return Timing(began, Stage.CONNECTING.value, now, disks=tuple(disks), went_on=ago is not None)


def heard(timing: Timing, event: Event, now: float) -> Timing:
    """The timing after this event."""
    match event:
        case StageStarted(stage) if timing.virt_v2v_began is None:
            return _next(timing, stage.value, STAGES, now)
        case PhaseStarted(name, seconds):
            # By virt-v2v's own clock, because the log of a continued conversion comes all at once.
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
        # 100 percent means success.
        percent=min(99, int(100 * elapsed / (elapsed + left))) if elapsed + left > 0 else 0,
        phase=timing.phase,
        phase_seconds=max(0.0, now - timing.phase_began),
        kind=timing.kind,
        reading=any(disk.rate > 0 for disk in timing.disks),
    )


def copy_seconds(size: int, rate: float | None) -> float:
    return size / (rate or DEFAULT_RATE)


def whole_seconds(size: int, paces: Paces) -> float:
    """The whole time of a conversion that has not begun. size: of its disks, in bytes."""
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
    """Once part of the current disk is copied, its pace tells how long the others will take."""
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
