"""The dialogs that every screen may open: a message, a question, a text to read."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen

from p2v_tui.errors import P2VError
from p2v_tui.screens.widgets import Action, Heading, Help, Line

_CLOSE = Help("Close", "Goes back to the screen.")


class Dialog(ModalScreen[bool]):
    """A framed box with a title, a text that scrolls where it is long, and buttons. Esc answers no.

    yes: the label of the button that answers yes, None for a text that is only read.
    The focus is on the safe answer.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "answer(False)", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("pagedown", "scroll_text(1)", show=False),
        Binding("pageup", "scroll_text(-1)", show=False),
    ]

    def __init__(self, title: str, text: str, *, yes: str | None = None, no: str = "Close") -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._yes = yes
        self._no = no

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Heading(self._title)
            with VerticalScroll(can_focus=False, id="dialog-text"):
                yield Line(self._text)
            with Horizontal(classes="buttons"):
                yield Action(self._no, id="no", help=_CLOSE)
                if self._yes is not None:
                    yield Action(self._yes, id="yes", help=Help(self._yes, self._text))

    def on_mount(self) -> None:
        self.query_one("#dialog-text").styles.height = "auto"
        self.query_one("#dialog-text").styles.max_height = max(3, self.app.size.height - 6)
        self.query_one("#no", Action).focus()

    def on_action_pressed(self, message: Action.Pressed) -> None:
        self.dismiss(message.action.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)

    def action_scroll_text(self, direction: int) -> None:
        text = self.query_one("#dialog-text", VerticalScroll)
        text.scroll_relative(y=direction * max(1, text.size.height - 1), animate=False)


def error_dialog(error: P2VError) -> Dialog:
    return Dialog(error.title, f"{error.message}\n\n{error.advice}".rstrip())
