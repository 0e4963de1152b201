"""What all screens have in common: the title line, the line of keys, moving around, help."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from rich.cells import cell_len
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widget import MountError
from textual.widgets import Input

from p2v_tui import __version__
from p2v_tui.front import marks
from p2v_tui.front.ascii_text import cut
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.front.device_words import shown
from p2v_tui.screens.dialogs import FUNCTION_KEYS, HelpDialog, is_open
from p2v_tui.screens.dressed import Dressed, look_of, shortened, style
from p2v_tui.screens.side_panel import SidePanel
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import FieldInput

# From so many columns and lines on, screens show more side by side.
WIDE: Final = 120
VERY_WIDE: Final = 170
TALL: Final = 36

KEYS_HELP = f"""Tab, Down            next field; in a text field Enter, too
Shift-Tab, Up        previous field
Left, Right          change a choice, move along a row of buttons
Space, Enter         check, change a choice, press
Esc                  back; on the first screen quit (it asks first)
{FUNCTION_KEYS}"""
BRACKETS_HELP = "( Next ), ( )        in round brackets: cannot be pressed or checked now"
# tmux's keys, not ours (consoles.py).
ISO_KEYS_HELP = "F6, Ctrl-G           the next window: a shell, the system's log, the screens"


@dataclass(frozen=True)
class Key:
    """A key in the last line. plain: its text in the plain look. name, words: its text in the rich look, where a
    click runs `action`.

    The rich look leaves out a key without an action, the plain look one without `plain`.
    """

    plain: str
    name: str = ""
    words: str = ""
    action: str = ""


HELP_KEY: Final = Key("F1/^W help", "F1", "Help", "screen.help")
SHELL_KEY: Final = Key("F2/^X shell", "F2", "Shell", "app.shell")
LOOK_KEY: Final = Key("F4/^T look", "F4", "Plain", "app.look")
COLOURS_KEY: Final = Key("", "F7", "Colours", "app.colours")
QUIT_KEY: Final = Key("F10/^D quit", "F10", "Quit", "app.leave")
BACK_KEY: Final = Key("Esc: back", "Esc", "Back", "screen.back")
STEPS: Final = ("Server", "Conversion", "Running")


class KeysLine(Dressed):
    """The last line: the keys, which can be clicked in the rich look."""

    # Textual would underline what can be clicked.
    auto_links = False

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(classes="keys")
        self._keys = keys

    def render(self) -> Text:
        look = self.look
        if not look.rich:
            return Text("  ".join(key.plain for key in self._keys if key.plain), no_wrap=True, end="")
        text = Text(no_wrap=True, end="", overflow="ellipsis")
        for key in self._keys:
            if key.action:
                name = Text(f" {key.name} ", style(look, "head_ink", bold=True))
                words = Text(f"{key.words} ", style(look, "head_muted"))
                name.append_text(words)
                name.apply_meta({"@click": key.action})
                text.append_text(name)
        return text


class TitleLine(Dressed):
    """The first line: the program and the screen's heading; in the rich look also the steps through the screens.

    step: the number of the screen's step in STEPS.
    """

    def __init__(self, heading: str, *, machine: str, server: str, step: int) -> None:
        super().__init__(classes="title")
        self._heading = heading
        self._machine = machine
        self._server = server
        self._step = step

    def render(self) -> Text:
        width, look = self.size.width, self.look
        if not look.rich:
            return Text(cut(f"p2v-tui {__version__}  {self._heading}", width), no_wrap=True, end="")
        steps = self._steps()
        who = f" {look.glyphs.arrow} ".join(filter(None, (self._machine, self._server)))
        left = Text(" p2v-tui ", style(look, "head_ink", bold=True), no_wrap=True, end="")
        left.append(f" {shortened(who, max(0, width - cell_len(left.plain) - cell_len(steps.plain) - 3), look)}")
        left.pad_right(max(1, width - cell_len(left.plain) - cell_len(steps.plain)))
        return left.append_text(steps)

    def _steps(self) -> Text:
        """`✓ Server  ● Conversion  ○ Running`."""
        text = Text()
        for number, name in enumerate(STEPS):
            mark = marks.DONE if number < self._step else marks.CURRENT if number == self._step else marks.TO_COME
            current = number == self._step
            colour = style(self.look, "head_ink" if current else "head_muted", bold=current)
            text.append(f"{self.look.glyphs.marks[mark]} {name}  ", colour)
        return text


class BaseScreen(Screen[None]):
    """A screen with its own heading. `keys` are those in the last line, `step` is its place in STEPS."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("f1,ctrl+w", "help", show=False, priority=True),
        Binding("escape", "back", show=False),
    ]
    AUTO_FOCUS = ""
    # The look is a class of the application, above the screen.
    SCOPED_CSS: ClassVar[bool] = False

    # Keys that only this screen has, as lines of the help.
    more_keys = ""
    keys: Sequence[Key] = (
        HELP_KEY,
        SHELL_KEY,
        Key("F3/^L redraw"),
        LOOK_KEY,
        COLOURS_KEY,
        QUIT_KEY,
        Key("Tab"),
        BACK_KEY,
    )
    step = 0

    def __init__(self, state: State) -> None:
        # As on a small screen, where nothing is then styled twice at the start: the first screen shows at once.
        super().__init__(classes="-narrow -low")
        self.state = state

    @property
    def heading(self) -> str:
        """What the first line says beside the program's name."""
        return ""

    def title_line(self) -> TitleLine:
        server = shown(self.state.settings.server)
        return TitleLine(self.heading, machine=shown(self.state.machine_name), server=server, step=self.step)

    def keys_line(self) -> KeysLine:
        return KeysLine(self.keys)

    def compose(self) -> ComposeResult:
        yield self.title_line()
        yield self.keys_line()

    def action_help(self) -> None:
        """What the focused field is for, and the keys."""
        iso = [ISO_KEYS_HELP] if self.state.iso else []
        plain = [] if look_of(self).rich else [BRACKETS_HELP]
        keys = "\n".join([KEYS_HELP, *iso, self.more_keys, *plain]).rstrip()
        self.app.push_screen(HelpDialog(self.focused, keys))

    @property
    def _has_focus(self) -> bool:
        """Whether keys reach a widget. One that is disabled while it has the focus keeps the focus for a moment."""
        return self.focused is not None and self.focused.focusable

    def is_there(self) -> bool:
        """As `is_open`."""
        return is_open(self)

    def work_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine beside the screen, for as long as the screen exists."""

        async def until_gone() -> None:
            try:
                await work
            except (NoMatches, MountError):
                # The screen's fields were removed while the coroutine waited.
                if self.is_there():
                    raise

        self.run_worker(until_gone())

    @on(events.Resize)
    def _resized(self, message: events.Resize) -> None:
        for name, holds in (
            ("-narrow", message.size.width < WIDE),
            ("-wide", message.size.width >= WIDE),
            ("-very-wide", message.size.width >= VERY_WIDE),
            ("-low", message.size.height < TALL),
            ("-tall", message.size.height >= TALL),
        ):
            self.set_class(holds, name)

    @on(events.DescendantFocus)
    def _show_details(self) -> None:
        for panel in self.query(SidePanel):
            panel.show(self.focused)

    def show_run(self) -> None:
        """Shows whether a conversion runs. Called when that may have changed."""

    @on(Input.Submitted)
    def _entered(self) -> None:
        """Enter in a field does what Tab does."""
        self.focus_next()

    @on(events.ScreenSuspend)
    def _suspended(self) -> None:
        for field in self.query(FieldInput):
            field.hide_password()

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        if self.is_mounted:
            self.show_run()

    async def action_back(self) -> None:
        """Returns to the previous screen."""
        await self.run_action("app.pop_screen")


def run_text(run: ConversionRun, button: str) -> str:
    """Why nothing can be edited on the screens before the conversion, and which button returns to it."""
    guest = shown(run.plan.guest.name)
    if run.finished:
        return f"The conversion of {guest} has ended. Press {button} to see what came of it."
    return f"{guest} is being converted. Nothing can be changed here until that ends. Press {button} to return to it."
