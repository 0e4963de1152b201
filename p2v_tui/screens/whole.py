"""The rows about the whole conversion, below its disks: how far it is, how long it takes, and what it is doing.

The clock of the phase is the sign of life. In the plain look it is in the column of the percentages, so that the
cursor, which waits after it, is never far from what changes next: a tick costs two bytes.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Final

from rich.text import Text
from textual.geometry import Offset

from p2v_tui.front.ascii_text import cut
from p2v_tui.front.pace import Pace
from p2v_tui.front.pace_words import activity_text, clock_text, whole_text
from p2v_tui.screens.dressed import Dressed, shortened, style
from p2v_tui.screens.progress import DETAILS_INTERVAL, bar, bar_line, width_of_bar

_ALL, _NOW = "all", "now"
_WORDS_WIDTH: Final = 42


class WholeRows(Dressed):
    """`all  [###---]  23%  12 min so far, about 1 h left` and `now  3:20  Copying disk 1/2`.

    clock: seconds, monotonic.
    """

    def __init__(self, *, id: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(id=id)
        self._clock = clock
        self._pace: Pace | None = None
        self._name_width = len(_ALL)
        self._whole = ""
        self._looked_up: float | None = None
        self.activity = ""

    def show(self, pace: Pace, name_width: int) -> None:
        """name_width: of the disks' names above, in characters. Afterwards `activity` says what virt-v2v is doing."""
        now = self._clock()
        before = self._pace
        new = before is None or (pace.phase, pace.reading) != (before.phase, before.reading)
        if new or self._looked_up is None or now - self._looked_up >= DETAILS_INTERVAL:
            self._looked_up = now
            self._whole, self.activity = whole_text(pace), activity_text(pace)
        if before is not None and pace.phase == before.phase:
            # Updating the clock together with a percentage costs more than one after the other.
            pace = dataclasses.replace(pace, phase_seconds=before.phase_seconds)
        self._name_width = max(name_width, len(_ALL))
        self._pace = pace
        self.refresh()

    def tick(self, pace: Pace) -> None:
        """Updates only the clock."""
        if self._pace is not None and pace.phase == self._pace.phase:
            self._pace = dataclasses.replace(self._pace, phase_seconds=pace.phase_seconds)
            self.refresh()

    def render(self) -> Text:
        return Text("\n").join(self._rich_rows() if self.look.rich else map(Text, self.rows()))

    def clock_place(self) -> Offset | None:
        """The position after the clock on the screen; None in the rich look, whose terminals are fast enough."""
        if self._pace is None or self.look.rich:
            return None
        return self.content_region.offset + Offset(len(self._before_words(self._pace)), 1)

    def rows(self) -> list[str]:
        """The rows of the plain look."""
        pace, width = self._pace, self.size.width
        if pace is None:
            return []
        of_all = bar(pace.percent, width_of_bar(self._name_width, width))
        whole = f"{_ALL.ljust(self._name_width)}  [{of_all}] {pace.percent:3d}%  {self._whole}"
        return [whole[:width], cut(f"{self._before_words(pace)}   {pace.phase}", width)]

    def _before_words(self, pace: Pace) -> str:
        """The second row up to the clock's last digit, which is below the last digits of the percentages."""
        clock = clock_text(pace.phase_seconds)
        width = self._name_width + len("  [] 100") + width_of_bar(self._name_width, self.size.width)
        return _NOW.ljust(width - len(clock)) + clock

    def _rich_rows(self) -> list[Text]:
        pace, look, width = self._pace, self.look, self.size.width
        if pace is None:
            return []
        row = bar_line(_ALL.ljust(self._name_width), pace.percent, max(0, width - _WORDS_WIDTH), look)
        row.append(f"  {self._whole}", style(look, "muted"))
        now = Text(f"{_NOW.ljust(self._name_width)}  ", style(look, "ink", bold=True), no_wrap=True, end="")
        clock = clock_text(pace.phase_seconds)
        now.append(shortened(f"{clock}  {pace.phase}", max(0, width - self._name_width - 2), look))
        return [row, now]
