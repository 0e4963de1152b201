"""The few widgets that make up all screens, one line high, drawn with the characters of the application's look.

Characters show what is focused, checked and selected: `>` in front of the focused widget, `[x]` for checked. The rich
look adds colour. Nothing blinks or moves: every cell that changes costs time on a serial line. Only the rich look
uses the mouse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Static

from p2v_tui.screens.dressed import Dressed, shortened, style, with_marks

SECRET_HELP: Final = (
    "Ctrl-P or F9 shows what is typed here, on every console that shows these screens, and hides it again. Leaving "
    "the field hides it, too. What came from the settings is not shown: erase it first."
)


@dataclass(frozen=True)
class Help:
    """What F1 shows for a widget. title: empty if the widget's label is the title. text: paragraphs."""

    title: str
    text: str


class Line(Static, Dressed):
    """Text that cannot be focused. Without markup, because texts come from disks and servers."""

    def __init__(self, text: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(Text(text), id=id, classes=classes, markup=False)
        self._said = text

    def show(self, text: str) -> None:
        """Replaces the text; nothing is repainted where it is the same."""
        if text != self._said:
            self.say(text)
            self.dress()

    def say(self, text: str) -> None:
        """Sets the text that it shows the next time that it is dressed."""
        self._said = text

    def on_mount(self) -> None:
        if self.look.rich:
            self.dress()

    def dress(self) -> None:
        self.update(with_marks(self._said, self.look))

    @property
    def text(self) -> str:
        return self._said


class Row(Dressed):
    """A line of text that cannot be focused. It stays one line: a long text is cut."""

    text: reactive[str] = reactive("")

    def show(self, text: str) -> None:
        """Replaces the text; nothing is repainted where it is the same."""
        self.text = text

    def render(self) -> Text:
        text = with_marks(shortened(self.text, self.size.width, self.look), self.look)
        text.no_wrap, text.end = True, ""
        return text


def more_of(scrolled: Widget) -> str:
    """In which direction a scrolled widget has more to show, in words; empty if all of it is visible."""
    above, below = round(scrolled.scroll_y) > 0, round(scrolled.scroll_y) < scrolled.max_scroll_y
    if not above and not below:
        return ""
    where = " and ".join(word for word, there in (("above", above), ("below", below)) if there)
    arrows = ("^" if above else " ") + ("v" if below else " ")
    return f" {arrows} more {where} (PageUp, PageDown)"


class Heading(Line):
    """The name of a part of a screen."""


class Panel(Vertical):
    """A part of a screen. title: a line above it in the plain look, and on the frame around it in the rich one.

    titled: False if the plain look has no such line.
    """

    def __init__(self, title: str, *, titled: bool = True, id: str | None = None, classes: str = "") -> None:
        super().__init__(id=id, classes=f"panel {classes}".strip())
        self.border_title = Text(title).markup
        if titled:
            # Comes before everything that is composed in it.
            self.compose_add_child(Heading(title, classes="plain-only"))


def _with_keys_of_a_secret(help: Help) -> Help:
    """The setting's name stays last."""
    about, _, name = help.text.rpartition("\n\n")
    return replace(help, text=f"{about}\n\n{SECRET_HELP}\n\n{name}")


class FormField(Horizontal, Dressed):
    """A labelled input: `> Label: [text ]`. The input's id is the same with `-input` after it.

    label_width: characters. The label of a password's field says how to see it, while it has the focus. replaced:
    what is typed first replaces the value that the field came with; a key that moves in it keeps it.
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
        replaced: bool = False,
    ) -> None:
        super().__init__(id=id, classes="form-field")
        self.help = _with_keys_of_a_secret(help) if password else help
        self.input = FieldInput(value=value, password=password, id=f"{id}-input")
        self._replaced = replaced
        self._keep_default()
        self._label = label
        self._label_width = label_width
        if width is not None:
            self.input.styles.width = width
            # Of the text: the rich look has padding beside it.
            self.input.styles.box_sizing = "content-box"

    def compose(self) -> ComposeResult:
        yield Line(" ", classes="mark")
        yield Line(self._label_text, classes="label")
        yield Line(" [", classes="bracket plain-only")
        yield self.input
        yield Line("]", classes="bracket plain-only")

    def on_mount(self) -> None:
        self.watch(self.input, "password", self._relabel, init=False)

    def on_descendant_focus(self) -> None:
        self._mark(self.look.glyphs.focus)
        self._relabel()

    def on_descendant_blur(self) -> None:
        self._mark(self.look.glyphs.no_focus)
        self._relabel()

    @on(Input.Changed)
    def _relabel(self) -> None:
        for line in self.query(".label").results(Line):
            line.show(self._label_text)

    @property
    def _label_text(self) -> str:
        hint = ""
        if self.input.has_focus and self.input.can_be_shown:
            hint = " (^P shows)" if self.input.password else " (^P hides)"
        return f"{self._label}{hint}:".rjust(self._label_width)

    def _mark(self, mark: str) -> None:
        self.query_one(".mark", Line).show(mark)

    def dress(self) -> None:
        super().dress()
        self._mark(self.look.glyphs.focus if self.input.has_focus else self.look.glyphs.no_focus)

    @property
    def value(self) -> str:
        return self.input.value

    @value.setter
    def value(self, text: str) -> None:
        self.input.give(text)
        self._keep_default()

    def _keep_default(self) -> None:
        self.input.default = self.input.value if self._replaced else ""

    @property
    def label(self) -> str:
        return self._label

    def set_enabled(self, enabled: bool) -> None:
        self.input.disabled = not enabled

    def set_label(self, label: str) -> None:
        """Changes the label, before or after the field is shown."""
        self._label = label
        self._relabel()


class FieldInput(Input, Dressed):
    """An input without a border, a blinking cursor or a coloured selection. A password is hidden, and can be
    shown while its field has the focus, but not one that was given and not typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+p,f9", "show_password", show=False)]

    def __init__(self, *, value: str, password: bool, id: str) -> None:
        # Selected when the focus comes, so that typing replaces it; empty for none.
        self.default = ""
        super().__init__(value, password=password, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False
        self._secret = password
        self._given = bool(value)

    def give(self, text: str) -> None:
        """Fills the field in. Such a password is not shown before it is erased, with whatever is typed behind it."""
        self.value = text
        self._given = bool(text)

    @property
    def can_be_shown(self) -> bool:
        return self._secret and not self._given

    def action_show_password(self) -> None:
        if self.can_be_shown:
            self.password = not self.password

    def hide_password(self) -> None:
        self.password = self._secret

    def on_blur(self) -> None:
        self.hide_password()

    def watch_value(self, value: str) -> None:
        # At once, and not when a message tells of it: keys may come together.
        if not value:
            self._given = False
        if value != self.default:
            # Edited: what was typed is kept, even if it is the default again.
            self.default = ""

    @on(events.Focus)
    def _select_default(self) -> None:
        """Before Textual's own handler, which selects."""
        self.select_on_focus = bool(self.default)

    def put(self, character: str) -> None:
        """Types a character at the cursor. It replaces the selection."""
        if self.selection.is_empty:
            self.insert_text_at_cursor(character)
        else:
            self.replace(character, *self.selection)

    def render_line(self, y: int) -> Strip:
        """Shows a password as stars: Textual shows bullets, which a VT220 does not have."""
        strip = super().render_line(y)
        secret = self.look.glyphs.secret
        if not self.password or secret == "\N{BULLET}":
            return strip
        starred = (Segment(text.replace("\N{BULLET}", secret), style, control) for text, style, control in strip)
        return Strip(starred, strip.cell_length)


class Toggle(Dressed, can_focus=True):
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
        glyphs = self.look.glyphs
        box = glyphs.on if self.value else glyphs.off
        if self.is_disabled:
            box = glyphs.on_disabled if self.value else glyphs.off_disabled
        text = Text(f"{glyphs.focus if self.has_focus else glyphs.no_focus} ", no_wrap=True, overflow="ellipsis")
        text.append(box, self.box_style)
        text.append(" ")
        return text.append_text(self.words())

    @property
    def box_style(self) -> Style:
        """The style that makes the box stand out."""
        checked = self.value and not self.is_disabled
        return style(self.look, "good" if checked else "muted", bold=True) if self.look.rich else Style()

    def words(self) -> Text:
        """The text after the box."""
        return Text(self.label)

    async def on_click(self) -> None:
        self.action_switch()

    def action_switch(self) -> None:
        self.value = not self.value
        self.post_message(self.Changed(self, self.value))


class Choice(Dressed, can_focus=True):
    """`> Label: < value >`. Left and Right change the value, Space and Enter take the next one."""

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
        glyphs = self.look.glyphs
        changeable = len(self._options) > 1 and not self.is_disabled
        left, right = glyphs.choice if changeable else (" ", " ")
        longest = max((len(option) for option in self._options), default=0)
        text = Text(f"{glyphs.focus if self.has_focus else glyphs.no_focus}{self._label} ", no_wrap=True)
        if self.look.rich and not self.has_focus:
            text.stylize(style(self.look, "muted"))
        self._middle = len(text) + 1 + longest // 2
        text.append(f"{left} {self.value.ljust(longest)} {right}", self._value_style)
        text.overflow = "ellipsis"
        return text

    @property
    def _value_style(self) -> Style:
        if not self.look.rich:
            return Style()
        palette = self.look.palette
        if self.is_disabled:
            return Style(color=palette.muted, bgcolor=palette.field)
        return Style(color=palette.ink, bgcolor=palette.field_focus if self.has_focus else palette.field)

    async def on_click(self, event: events.Click) -> None:
        """A click on the left half takes the previous value, on the right half the next one."""
        self.action_step(-1 if event.x <= self._middle else 1)

    _middle = 0

    def offer(self, options: Sequence[str]) -> None:
        """Changes the options. The value stays, even if it is not among them."""
        self._options = tuple(options)
        self.refresh(layout=True)

    def set_options(self, options: Sequence[str]) -> None:
        """Changes the options. The value stays if it is among them, else it becomes the first one."""
        self._options = tuple(options)
        if self.value not in self._options and self._options:
            self.value = self._options[0]
        self.refresh()

    def action_step(self, step: int) -> None:
        if len(self._options) > 1:
            position = self._options.index(self.value) if self.value in self._options else 0
            self.value = self._options[(position + step) % len(self._options)]
            self.post_message(self.Changed(self, self.value))


class Action(Dressed, can_focus=True):
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
        glyphs = self.look.glyphs
        left, right = glyphs.button_disabled if self.disabled else glyphs.button
        text = Text(glyphs.focus if self.has_focus else glyphs.no_focus, no_wrap=True)
        return text.append(f"{left}{self.label}{right}")

    async def on_click(self) -> None:
        self.action_press()

    def get_content_width(self, container: object, viewport: object) -> int:
        del container, viewport
        return len(self.label) + 5

    def action_press(self) -> None:
        self.post_message(self.Pressed(self))
