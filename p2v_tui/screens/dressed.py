"""Widgets that ask the application's look how to draw themselves, and texts as a look shows them.

`plain-only` and `rich-only` are classes of the stylesheet for widgets that only one look has.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.dom import DOMNode
from textual.widget import Widget

from p2v_tui.front.ascii_text import cut
from p2v_tui.screens.look import MARK_COLOURS, Look
from p2v_tui.session.words.terminal_text import plain


@runtime_checkable
class HasLook(Protocol):
    """The application."""

    @property
    def look(self) -> Look: ...


def look_of(node: DOMNode) -> Look:
    """The look of the node's application; plain if it has none."""
    app = node.app
    return app.look if isinstance(app, HasLook) else Look.PLAIN


class Dressed(Widget):
    """A widget that draws itself in the application's look."""

    @property
    def look(self) -> Look:
        return look_of(self)

    def dress(self) -> None:
        """Called when the look has changed."""
        self.refresh(layout=True)


def style(look: Look, colour: str, *, bold: bool = False) -> Style:
    """colour: a name of the palette. The plain look shows only bold."""
    return Style(color=getattr(look.palette, colour), bold=bold or None) if look.rich else Style(bold=bold or None)


def with_marks(text: str, look: Look) -> Text:
    """The text. In the rich look, the marks at the beginning of lines become signs in the colour of their meaning."""
    if not look.rich or "[" not in text:
        return Text(text)
    dressed = Text()
    for number, line in enumerate(text.split("\n")):
        if number:
            dressed.append("\n")
        mark = next((mark for mark in MARK_COLOURS if line.startswith(mark)), None)
        if mark is not None:
            dressed.append(look.glyphs.marks[mark], style(look, MARK_COLOURS[mark], bold=True))
        dressed.append(line.removeprefix(mark or ""))
    return dressed


def shortened(text: str, width: int, look: Look) -> str:
    """The text on one line, without control characters, and with an ellipsis if it is wider than `width`."""
    if not look.rich:
        return cut(text, width)
    text = plain(text)
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + look.glyphs.ellipsis
