"""A panel beside the others with more about the focused widget, if there is room for it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget

from p2v_tui.screens.dressed import Dressed
from p2v_tui.screens.widgets import Help, Line, Panel


@runtime_checkable
class HasDetails(Protocol):
    """A widget with more to tell than its help."""

    def details(self) -> Help: ...


class SidePanel(Panel, Dressed):
    """The details of a device, else the help of a field. The stylesheet shows it in the rich look on wide screens."""

    def __init__(self) -> None:
        super().__init__("Details", titled=False, id="side")
        self._of: Widget | None = None

    def compose(self) -> ComposeResult:
        yield Line("")

    def show(self, widget: Widget | None) -> None:
        """Shows the details of this widget from now on."""
        self._of = widget
        self.dress()

    def dress(self) -> None:
        if not self.look.rich:
            return
        found = self._found()
        self.border_title = Text(found.title or "Details").markup
        self.query_one(Line).show(found.text)

    def _found(self) -> Help:
        around = self._of.ancestors_with_self if self._of else []
        for ancestor in around:
            if isinstance(ancestor, HasDetails):
                return ancestor.details()
        for ancestor in around:
            if isinstance(found := getattr(ancestor, "help", None), Help):
                return Help(found.title or getattr(ancestor, "label", ""), found.text)
        return Help("Details", "")
