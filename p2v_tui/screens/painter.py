"""Writes what Textual paints in fewer bytes, for slow lines.

Textual paints a new screen several times until its layout is final, and each time all of it. A frame that a later one
paints over is not written at all, and a screen that is mostly new starts from an empty one, so that its blanks cost
nothing. tmux, between us and a console, then passes on what changed. On a VT220 that turned a first paint of 1552
bytes into 1100.

Nothing here knows Textual: text comes in as it would go to the terminal, and text goes out (`textual_private.py` puts
the painter between the two).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from rich.cells import cell_len

# How long a frame waits for the next one, in seconds. Textual lays out a new screen in about 40 ms.
HOLD_SECONDS: Final = 0.06
# A shorter text is not a frame but a change of a few cells, such as a key makes. It is written at once.
_FRAME_CHARACTERS: Final = 1000
CLEAR: Final = "\x1b[2J"
_HOME: Final = "\x1b[H"
_ROW: Final = re.compile(r"\x1b\[(\d+);\d+H")
# What frames are made of: a place, a style, a line end, text; and what else there is.
_TOKEN: Final = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[([\d;]*)m|(\n)|([^\x1b\n]+)|\x1b")
_NO_STYLE: Final = frozenset({"", "0", "39", "49"})
# For fewer blanks it does not pay to move the cursor.
_FEW_BLANKS: Final = 4
# The position of the cursor after a frame.
_CURSOR: Final = re.compile(r"(\x1b\[\d+;\d+H)$")


class Shown(NamedTuple):
    """The screen that is shown, as anything that identifies it, and its size in cells."""

    screen: object
    width: int
    height: int


def is_frame(data: str, height: int) -> bool:
    """Whether it paints every line, from the first on."""
    return data.startswith("\x1b[1;1H") and data.count("\n") >= height - 1


class Painter:
    """write: writes to the terminal. shown: what is on it now.

    Called from the loop's thread; before and after the loop nothing is held back.
    """

    def __init__(self, write: Callable[[str], None], shown: Callable[[], Shown]) -> None:
        self._write = write
        self._shown = shown
        # A frame that waits, and what came after it.
        self._frame = ""
        self._changes = ""
        self._hold: asyncio.TimerHandle | None = None
        # The lines of the last frame, the screen that they belong to, and the rows changed since, counted from 1.
        self._lines: tuple[str, ...] = ()
        self._screen: object = None
        self._changed_rows: frozenset[int] = frozenset()
        # For each row, a range of columns (the end is not included) that are blank and stay so without being written.
        self._blank: dict[int, tuple[int, int]] = {}

    def paint(self, data: str) -> None:
        """Writes at once, or a little later what belongs to a frame."""
        if self._hold is None and len(data) < _FRAME_CHARACTERS:
            self._write_changes(data)
            return
        if is_frame(data, self._shown().height):
            self._frame, self._changes = data, ""
        else:
            self._changes += data
        if self._hold is None:
            try:
                self._hold = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._release)
            except RuntimeError:
                # The loop has ended, so nothing more can paint over this.
                self._release()

    def end(self) -> None:
        """Writes what waits. Afterwards the terminal belongs to another program and shows nothing of ours."""
        self._release()
        self._lines = ()

    def _release(self) -> None:
        if self._hold is not None:
            self._hold.cancel()
        frame, changes = self._frame, self._changes
        self._frame, self._changes, self._hold = "", "", None
        if frame:
            self._write_frame(frame)
        if changes:
            self._write_changes(changes)

    def _write_changes(self, data: str) -> None:
        if CLEAR in data:
            self._lines = ()
        self._changed_rows |= {int(row) for row in _ROW.findall(data)}
        self._write(self._without_blanks(data))

    def _write_frame(self, frame: str) -> None:
        """Writes the lines that are not yet on the screen, or all of them to an empty one."""
        found = _CURSOR.search(frame)
        body, cursor = (frame[: found.start()], found[0]) if found else (frame, "")
        lines = tuple(body.split("\n"))
        screen, width, _ = self._shown()
        same = [line == before for line, before in zip(lines, self._lines, strict=False)]
        if len(lines) != len(self._lines) or (screen is not self._screen and 2 * sum(same) < len(lines)):
            self._blank = dict.fromkeys(range(1, len(lines) + 1), (0, width))
            text = _HOME + CLEAR + self._without_blanks("\n".join(lines))
        else:
            new = [line for row, line in enumerate(lines, 1) if not same[row - 1] or row in self._changed_rows]
            text = self._without_blanks("\n".join(new))
        self._lines, self._screen, self._changed_rows = lines, screen, frozenset()
        self._write(text + cursor)

    def _without_blanks(self, data: str) -> str:
        """The same without the blanks that are there already.

        tmux tells written blanks from cells that were never written to, and would pass them on.
        """
        out, row, column, unstyled = [], 0, 0, True
        for token in _TOKEN.finditer(data):
            to_row, to_column, style, line_end, text = token.groups()
            written = token[0]
            if to_row is not None:
                row, column = int(to_row), int(to_column) - 1
            elif style is not None:
                unstyled = _NO_STYLE.issuperset(style.split(";"))
            elif text is not None:
                end = column + cell_len(text)
                if unstyled and not text.strip(" "):
                    written = self._blanks(row, column, end)
                else:
                    self._not_blank(row, column, end)
                column = end
            elif line_end is None:
                # Another sequence may do anything.
                self._blank.clear()
                return data
            out.append(written)
        return "".join(out)

    def _blanks(self, row: int, start: int, end: int) -> str:
        """The text that makes these columns of the row blank."""
        first, last = self._blank.get(row, (start, start))
        left, right = max(start, first), min(end, last)
        if left > right:
            if end - start > last - first:
                self._blank[row] = (start, end)
            return " " * (end - start)
        self._blank[row] = (min(start, first), max(end, last))
        if right - left <= _FEW_BLANKS:
            return " " * (end - start)
        return f"{' ' * (left - start)}\x1b[{right - left}C{' ' * (end - right)}"

    def _not_blank(self, row: int, start: int, end: int) -> None:
        first, last = self._blank.get(row, (0, 0))
        if start < last and end > first:
            before, behind = (first, min(start, last)), (max(end, first), last)
            self._blank[row] = before if before[1] - before[0] > behind[1] - behind[0] else behind
