"""What the three screens have in common: the title line, the line of keys, moving about, help."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widget import MountError
from textual.widgets import Input

from p2v_tui import __version__
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.front.device_words import shown
from p2v_tui.screens.dialogs import FUNCTION_KEYS, HelpDialog
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Line, Row

KEYS_HELP = f"""Tab, Down            next field; in a text field Enter, too
Shift-Tab, Up        previous field
Left, Right          change a choice, move along a row of buttons
Space, Enter         check, change a choice, press
Esc                  back; on the first screen quit (it asks first)
{FUNCTION_KEYS}"""
# tmux's keys, not ours (consoles.py).
ISO_KEYS_HELP = "F6, Ctrl-G           the next window: a shell, the system's log, the screens"


class BaseScreen(Screen[None]):
    """A screen of its own title. `keys` is what the last line says."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("f1,ctrl+w", "help", show=False, priority=True),
        Binding("escape", "back", show=False),
    ]
    AUTO_FOCUS = ""

    # Keys that only this screen has, as lines of the help.
    more_keys = ""
    keys = "F1/^W help  F2/^X shell  F3/^L redraw  F4/^T look  F10/^D quit  Tab  Esc: back"

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state

    @property
    def heading(self) -> str:
        """What the first line says beside the program's name."""
        return ""

    def title_line(self) -> Row:
        row = Row(classes="title")
        row.show(f"p2v-tui {__version__}  {self.heading}")
        return row

    def keys_line(self) -> Line:
        return Line(self.keys, classes="keys")

    def compose(self) -> ComposeResult:
        yield self.title_line()
        yield self.keys_line()

    def action_help(self) -> None:
        """What the focused field is for, and the keys."""
        keys = "\n".join([KEYS_HELP, *([ISO_KEYS_HELP] if self.state.iso else []), self.more_keys]).rstrip()
        self.app.push_screen(HelpDialog(self.focused, keys))

    @property
    def _has_focus(self) -> bool:
        """Whether a key has somewhere to go: what is disabled while it has the focus keeps it for a moment."""
        return self.focused is not None and self.focused.focusable

    def is_there(self) -> bool:
        """Whether the screen can still show something: it is not being taken down, nor is the application."""
        # The application runs until it has ended; what it was told to end is attached to nothing.
        return self.app.is_running and self.is_attached and self in self.app.screen_stack

    def work_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine beside the screen, for as long as that is there."""

        async def until_gone() -> None:
            try:
                await work
            except (NoMatches, MountError):
                # The screen's fields went while the coroutine waited.
                if self.is_there():
                    raise

        self.run_worker(until_gone())

    def show_run(self) -> None:
        """Shows whether a conversion runs; called when that may have changed."""

    @on(Input.Submitted)
    def _entered(self) -> None:
        """Enter in a field does what Tab does."""
        self.focus_next()

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        if self.is_mounted:
            self.show_run()

    async def action_back(self) -> None:
        """Goes to the screen before."""
        await self.run_action("app.pop_screen")


def run_text(run: ConversionRun, button: str) -> str:
    """Why the screens before the conversion take no edits, and the button that leads back to it."""
    guest = shown(run.plan.guest.name)
    if run.finished:
        return f"The conversion of {guest} has ended. Press {button} to see what came of it."
    return f"{guest} is being converted. Nothing can be changed here until that ends. Press {button} to return to it."
