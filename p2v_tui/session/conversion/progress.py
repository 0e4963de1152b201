"""The progress of the copy: bytes read and copied, the recent rate, nbdcopy's percentage, the time left."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.words.events import DiskProgress, Progress

RATE_WINDOW = 10.0


@dataclass
class _DiskState:
    samples: deque[tuple[float, int]] = field(default_factory=deque)
    percent: int | None = None
    copy_started: float | None = None
    served: int = 0
    # Bytes served when nbdcopy printed its percentage.
    served_at_percent: int = 0
    copied: int | None = None

    def rate(self) -> float:
        if len(self.samples) < 2:
            return 0.0
        (first_time, first_bytes), (last_time, last_bytes) = self.samples[0], self.samples[-1]
        return (last_bytes - first_bytes) / (last_time - first_time) if last_time > first_time else 0.0


class ProgressTracker:
    """Fed with samples and percentages; all times are seconds of one monotonic clock that the caller reads."""

    def __init__(self, disks: Sequence[Disk]) -> None:
        self._disks = tuple(disks)
        self._states = [_DiskState() for _ in disks]
        self._last = Progress(tuple(DiskProgress(disk.name, disk.size, 0, 0.0) for disk in disks))

    def percent(self, disk: int, percent: int, now: float) -> None:
        """nbdcopy's percentage for the disk with that number. A number out of range is ignored."""
        if 0 <= disk < len(self._states):
            state = self._states[disk]
            if state.copy_started is None:
                state.copy_started = now
            if percent != state.percent:
                state.served_at_percent = state.served
            state.percent = percent

    def sample(self, served: Sequence[int], now: float) -> Progress:
        """served: bytes so far, for each disk."""
        entries = []
        for disk, state, count in zip(self._disks, self._states, served, strict=True):
            state.samples.append((now, count))
            state.served = count
            state.copied = _copied(state, disk.size)
            while now - state.samples[0][0] > RATE_WINDOW and len(state.samples) > 2:
                state.samples.popleft()
            entries.append(
                DiskProgress(
                    name=disk.name,
                    size=disk.size,
                    served=count,
                    rate=state.rate(),
                    percent=state.percent,
                    seconds_left=_seconds_left(state, now),
                    copied=state.copied,
                )
            )
        self._last = Progress(tuple(entries))
        return self._last

    def long_copies(self, seconds: float) -> list[bool]:
        """For each disk, whether the copy runs and will last for so long, judging by the last sample."""
        return [_lasts(disk, seconds) for disk in self._last.disks]


def _seconds_left(state: _DiskState, now: float) -> float | None:
    # From the percentage and not from the bytes: nbdcopy skips what fstrim freed, so the bytes to come are unknown.
    if state.copy_started is None or not state.percent or now <= state.copy_started:
        return None
    return (now - state.copy_started) * (100 - state.percent) / state.percent


def _lasts(disk: DiskProgress, seconds: float) -> bool:
    if disk.percent is None or disk.percent >= 100 or disk.copied is None:
        return False
    if disk.seconds_left is not None:
        return disk.seconds_left > seconds
    # Before the first percent assume that all the rest will be read, which is the most.
    return disk.size - disk.copied > seconds * disk.rate


def _copied(state: _DiskState, size: int) -> int | None:
    """From the percentage, and between two of them from the bytes read since: one percent of a large disk is much."""
    if state.percent is None:
        return None
    percent = min(max(state.percent, 0), 100)
    known, most = size * percent // 100, size * min(percent + 1, 100) // 100
    return max(state.copied or 0, min(known + state.served - state.served_at_percent, most))
