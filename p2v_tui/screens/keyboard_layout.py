"""Asks for the layout of the machine's keyboard and loads it."""

from __future__ import annotations

import dataclasses

from p2v_tui.errors import P2VError
from p2v_tui.front.device_words import shown
from p2v_tui.front.jobs import AwaitedJob
from p2v_tui.keyboard import Keyboard, is_virtual_console, terminal_in_front
from p2v_tui.screens.base import BaseScreen
from p2v_tui.screens.dialogs import Dialog, TextDialog, error_dialog
from p2v_tui.screens.form import setting_help

_TITLE = "Keyboard layout"


async def choose_layout(screen: BaseScreen, keyboard: Keyboard) -> None:
    """Until a layout is loaded or the operator goes back. The settings name it then."""
    state, app = screen.state, screen.app
    terminal = await state.jobs.add(
        AwaitedJob("terminal in front", lambda *_: terminal_in_front(), wanted=screen.is_there)
    )
    name = state.settings.keymap or ""
    while True:
        dialog = TextDialog(
            _TITLE,
            _text(keyboard, terminal),
            label="Layout",
            value=name,
            help=setting_help("keymap", title=_TITLE),
            yes="Use it",
        )
        if not await app.push_screen_wait(dialog):
            return
        name = dialog.value.strip()
        load = AwaitedJob("keyboard layout", lambda *_, name=name: keyboard.load(name), wanted=screen.is_there)
        try:
            layout = await state.jobs.add(load)
        except P2VError as error:
            await app.push_screen_wait(error_dialog(error))
            continue
        state.settings = dataclasses.replace(state.settings, keymap=layout.name)
        app.push_screen(Dialog(_TITLE, f"The keyboard of this machine now has the layout {layout}."))
        return


def _text(keyboard: Keyboard, terminal: str) -> str:
    if terminal and not is_virtual_console(terminal):
        where = (
            f"You are at {shown(terminal)}: there the layout of your own terminal counts, and nothing has to be set. "
            "This is for the keyboard of the machine itself, and for its remote screen (KVM, iDRAC, iLO)."
        )
    else:
        where = (
            "For the keyboard of this machine, and for its remote screen (KVM, iDRAC, iLO). On a serial line and "
            "over SSH the layout of your own terminal counts."
        )
    common = ", ".join(map(str, keyboard.common()))
    names = f"{common}; or a map of loadkeys. A wrong name lists them." if common else " ".join(keyboard.keymaps())
    return f"{where}\n\n{names}"
