"""The scrolling pane with a conversion's log: the first line is its heading, the others show the log.

It follows the end until the operator scrolls back. Then it stops, says so, and follows again when the operator
returns to the end. Long lines continue in the next row. Only visible rows are made from lines, so a log of any length
costs the same. Only `show` and keys repaint it, so the caller decides how often a burst repaints.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import ClassVar, Final

from rich.cells import cell_len, chop_cells
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip

from p2v_tui.front.ascii_text import ascii_text
from p2v_tui.front.conversion_run import MAX_LINES, LogLine
from p2v_tui.screens.dressed import Dressed
from p2v_tui.screens.labels import on_screen
from p2v_tui.screens.widgets import Help
from p2v_tui.session.words.terminal_text import harmless, plain

HELP: Final = Help(
    "Output of virt-v2v",
    "What virt-v2v says on the conversion server, as it comes, and between it what p2v-tui does.\n\n"
    "Up, PageUp, Home      look back; the pane stops following\n"
    "Down, PageDown        forward\n"
    "End                   to the end; the pane follows again\n"
    "b or Ctrl-U, Space or Ctrl-N, g, G do what PageUp, PageDown, Home, End do.",
)


_LINES_OF_A_WHEEL: Final = 3
# The server's text must not blink, and must not be hidden.
_SEEN: Final = Style(blink=False, blink2=False, conceal=False)


class LogPane(Dressed, can_focus=True):
    """The plain look shows only ASCII."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "line_up", show=False),
        Binding("down", "line_down", show=False),
        Binding("pageup,b,ctrl+u", "page(-1)", show=False),
        Binding("pagedown,space,ctrl+n", "page(1)", show=False),
        Binding("home,g", "first", show=False),
        Binding("end,G", "follow", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self.help = HELP
        self._lines: list[LogLine] = []
        # The row at the top: the number of its line, and which row of that line. None while the pane follows the end.
        self._top: tuple[int, int] | None = None

    @property
    def following(self) -> bool:
        return self._top is None

    @property
    def next_number(self) -> int:
        """The number of the first line that has not been given to `show`."""
        return self._lines[-1].number + 1 if self._lines else 0

    def show(self, lines: Sequence[LogLine]) -> None:
        """Adds the lines, all at once. Lines that it already has are skipped."""
        new = [line for line in lines if line.number >= self.next_number]
        if not new:
            return
        if new[0].number != self.next_number:
            # More lines came at once than are kept.
            self._lines.clear()
        self._lines += new
        if len(self._lines) > 2 * MAX_LINES:
            del self._lines[:-MAX_LINES]
        if self._top is not None and self._top[0] < self._lines[0].number:
            self._top = (self._lines[0].number, 0)
            self.refresh()
        elif self._top is None:
            self.refresh()
        else:
            self._refresh_heading()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        y -= self._heading_rows
        if y < 0:
            return Strip([*self._heading(width).render(self.app.console)], width).apply_style(self.rich_style)
        rows = self._visible_rows()
        if y >= len(rows):
            return Strip.blank(width, self.rich_style)
        row = self._row(*rows[y])
        strip = Strip([*row.render(self.app.console)])
        return strip.adjust_cell_length(width).apply_style(self.rich_style)

    def action_line_up(self) -> None:
        top = self._first_row()
        if top is None or self._before(top) is None:
            # At the beginning, Up moves the focus as everywhere else.
            if self._top is None:
                self.screen.focus_previous()
            return
        self._go_to(self._before(top))

    def action_line_down(self) -> None:
        if self._top is None:
            self.screen.focus_next()
            return
        self._go_to(self._after(self._top))

    def action_page(self, direction: int) -> None:
        top = self._first_row()
        for _ in range(max(1, self._height - 1)):
            step = None if top is None else self._before(top) if direction < 0 else self._after(top)
            if step is None:
                break
            top = step
        if direction < 0 or self._top is not None:
            self._go_to(top)

    def action_first(self) -> None:
        if self._lines:
            self._go_to((self._lines[0].number, 0))

    def action_follow(self) -> None:
        self._go_to(None)

    def on_focus(self) -> None:
        self._refresh_heading()

    def on_blur(self) -> None:
        self._refresh_heading()

    async def on_mouse_scroll_up(self) -> None:
        self._scroll(self._before)

    async def on_mouse_scroll_down(self) -> None:
        self._scroll(self._after)

    def _scroll(self, step: Callable[[tuple[int, int]], tuple[int, int] | None]) -> None:
        top = self._first_row()
        for _ in range(_LINES_OF_A_WHEEL):
            top = (step(top) or top) if top is not None else None
        self._go_to(top)

    def _refresh_heading(self) -> None:
        """The rich look shows it on the frame."""
        self.border_title = Text(self._words).markup
        if not self.look.rich:
            self.refresh(Region(0, 0, self.size.width, 1))

    def dress(self) -> None:
        super().dress()
        self._refresh_heading()

    def on_mount(self) -> None:
        self._refresh_heading()

    @property
    def _heading_rows(self) -> int:
        return 0 if self.look.rich else 1

    @property
    def _height(self) -> int:
        return max(0, self.size.height - self._heading_rows)

    @property
    def _words(self) -> str:
        """The heading: whether it follows, and the keys."""
        if self._top is not None:
            last = self._lines[-1].number + 1
            return f"LOOKING BACK: line {self._top[0] + 1} of {last}; End: follow again"
        return "Output of virt-v2v; Up, PageUp, Home: look back" if self._in_focus else "Output of virt-v2v"

    def _heading(self, width: int) -> Text:
        words = self._words
        mark = ">" if self._in_focus else "-"
        text = f"{mark}- {words} ".ljust(width, "-")[:width]
        heading = Text(text, end="", no_wrap=True)
        if self._in_focus:
            heading.stylize("bold")
        return heading

    @property
    def _in_focus(self) -> bool:
        """Asks the screen: the widget itself learns of its focus only after it was painted once without it."""
        return self.screen.focused is self

    def _go_to(self, top: tuple[int, int] | None) -> None:
        """Stops at this row, or follows again if the end is then visible."""
        if top is not None:
            end = self._end_row()
            top = None if end is None or top >= end else top
        if top != self._top:
            self._top = top
            self._refresh_heading()
            self.refresh()

    def _first_row(self) -> tuple[int, int] | None:
        return self._end_row() if self._top is None else self._valid(self._top)

    def _end_row(self) -> tuple[int, int] | None:
        """The row that is at the top when the last row is at the bottom."""
        if not self._lines:
            return None
        last = self._lines[-1].number
        row: tuple[int, int] = (last, len(self._rows_of(last)) - 1)
        for _ in range(self._height - 1):
            before = self._before(row)
            if before is None:
                break
            row = before
        return row

    def _visible_rows(self) -> list[tuple[int, int]]:
        row = self._first_row()
        rows: list[tuple[int, int]] = []
        while row is not None and len(rows) < self._height:
            rows.append(row)
            row = self._after(row)
        return rows

    def _valid(self, row: tuple[int, int]) -> tuple[int, int]:
        """The row, or the last row of its line if the pane has become wider."""
        return row[0], min(row[1], len(self._rows_of(row[0])) - 1)

    def _before(self, row: tuple[int, int]) -> tuple[int, int] | None:
        number, part = row
        if part > 0:
            return number, part - 1
        if number == self._lines[0].number:
            return None
        return number - 1, len(self._rows_of(number - 1)) - 1

    def _after(self, row: tuple[int, int]) -> tuple[int, int] | None:
        number, part = row
        if part + 1 < len(self._rows_of(number)):
            return number, part + 1
        return (number + 1, 0) if number < self._lines[-1].number else None

    def _row(self, number: int, part: int) -> Text:
        return self._rows_of(number)[part]

    def _rows_of(self, number: int) -> tuple[Text, ...]:
        line = self._lines[number - self._lines[0].number]
        return rows_of(
            line.text,
            ours=line.kind is None,
            width=max(1, self.size.width),
            ascii_only=not self.look.rich,
        )


@lru_cache(maxsize=512)
def rows_of(text: str, *, ours: bool, width: int, ascii_only: bool) -> tuple[Text, ...]:
    """The rows of one line. SGR colours become styles; all other sequences are removed."""
    text = f"p2v-tui: {on_screen(plain(text))}" if ours else harmless(text)
    text = ascii_text(text) if ascii_only else text
    try:
        whole = Text.from_ansi(text)
    except ValueError:
        # A colour with more digits than Python converts to a number.
        whole = Text(plain(text))
    whole.expand_tabs(8)
    whole.stylize(_SEEN)
    offsets = list(itertools.accumulate(map(len, _pieces(whole.plain, width))))[:-1]
    rows = whole.divide(offsets)
    for row in rows:
        row.end = ""
        row.no_wrap = True
    return tuple(rows)


def _pieces(text: str, width: int) -> list[str]:
    """The text cut to rows of at most `width` cells, after a space if the second half of the row has one."""
    pieces = []
    while cell_len(text[: width + 1]) > width or len(text) > width:
        # A character may be two cells wide, or zero.
        fits = chop_cells(text[:width], width)[0] or text[0]
        space = fits.rfind(" ")
        piece = text[: space + 1] if space > len(fits) // 2 else fits
        pieces.append(piece)
        text = text[len(piece) :]
    return [*pieces, text]
