"""The help of the keys, held against what the keys are bound to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textual.binding import Binding, BindingType

from p2v_tui.app import P2VTui
from p2v_tui.screens.base import KEYS_HELP, BaseScreen
from p2v_tui.screens.connection import ConnectionScreen
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.dialogs import DIALOG_KEYS, Question
from p2v_tui.screens.log_pane import HELP, LogPane
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.summary import SummaryScreen
from p2v_tui.screens.widgets import Action, Choice, Toggle

# What the help says of the actions that keys are bound to.
WORDS = {
    "app.focus_next": ("next field", "move along"),
    "app.focus_previous": ("previous field", "move along"),
    "switch": ("check",),
    "step(1)": ("change a choice",),
    "step(-1)": ("change a choice",),
    "press": ("press",),
    "back": ("back",),
    "escape": ("back",),
    "scroll_text(1)": ("long text", "next page"),
    "scroll_text(-1)": ("long text", "page before"),
    "help": ("this help",),
    "show_password": ("shows what is typed",),
    "shell": ("a shell",),
    "redraw": ("draw the screen again",),
    "look": ("plain or rich",),
    "colours": ("colours",),
    "leave": ("quit",),
    "load": ("load settings",),
    "refresh_machine": ("look at the machine",),
    "blink": ("blink",),
    "turn_page(1)": ("next page",),
    "turn_page(-1)": ("page before",),
    "line_up": ("look back",),
    "line_down": ("forward",),
    "page(-1)": ("look back", "PageUp"),
    "page(1)": ("forward", "PageDown"),
    "first": ("look back", "Home"),
    "follow": ("to the end", "End"),
}
NAMES = {"escape": "Esc", "pageup": "PageUp", "pagedown": "PageDown"}


def keys_of(bindings: list[BindingType]) -> Iterator[tuple[str, str]]:
    """Each key as the help writes it, and its action."""
    for binding in bindings:
        assert isinstance(binding, Binding)
        for key in binding.key.split(","):
            modifiers, _, plain = key.rpartition("+")
            name = NAMES.get(plain, plain if len(plain) == 1 and not modifiers else plain.capitalize())
            yield "-".join(filter(None, (modifiers.capitalize(), name))), binding.action


def assert_helps(text: str, *bound: list[BindingType]) -> None:
    """That a line of the text has each key, and what it does."""
    for bindings in bound:
        for key, action in keys_of(bindings):
            said = [line for line in text.splitlines() if key in line.replace(",", "").split()]
            assert any(word in line for line in said for word in WORDS[action]), (key, action)


@pytest.mark.parametrize("screen", [ConnectionScreen, ConversionScreen, SummaryScreen, RunningScreen])
def test_the_help_names_every_key_of_a_screen_and_its_fields_with_what_it_does(screen: type[BaseScreen]) -> None:
    everywhere = (P2VTui.BINDINGS, BaseScreen.BINDINGS, Toggle.BINDINGS, Choice.BINDINGS, Action.BINDINGS)
    assert_helps(f"{KEYS_HELP}\n{screen.more_keys}", *everywhere, screen.BINDINGS)


def test_the_help_of_a_dialog_names_every_key_of_it() -> None:
    assert_helps(DIALOG_KEYS, P2VTui.BINDINGS, Question.BINDINGS, Action.BINDINGS)


def test_the_help_of_the_log_names_every_key_of_it() -> None:
    assert_helps(HELP.text, LogPane.BINDINGS)


def test_the_help_says_that_enter_leaves_a_text_field() -> None:
    assert any("Enter" in line and "text field" in line and "next field" in line for line in KEYS_HELP.splitlines())
