"""The dialogs that every screen may open: a message, a question, a text to read or to type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Input

from p2v_tui.errors import P2VError
from p2v_tui.screens.labels import on_screen
from p2v_tui.screens.widgets import Action, FormField, Heading, Help, Line, Row, more_of

Result = TypeVar("Result")
FUNCTION_KEYS = """F1, Ctrl-W           this help
F2, Ctrl-X           a shell (exit comes back)
F3, Ctrl-L           draw the screen again
F4, Ctrl-T           plain or rich look
F7, Ctrl-Y           other colours of the rich look
F10, Ctrl-D          quit (it asks first)"""
DIALOG_KEYS = f"""Tab, Down            next field or button
Shift-Tab, Up        previous field or button
Left, Right          move along the buttons
Space, Enter         press
PageUp, PageDown     forward and back in a long text
Esc                  back
{FUNCTION_KEYS}"""
# The lines of a dialog besides its text: border, title, the line that says where there is more, a field, buttons.
_FRAME: Final = 6


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """A button: its id and label, what it answers, what F1 says about it."""

    id: str
    label: str
    result: Result
    help: str


class Question(ModalScreen[Result]):
    """A framed box with a title, a text that scrolls if it is long, and buttons. The first button has the focus.

    escape: what Esc answers.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,ctrl+w", "help", show=False, priority=True),
        Binding("escape", "escape", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("pagedown", "scroll_text(1)", show=False),
        Binding("pageup", "scroll_text(-1)", show=False),
    ]

    def __init__(self, title: str, text: str, *answers: Answer[Result], escape: Result) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._answers = answers
        self._escape = escape

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Heading(self._title)
            with VerticalScroll(can_focus=False, id="dialog-text"):
                yield Line(self._text)
            yield Row(id="dialog-more")
            yield from self.compose_fields()
            with Horizontal(classes="buttons"):
                for answer in self._answers:
                    yield Action(answer.label, id=answer.id, help=Help(answer.label, answer.help))

    def compose_fields(self) -> ComposeResult:
        """The widgets between the text and the buttons."""
        yield from ()

    def on_mount(self) -> None:
        self.query_one("#dialog-text").styles.height = "auto"
        self.query_one("#dialog-more").display = False
        self.watch(self.query_one("#dialog-text"), "scroll_y", self._show_more, init=False)
        self._fit()
        self.query_one(f"#{self._answers[0].id}", Action).focus()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """Gives the text the room that the rest of the dialog leaves. A line says in which direction there is more of
        it.
        """
        self.query_one("#dialog-text").styles.max_height = max(3, self.app.size.height - _FRAME)
        self.call_after_refresh(self._show_more)

    def _show_more(self) -> None:
        # A dialog may be closed before it is drawn. Then it has neither.
        texts, rows = self.query("#dialog-text").results(VerticalScroll), self.query("#dialog-more").results(Row)
        for text, more in zip(texts, rows, strict=False):
            more.show(more_of(text))
            more.display = text.max_scroll_y > 0

    def on_action_pressed(self, message: Action.Pressed) -> None:
        self.choose(next(answer for answer in self._answers if answer.id == message.action.id))

    def choose(self, answer: Answer[Result]) -> None:
        """What a button does."""
        self.dismiss(answer.result)

    def action_escape(self) -> None:
        self.dismiss(self._escape)

    def action_help(self) -> None:
        """Shows what the focused field or button is for, and the keys."""
        self.app.push_screen(HelpDialog(self.focused, DIALOG_KEYS))

    def action_scroll_text(self, direction: int) -> None:
        text = self.query_one("#dialog-text", VerticalScroll)
        text.scroll_relative(y=direction * max(1, text.size.height - 1), animate=False)


class Dialog(Question[bool]):
    """A text to read, or a question whose safe answer, no, has the focus and is what Esc answers.

    yes: the label of the button that answers yes, None for a text that is only read. help: what F1 says on the
    buttons, if there is more to say than the text says.
    """

    def __init__(self, title: str, text: str, *, yes: str | None = None, no: str = "Close", help: str = "") -> None:
        answers = [Answer("no", no, False, help or "Goes back to the screen.")]
        if yes is not None:
            answers.append(Answer("yes", yes, True, help or text))
        super().__init__(title, text, *answers, escape=False)


class HelpDialog(Dialog):
    """What F1 shows: what the focused widget is for, if it has a help, and the keys."""

    def __init__(self, focused: Widget | None, keys: str) -> None:
        title, text = "Keys", keys
        for widget in focused.ancestors_with_self if focused else ():
            found = getattr(widget, "help", None)
            if isinstance(found, Help):
                title, text = found.title or getattr(widget, "label", ""), f"{found.text}\n\n{keys}"
                break
        super().__init__(title, text)

    def action_help(self) -> None:
        """Does nothing: the help is already shown."""


class TextDialog(Dialog):
    """Asks for a line of text, which is `value` after the answer yes. password: what is typed shows as stars."""

    def __init__(
        self, title: str, text: str, *, label: str, value: str, help: Help, yes: str, password: bool = False
    ) -> None:
        super().__init__(title, text, yes=yes, no="Back")
        self.value = value
        help = Help(help.title, f"Enter: {yes}.\n\n{help.text}")
        self._field = FormField(label, id="text", label_width=len(label), value=value, help=help, password=password)

    def compose_fields(self) -> ComposeResult:
        yield self._field

    def on_mount(self) -> None:
        # The base class sets its own focus after this.
        self.call_later(self._field.input.focus)

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        self.value = message.value

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.dismiss(True)


def is_open(screen: Screen[Any]) -> bool:
    """Whether the screen can still show something: neither it nor the application is being closed."""
    # Textual calls the application running until its very end; a screen that it closes is detached before.
    return screen.app.is_running and screen.is_attached and screen in screen.app.screen_stack


def error_dialog(error: P2VError, *, labels: bool = True) -> Dialog:
    """labels: the labels of fields in place of the settings' names, which a file has."""
    text = f"{error.message}\n\n{error.advice}".rstrip()
    return Dialog(error.title, on_screen(text) if labels else text)
