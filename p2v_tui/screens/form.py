"""A form that is longer than the screen, and how its fields are read as settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from textual.containers import VerticalScroll
from textual.widget import Widget

from p2v_tui.config import BY_KEY
from p2v_tui.errors import SettingsError
from p2v_tui.screens.widgets import FormField, Help, Line, more_of
from p2v_tui.setting import Setting

LABEL_WIDTH: Final = 25
# So many lines above a field that comes into view are shown too: its heading, or what it belongs to.
_CONTEXT: Final = 2


class WrongField(Exception):
    """A field's value is invalid. field: the widget that gets the focus."""

    def __init__(self, error: SettingsError, field: Widget) -> None:
        super().__init__(str(error))
        self.error = error
        self.field = field


class Reading(NamedTuple):
    """How one setting is read from the form. read: raises WrongField."""

    attribute: str
    read: Callable[[], Any]


class Note(Line):
    """A line that belongs to the field above it. It takes no room while it is empty."""

    def __init__(self, text: str = "", *, id: str | None = None) -> None:
        super().__init__(text, id=id, classes="note")
        self.display = bool(text)

    def say(self, text: str) -> None:
        self.display = bool(text)
        super().say(text)


class Form(VerticalScroll, inherit_bindings=False, can_focus=False):
    """A column of fields that scrolls to the one with the focus.

    inherit_bindings: the arrow keys move between the fields; Textual's would scroll line by line.
    """

    def reveal(self, widget: Widget) -> None:
        """Scrolls so that the widget is in view, in a large step, because each step repaints the whole form."""
        top, height = self._place(widget)
        above, room = round(self.scroll_y), self.size.height
        if above <= top and top + height <= above + room:
            return
        goal = top - _CONTEXT if top > above else top + height + _CONTEXT - room
        self.scroll_to(y=max(0, goal), animate=False, immediate=True)

    def turn_page(self, direction: int) -> Widget | None:
        """Scrolls by a page. Returns the first field that is then in view, None if none is."""
        step = direction * max(1, self.size.height - 1)
        goal = min(max(0, round(self.scroll_y) + step), self.max_scroll_y)
        moved = goal != round(self.scroll_y)
        self.scroll_to(y=goal, animate=False, immediate=True)
        fields = [widget for widget in self.screen.focus_chain if self in widget.ancestors]
        if not moved:
            return fields[-1 if direction > 0 else 0] if fields else None
        for widget in fields:
            top, height = self._place(widget)
            if goal <= top and top + height <= goal + self.size.height:
                return widget
        return None

    @property
    def more(self) -> str:
        """In which direction there is more of the form, in words; empty if all of it is visible."""
        return more_of(self)

    def _place(self, widget: Widget) -> tuple[int, int]:
        """Where the widget is in the form: its first line and its height."""
        row = next((it for it in widget.ancestors_with_self if isinstance(it, FormField)), widget)
        # Not from `region`: that is where the widget was last drawn, perhaps before this form was scrolled.
        above = (it for it in row.ancestors_with_self if isinstance(it, Widget) and self in it.ancestors)
        return sum(widget.virtual_region.y for widget in above), row.virtual_region.height


def setting_help(name: str, *more: str, valid: str | None = None, title: str = "") -> Help:
    """What F1 shows for a setting, from its declaration.

    more: further sentences. valid: what may be typed, where that differs from what the setting takes. title: where it
    is not the field's label.
    """
    declared = BY_KEY[f"p2v.{name}"]
    if valid is None:
        valid = "" if declared.in_field else declared.kind.valid
    return field_help(
        " ".join(filter(None, (declared.help, declared.when, *more))),
        valid=valid,
        example=declared.in_field or declared.example,
        if_wrong=declared.if_wrong,
        name=declared.short_name,
        title=title,
    )


def field_help(about: str, *, example: str, if_wrong: str, name: str, valid: str = "", title: str = "") -> Help:
    """What F1 shows for a field. name: the setting's, without `p2v.`; the other texts as `setting_help` has them."""
    facts = [valid and f"Valid: {valid}.", f"Example: {example}", if_wrong]
    return Help(
        title, "\n\n".join([about, "\n".join(filter(None, facts)), f"On the kernel command line: p2v.{name}"])
    )


def parse_field(field: FormField, declared: Setting, text: str | None = None) -> Any:
    """The setting's value in the field. text: what is parsed instead of the field's text. Raises WrongField."""
    given = field.value if text is None else text
    try:
        return declared.parse(given if declared.kind.secret else given.strip())
    except SettingsError as error:
        if not given.strip():
            error = SettingsError(f'"{field.label}" is empty.', error.advice, setting=error.setting)
        raise WrongField(error, field.input) from error
