"""How far a conversion is, in characters: the phases in columns, and a bar for each disk.

A cell that changes costs time on a serial line: the bar and the percentage are always those of now, the bytes, the
rate and the time left are looked up more rarely and rounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from rich.text import Text
from textual.geometry import Offset, Size
from textual.widget import Widget

from p2v_tui.front.ascii_text import cut
from p2v_tui.front.phases import Phase, PhaseState, current_phase
from p2v_tui.session.words.events import DiskProgress
from p2v_tui.session.words.quantities import size_text

# How often bytes, rate and time left change on the screen, in seconds.
DETAILS_INTERVAL: Final = 10.0
_COLUMN_WIDTH: Final = 40
_BAR_WIDTHS: Final = (8, 40)
# Of a disk's line: what stands around its name and its bar, when the words are at their longest.
_WORDS_WIDTH: Final = 63
_NAME_WIDTHS: Final = (9, 16)
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


class PhaseList(Widget):
    """`[ ok ] done`, `[ .. ] current`, `[    ] to come`, in as many columns as fit.

    Where there are more phases than room, those around the current one are shown and the others are counted.
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._phases: tuple[Phase, ...] = ()

    def show(self, phases: tuple[Phase, ...]) -> None:
        if phases != self._phases:
            taller = len(phases) != len(self._phases)
            self._phases = phases
            self.refresh(layout=taller)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        del container
        return _phase_rows(len(self._phases), width, viewport.height)

    def render(self) -> Text:
        return phases_text(self._phases, self.size.width, self.size.height)


