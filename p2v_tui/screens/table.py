"""Rows with check boxes, in columns below a line of titles, as the rich look shows a list of devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from p2v_tui.screens.dressed import Dressed, shortened, style
from p2v_tui.screens.look import Look
from p2v_tui.screens.widgets import Help, Toggle

_BETWEEN: Final = 2
# What precedes the columns: the mark of the focus and the box, each with a blank after it.
_BEFORE: Final = 6


@dataclass(frozen=True)
class Cell:
    """colour: a name of the palette."""

    text: str
    colour: str = "ink"


@dataclass(frozen=True)
class Column:
    """least: its smallest width, in cells."""

    title: str
    least: int = 4


@dataclass(frozen=True)
class Table:
    """rows: called whenever something is drawn."""

    columns: tuple[Column, ...]
    rows: Callable[[], Sequence[Sequence[Cell]]]

    def titles(self, room: int, look: Look) -> Text:
        return self.line([Cell(column.title, "muted") for column in self.columns], room, look)

    def line(self, cells: Sequence[Cell], room: int, look: Look) -> Text:
        """The cells in their columns. room: the width of the whole row, in cells."""
        text = Text(no_wrap=True)
        for cell, width in zip(cells, self._widths(room - _BEFORE), strict=True):
            fitted = shortened(cell.text, width, look)
            text.append(fitted + " " * (width - cell_len(fitted) + _BETWEEN), style(look, cell.colour))
        return text

    def _widths(self, room: int) -> list[int]:
        """The columns are as wide as their content. If that is too wide, the widest ones become narrower."""
        rows = self.rows()
        widths = [
            max([cell_len(column.title), *(cell_len(row[number].text) for row in rows)])
            for number, column in enumerate(self.columns)
        ]
        room -= _BETWEEN * (len(widths) - 1)
        while sum(widths) > room:
            spare = [width - column.least for width, column in zip(widths, self.columns, strict=True)]
            widest = max(
                (number for number in range(len(widths)) if spare[number] > 0), key=widths.__getitem__, default=None
            )
            if widest is None:
                break
            widths[widest] -= 1
        return widths


class TableHead(Dressed):
    """The titles of the columns."""

    def __init__(self, table: Table) -> None:
        super().__init__(classes="table-head rich-only")
        self._table = table

    def render(self) -> Text:
        return Text(" " * _BEFORE, no_wrap=True).append_text(self._table.titles(self.size.width, self.look))


class TableToggle(Toggle):
    """A toggle that shows its cells in a look with columns, else its label."""

    def __init__(
        self, table: Table, cells: Callable[[], Sequence[Cell]], label: str, *, help: Help, value: bool, name: str
    ) -> None:
        super().__init__(label, help=help, value=value, name=name)
        self._table = table
        self._cells = cells

    def words(self) -> Text:
        if not self.look.rich:
            return super().words()
        return self._table.line(self._cells(), self.size.width, self.look)
