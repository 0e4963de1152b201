"""The few widgets that all screens are made of, one line high and made of characters that every console has.

Focus, checked and selected are told by characters: `>` in front of what has the focus, `[x]` for checked. Colour
comes on top, where there is one. Nothing blinks and nothing moves: every cell that changes costs time on a serial
line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Static

from p2v_tui.front.ascii_text import cut


@dataclass(frozen=True)
class Help:
    """What F1 shows for a widget. title: empty where the widget's label is. text: paragraphs."""

    title: str
    text: str


class Line(Static):
    """Text that cannot be focused. No markup: texts come from disks and servers."""

    def __init__(self, text: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(Text(text), id=id, classes=classes, markup=False)

    def show(self, text: str) -> None:
        """Replaces the text; nothing is repainted where it is the same."""
        if text != self.text:
            self.update(Text(text))

    @property
    def text(self) -> str:
        content = self.content
        return content.plain if isinstance(content, Text) else str(content)


class Row(Widget):
    """A line of text that cannot be focused and stays one line: what is too long is cut."""

    text: reactive[str] = reactive("")

    def show(self, text: str) -> None:
        """Replaces the text; nothing is repainted where it is the same."""
        self.text = text

    def render(self) -> Text:
        return Text(cut(self.text, self.size.width), no_wrap=True, end="")


def more_of(scrolled: Widget) -> str:
    """Which way there is more than is seen of what scrolls, in words; empty where all is seen."""
    above, below = round(scrolled.scroll_y) > 0, round(scrolled.scroll_y) < scrolled.max_scroll_y
    if not above and not below:
        return ""
    where = " and ".join(word for word, there in (("above", above), ("below", below)) if there)
    arrows = ("^" if above else " ") + ("v" if below else " ")
    return f" {arrows} more {where} (PageUp, PageDown)"


class Heading(Line):
    """The name of a part of a screen."""


class FormField(Horizontal):
    """A labelled input: `> Label: [text      ]`. Its id is the input's too, with `-input` behind it.

    label_width: characters. The label's line turns into a mark of trouble when `mark_wrong` is called.
    """

    def __init__(
        self,
        label: str,
        *,
        id: str,
        help: Help,
        value: str = "",
        label_width: int = 22,
        password: bool = False,
        width: int | None = None,
    ) -> None:
        super().__init__(id=id, classes="form-field")
        self.help = help
        self.input = FieldInput(value=value, password=password, id=f"{id}-input")
        self._label = label
        self._label_width = label_width
        if width is not None:
            self.input.styles.width = width

    def compose(self) -> ComposeResult:
        yield Line(" ", classes="mark")
        yield Line(f"{self._label}:".rjust(self._label_width), classes="label")
        yield Line(" [", classes="bracket")
        yield self.input
        yield Line("]", classes="bracket")

    def on_descendant_focus(self) -> None:
        self.query_one(".mark", Line).show(">")

    def on_descendant_blur(self) -> None:
        self.query_one(".mark", Line).show(" ")

    @property
    def value(self) -> str:
        return self.input.value

    @value.setter
    def value(self, text: str) -> None:
        self.input.value = text

    @property
    def label(self) -> str:
        return self._label

    def set_enabled(self, enabled: bool) -> None:
        self.input.disabled = not enabled

    def set_label(self, label: str) -> None:
        """Another label, before or after the field is shown."""
        self._label = label
        for line in self.query(".label").results(Line):
            line.show(f"{label}:".rjust(self._label_width))


class FieldInput(Input):
    """An input without a border, a blinking cursor or a selection of its own colour."""

    def __init__(self, *, value: str, password: bool, id: str) -> None:
        super().__init__(value, password=password, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False

    def put(self, character: str) -> None:
        """Types a character where the cursor is, in place of what is selected."""
        if self.selection.is_empty:
            self.insert_text_at_cursor(character)
        else:
            self.replace(character, *self.selection)

    def render_line(self, y: int) -> Strip:
        """A password behind stars: Textual hides it behind bullets, which a VT220 does not have."""
        strip = super().render_line(y)
        if not self.password:
            return strip
        starred = (Segment(text.replace("\N{BULLET}", "*"), style, control) for text, style, control in strip)
        return Strip(starred, strip.cell_length)


class Toggle(Widget, can_focus=True):
    """`> [x] label`, switched by Space or Enter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space,enter", "switch", show=False)]

    value: reactive[bool] = reactive(False)
    label: reactive[str] = reactive("", layout=True)

    class Changed(Message):
        def __init__(self, toggle: Toggle, value: bool) -> None:
            super().__init__()
            self.toggle = toggle
            self.value = value

        @property
        def control(self) -> Toggle:
            return self.toggle

    def __init__(
        self, label: str, *, help: Help, value: bool = False, id: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(id=id, name=name)
        self.help = help
        self.set_reactive(Toggle.value, value)
        self.set_reactive(Toggle.label, label)

    def render(self) -> Text:
        box = "[x]" if self.value else "[ ]"
        if self.is_disabled:
            box = "(x)" if self.value else "( )"
        return Text(f"{'>' if self.has_focus else ' '} {box} {self.label}", no_wrap=True, overflow="ellipsis")

    def action_switch(self) -> None:
        self.value = not self.value
        self.post_message(self.Changed(self, self.value))


class Choice(Widget, can_focus=True):
    """`> Label: < value >`, changed by Left and Right, or by Space and Enter to the next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space,enter", "step(1)", show=False),
        Binding("left", "step(-1)", show=False),
    ]

    value: reactive[str] = reactive("")

    class Changed(Message):
        def __init__(self, choice: Choice, value: str) -> None:
            super().__init__()
            self.choice = choice
            self.value = value

        @property
        def control(self) -> Choice:
            return self.choice

    def __init__(
        self, label: str, options: Sequence[str], *, id: str, help: Help, value: str, label_width: int = 22
    ) -> None:
        super().__init__(id=id)
        self.help = help
        self.label = label
        self._label = f"{label}:".rjust(label_width)
        self._options = tuple(options)
        self.set_reactive(Choice.value, value)

    def render(self) -> Text:
        changeable = len(self._options) > 1 and not self.is_disabled
        arrows = ("<", ">") if changeable else (" ", " ")
        longest = max((len(option) for option in self._options), default=0)
        text = f"{'>' if self.has_focus else ' '}{self._label} {arrows[0]} {self.value.ljust(longest)} {arrows[1]}"
        return Text(text, no_wrap=True, overflow="ellipsis")

    def offer(self, options: Sequence[str]) -> None:
        """Other options; the value stays, also where it is not among them."""
        self._options = tuple(options)
        self.refresh(layout=True)

    def set_options(self, options: Sequence[str]) -> None:
        """Other options; the value stays where it is among them, else it is the first."""
        self._options = tuple(options)
        if self.value not in self._options and self._options:
            self.value = self._options[0]
        self.refresh()

    def action_step(self, step: int) -> None:
        if len(self._options) > 1:
            position = self._options.index(self.value) if self.value in self._options else 0
            self.value = self._options[(position + step) % len(self._options)]
            self.post_message(self.Changed(self, self.value))


class Action(Widget, can_focus=True):
    """`>[ Label ]`, pressed by Enter or Space. `( Label )` when it cannot be pressed now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "press", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("left", "app.focus_previous", show=False),
    ]

    label: reactive[str] = reactive("", layout=True)

    class Pressed(Message):
        def __init__(self, action: Action) -> None:
            super().__init__()
            self.action = action

        @property
        def control(self) -> Action:
            return self.action

    def __init__(self, label: str, *, id: str, help: Help, disabled: bool = False) -> None:
        super().__init__(id=id, disabled=disabled)
        self.help = help
        self.set_reactive(Action.label, label)

    def render(self) -> Text:
        left, right = ("(", ")") if self.disabled else ("[", "]")
        return Text(f"{'>' if self.has_focus else ' '}{left} {self.label} {right}", no_wrap=True)

    def get_content_width(self, container: object, viewport: object) -> int:
        del container, viewport
        return len(self.label) + 5

    def action_press(self) -> None:
        self.post_message(self.Pressed(self))