def _phase_rows(count: int, width: int, screen_height: int) -> int:
    columns = max(1, width // _COLUMN_WIDTH)
    return min(-(-count // columns), max(3, screen_height // 3 - 1))


def phases_text(phases: tuple[Phase, ...], width: int, height: int) -> Text:
    columns = max(1, width // _COLUMN_WIDTH)
    cells = _phase_cells(phases, columns * height)
    text = Text(no_wrap=True, end="")
    for row in range(height):
        for column in range(columns):
            number = column * height + row
            if number < len(cells):
                words, current = cells[number]
                wide = width // columns
                text.append(cut(words, wide - 1).ljust(wide), style="bold" if current else "")
        if row + 1 < height:
            text.append("\n")
    return text


def _phase_cells(phases: tuple[Phase, ...], room: int) -> list[tuple[str, bool]]:
    first, last = window(len(phases), current_phase(phases), room)
    now = (PhaseState.RUNNING, PhaseState.FAILED)
    cells = [(f"{each.state.value} {each.name}", each.state in now) for each in phases[first:last]]
    if first > 0:
        cells[0] = (f"{PhaseState.DONE.value} {first + 1} phases before", False)
    if last < len(phases):
        cells[-1] = (f"{PhaseState.WAITING.value} {len(phases) - last + 1} more phases", False)
    return cells


def window(count: int, current: int, room: int) -> tuple[int, int]:
    """Which of `count` entries to show in `room` places, so that neither end of it is the current one's."""
    if count <= room:
        return 0, count
    first = min(max(0, current - room // 2), count - room)
    return first, first + room


class DiskBars(Widget):
    """`sda  [####------]  42%  ...`, a line for each disk. clock: seconds, monotonic.

    Where there are more disks than room, those around the one being copied are shown.
    """

    def __init__(self, *, id: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(id=id)
        self._clock = clock
        self._disks: tuple[DiskProgress, ...] = ()
        self._details: tuple[DiskProgress, ...] = ()
        self._looked_up: float | None = None

    def show(self, disks: tuple[DiskProgress, ...]) -> None:
        now = self._clock()
        taller = len(disks) != len(self._disks)
        due = self._looked_up is None or now - self._looked_up >= DETAILS_INTERVAL
        if due or _stage(disks) != _stage(self._disks):
            self._details, self._looked_up = disks, now
        if disks != self._disks:
            self._disks = disks
            self.refresh(layout=taller)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        del container, width
        return min(len(self._disks), max(3, viewport.height // 8))

    def render(self) -> Text:
        return Text("\n".join(self.rows()), no_wrap=True, end="")

    def percent_sign(self) -> Offset | None:
        """Where the percent sign of the disk being copied stands on the screen.

        A terminal whose cursor waits there has the shortest way to the digit that changes next.
        """
        height = self.size.height
        copying = _copying(self._disks)
        first, last = window(len(self._disks), copying, height)
        if not first <= copying < last:
            return None
        column = self.rows()[copying - first].find("%")
        return None if column < 0 else self.content_region.offset + Offset(column, copying - first)

    def rows(self) -> list[str]:
        width, height = self.size.width, self.size.height
        first, last = window(len(self._disks), _copying(self._disks), height)
        low, high = _NAME_WIDTHS
        room = min(max(width - _WORDS_WIDTH - _BAR_WIDTHS[0], low), high)
        names = [_short_name(disk.name, room) for disk in self._disks]
        longest = max(map(len, names), default=0)
        rows = [
            disk_row(name.ljust(longest), disk, details, width)
            for name, disk, details in zip(names, self._disks, self._details, strict=True)
        ][first:last]
        if first > 0:
            rows[0] = f"{first + 1} disks before this one are done"
        if last < len(self._disks):
            rows[-1] = f"{len(self._disks) - last + 1} more disks to copy"
        return rows


def disk_row(name: str, disk: DiskProgress, details: DiskProgress, width: int) -> str:
    """One disk on one line. details: the same disk as it was when bytes, rate and time left were looked up."""
    # The same width whatever the words are, or the bar would jump.
    low, high = _BAR_WIDTHS
    bar_width = min(max(width - len(name) - _WORDS_WIDTH, low), high)
    percent = "  --" if disk.percent is None else f"{disk.percent:3d}%"
    return f"{name}  [{bar(disk.percent, bar_width)}] {percent}  {details_text(details, disk.percent)}"[:width]


def bar(percent: int | None, width: int) -> str:
    full = width * (percent or 0) // 100
    return "#" * full + "-" * (width - full)


def details_text(disk: DiskProgress, percent: int | None) -> str:
    """percent: of now. The columns keep their places while the numbers grow."""
    # What is read before the copy, to inspect and to convert the guest, is no part of it.
    read_only = disk.copied is None and disk.served
    amount = f"{size_text(disk.served)} read" if read_only else _amount(disk.copied or 0, disk.size)
    parts = [amount.ljust(20)]
    if percent != 100:
        parts.append(f"{size_text(disk.rate)}/s".rjust(12))
        if disk.seconds_left is not None:
            parts.append(f"{_rough_duration(disk.seconds_left)} left")
    return "  ".join(parts)


def _amount(copied: int, size: int) -> str:
    """Both in the unit of the size: `210.0 of 500.0 GiB`."""
    number, _, unit = size_text(size).partition(" ")
    exponent = _UNITS.index(unit)
    # A tenth of a TiB takes a quarter of an hour.
    decimals = {"bytes": 0, "TiB": 2}.get(unit, 1)
    return f"{copied / 1024**exponent:.{decimals}f} of {number} {unit}"


def _rough_duration(seconds: float) -> str:
    """A time to come, as exact as it can be known."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes else f"{max(10, round(seconds / 10) * 10)} s"


def _copying(disks: tuple[DiskProgress, ...]) -> int:
    """The number of the disk that is being copied: nbdcopy takes one after the other."""
    return max((number for number, disk in enumerate(disks) if disk.percent is not None), default=0)


def _stage(disks: tuple[DiskProgress, ...]) -> list[tuple[bool, bool, bool]]:
    """What makes the details worth another look at once: a disk is read, is copied, is done."""
    return [(disk.rate > 0, disk.percent is not None, disk.percent == 100) for disk in disks]


def _short_name(name: str, width: int) -> str:
    """A disk image's name is its path."""
    return cut(name.rpartition("/")[2] if name.startswith("/") else name, width)
