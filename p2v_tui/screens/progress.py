"""How far a conversion is, in characters: the phases in columns, a bar for each disk, and the throughput as a graph.

Each cell that changes costs time on a serial line. So the bar and the percentage are always current, while the bytes,
the rate and the time left are updated less often and rounded.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from rich.cells import cell_len
from rich.color import Color
from rich.console import Group
from rich.text import Text
from textual.app import RenderResult
from textual.geometry import Size

from p2v_tui.front.ascii_text import cut
from p2v_tui.front.pace_words import rough_duration
from p2v_tui.front.phases import Phase, PhaseState, current_phase
from p2v_tui.screens.dressed import Dressed, shortened, style, with_marks
from p2v_tui.screens.look import Look
from p2v_tui.session.words.events import DiskProgress
from p2v_tui.session.words.quantities import SIZE_UNITS, size_text

# How often bytes, rate and time left change on the screen, in seconds.
DETAILS_INTERVAL: Final = 10.0
_COLUMN_WIDTH: Final = 40
# The same with marks of one cell.
_NARROW_COLUMN_WIDTH: Final = 36
_BAR_WIDTHS: Final = (8, 40)
# The part of a disk's line around its name and bar, when its words are longest.
_WORDS_WIDTH: Final = 63
_NAME_WIDTHS: Final = (9, 16)
# Two blanks before the bar, and the percentage behind it.
_AROUND_A_BAR: Final = 7
# The graph of the throughput remembers two hours, a value for each second.
_MOST_RATES: Final = 7200


class PhaseList(Dressed):
    """`[ ok ] done`, `[ .. ] current`, `[    ] to come`, in as many columns as fit.

    If there is not room for all phases, those around the current one are shown and the others are counted.
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
        room = max(3, viewport.height // (2 if self.look.rich and width < viewport.width // 2 else 3) - 1)
        return min(-(-len(self._phases) // _phase_columns(width, self.look)), room)

    def render(self) -> Text:
        return phases_text(self._phases, self.size.width, self.size.height, self.look)


def _phase_columns(width: int, look: Look) -> int:
    return max(1, width // (_NARROW_COLUMN_WIDTH if look.rich else _COLUMN_WIDTH))


def phases_text(phases: tuple[Phase, ...], width: int, height: int, look: Look = Look.PLAIN) -> Text:
    columns = _phase_columns(width, look)
    cells = _phase_cells(phases, columns * height)
    text = Text(no_wrap=True, end="")
    for row in range(height):
        for column in range(columns):
            number = column * height + row
            if number < len(cells):
                text.append_text(_cell(*cells[number], width // columns, look))
        if row + 1 < height:
            text.append("\n")
    return text


def _cell(state: PhaseState, words: str, width: int, look: Look) -> Text:
    """A phase with its mark, padded."""
    current = state in {PhaseState.RUNNING, PhaseState.FAILED}
    line = with_marks(shortened(f"{state.value} {words}", width - 1, look), look)
    if current:
        line.stylize("bold")
    elif look.rich:
        line.stylize(style(look, "muted"), 1)
    line.pad_right(width - cell_len(line.plain))
    return line


def _phase_cells(phases: tuple[Phase, ...], room: int) -> list[tuple[PhaseState, str]]:
    first, last = window(len(phases), current_phase(phases), room)
    cells = [(each.state, each.name) for each in phases[first:last]]
    if first > 0:
        cells[0] = (PhaseState.DONE, f"{first + 1} phases before")
    if last < len(phases):
        cells[-1] = (PhaseState.WAITING, f"{len(phases) - last + 1} more phases")
    return cells


def window(count: int, current: int, room: int) -> tuple[int, int]:
    """Which of `count` entries to show in `room` places, so that the current one has neighbours on both sides."""
    if count <= room:
        return 0, count
    first = min(max(0, current - room // 2), count - room)
    return first, first + room


class DiskBars(Dressed):
    """`sda  [####------]  42%  ...`, a line for each disk. clock: seconds, monotonic.

    If there is not room for all disks, those around the one being copied are shown.
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
        del container
        return min(len(self._disks), max(3, viewport.height // 8)) * self._lines_of_a_disk(width)

    def _lines_of_a_disk(self, width: int) -> int:
        """The rich look shows the figures below the bar if they do not fit beside it."""
        return 2 if self.look.rich and width < _WORDS_WIDTH + _NAME_WIDTHS[0] else 1

    def render(self) -> Text:
        if self.look.rich:
            return Text("\n").join(self._rich_rows())
        return Text("\n".join(self.rows()), no_wrap=True, end="")

    def _rich_rows(self) -> list[Text]:
        width, look = self.size.width, self.look
        lines = self._lines_of_a_disk(width)
        first, last = window(len(self._disks), _copying(self._disks), self.size.height // lines)
        names = [shortened(_base_name(disk.name), _NAME_WIDTHS[1], look) for disk in self._disks]
        longest = max(map(cell_len, names), default=0)
        beside = _WORDS_WIDTH - _AROUND_A_BAR if lines == 1 else 0
        rows = []
        for number in range(first, last):
            disk, details = self._disks[number], details_text(self._details[number], self._disks[number].percent)
            row = bar_line(names[number].ljust(longest), disk.percent, width - beside, look)
            row.append(" " if lines == 1 else "\n".ljust(longest + 3))
            rows.append(row.append(" ".join(details.split()) if lines == 2 else details, style(look, "muted")))
        return rows

    @property
    def name_width(self) -> int:
        """The width of the column of names in the plain look, for the rows below that use the same columns."""
        return max(map(len, self._short_names()), default=0)

    def _short_names(self) -> list[str]:
        low, high = _NAME_WIDTHS
        room = min(max(self.size.width - _WORDS_WIDTH - _BAR_WIDTHS[0], low), high)
        return [_short_name(disk.name, room) for disk in self._disks]

    def rows(self) -> list[str]:
        width, height = self.size.width, self.size.height
        first, last = window(len(self._disks), _copying(self._disks), height)
        names, longest = self._short_names(), self.name_width
        rows = [
            disk_row(name.ljust(longest), disk, details, width)
            for name, disk, details in zip(names, self._disks, self._details, strict=True)
        ][first:last]
        if first > 0:
            rows[0] = f"{first + 1} disks before this one are done"
        if last < len(self._disks):
            rows[-1] = f"{len(self._disks) - last + 1} more disks to copy"
        return rows


class Throughput(Dressed):
    """A graph of the bytes per second over the time of the conversion. Only the rich look shows it."""

    def __init__(self, *, id: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(id=id)
        self._clock = clock
        self._rates: deque[float] = deque(maxlen=_MOST_RATES)
        self._taken: float | None = None

    def show(self, disks: tuple[DiskProgress, ...]) -> None:
        """Takes the current rate of all disks together, at most once a second."""
        now = self._clock()
        if self._taken is None or now - self._taken >= 1:
            self._taken = now
            self._rates.append(sum(disk.rate for disk in disks))
            if self.display:
                self.refresh()

    def render(self) -> RenderResult:
        # Imported only when needed: the plain look does not use it.
        from textual.renderables.sparkline import Sparkline  # noqa: PLC0415

        palette, rates = self.look.palette, self._rates
        now, most = (f"{size_text(rate)}/s" for rate in (rates[-1] if rates else 0, max(rates, default=0)))
        words = Text(f"Throughput: {now}, at most {most}", style(self.look, "muted"), no_wrap=True)
        graph = Sparkline(
            # The graph starts at zero.
            [0.0, *rates],
            width=self.size.width,
            height=max(1, self.size.height - 1),
            min_color=Color.parse(palette.edge),
            max_color=Color.parse(palette.title),
            summary_function=statistics.fmean,
        )
        return Group(words, graph)


def bar_line(name: str, percent: int | None, width: int, look: Look) -> Text:
    """`sda ━━━━━━──── 42%` of the width, for the rich look. percent: None if it has not begun."""
    bar_width = max(4, width - cell_len(name) - _AROUND_A_BAR)
    full = bar_width * (percent or 0) // 100
    line = Text(no_wrap=True, end="").append(f"{name}  ", style(look, "ink", bold=True))
    line.append(look.glyphs.full * full, style(look, "good" if percent == 100 else "title"))
    line.append(look.glyphs.empty * (bar_width - full), style(look, "edge"))
    return line.append("   --" if percent is None else f" {percent:3d}%", style(look, "ink"))


def disk_row(name: str, disk: DiskProgress, details: DiskProgress, width: int) -> str:
    """One disk on one line. details: the same disk as it was when bytes, rate and time left were looked up."""
    bar_width = width_of_bar(len(name), width)
    percent = "  --" if disk.percent is None else f"{disk.percent:3d}%"
    return f"{name}  [{bar(disk.percent, bar_width)}] {percent}  {details_text(details, disk.percent)}"[:width]


def width_of_bar(name_width: int, width: int) -> int:
    """Independent of the words, or the bar would jump."""
    low, high = _BAR_WIDTHS
    return min(max(width - name_width - _WORDS_WIDTH, low), high)


def bar(percent: int | None, width: int) -> str:
    full = width * (percent or 0) // 100
    return "#" * full + "-" * (width - full)


def details_text(disk: DiskProgress, percent: int | None) -> str:
    """percent: the current one. The columns keep their places while the numbers grow."""
    # What is read before the copy, to inspect and convert the guest, does not count.
    read_only = disk.copied is None and disk.served
    amount = f"{size_text(disk.served)} read" if read_only else _amount(disk.copied or 0, disk.size)
    parts = [amount.ljust(20)]
    if percent != 100:
        parts.append(f"{size_text(disk.rate)}/s".rjust(12))
        if disk.seconds_left is not None:
            parts.append(f"{rough_duration(disk.seconds_left)} left")
    return "  ".join(parts)


def _amount(copied: int, size: int) -> str:
    """Both in the unit of the size: `210.0 of 500.0 GB`."""
    unit = size_text(size).rpartition(" ")[2]
    # A tenth of a TB takes a quarter of an hour.
    decimals = {"bytes": 0, "TB": 2}.get(unit, 1)
    whole = 1000 ** SIZE_UNITS.index(unit)
    return f"{copied / whole:.{decimals}f} of {size / whole:.{decimals}f} {unit}"


def _copying(disks: tuple[DiskProgress, ...]) -> int:
    """The number of the disk that is being copied: nbdcopy copies one after the other."""
    return max((number for number, disk in enumerate(disks) if disk.percent is not None), default=0)


def _stage(disks: tuple[DiskProgress, ...]) -> list[tuple[bool, bool, bool]]:
    """The details are updated at once when this changes: a disk is being read, being copied, or done."""
    return [(disk.rate > 0, disk.percent is not None, disk.percent == 100) for disk in disks]


def _short_name(name: str, width: int) -> str:
    return cut(_base_name(name), width)


def _base_name(name: str) -> str:
    """The name of a disk image is its path."""
    return name.rpartition("/")[2] if name.startswith("/") else name
