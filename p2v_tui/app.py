"""The front end with screens: the way from one to the next, and the keys that work everywhere.

It opens the screens in their order; what outlives a screen is in `screens/state.py`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType

from p2v_tui import __version__
from p2v_tui.config import Settings
from p2v_tui.errors import Cancelled
from p2v_tui.screens.connection import ConnectionScreen
from p2v_tui.screens.dialogs import Dialog
from p2v_tui.screens.look import STYLES, is_capable
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import FieldInput

ABOUT = f"""p2v-tui {__version__}
Converts a physical machine to a virtual one, by virt-v2v on a conversion server.

The disks of this machine are only read. Everything goes through SSH connections that start here.

Licence: GPL-2.0-or-later, without any warranty."""


_LEAVING = {
    False: "Nothing is being converted.",
    True: "A conversion is running. Leaving cancels it: virt-v2v is stopped, and what it has made so far is useless.",
}


class P2VTui(App[int], inherit_bindings=False):
    """rich: the look; None for what the terminal can do.

    inherit_bindings: Textual's Ctrl+Q quits, and XON on a serial line is Ctrl+Q.
    """

    CSS = STYLES
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", show=False),
        Binding("shift+tab", "app.focus_previous", show=False),
        Binding("f2,ctrl+x", "shell", show=False, priority=True),
        Binding("f3,ctrl+l", "redraw", show=False, priority=True),
        Binding("f4,ctrl+t", "look", show=False, priority=True),
    ]

    def __init__(self, state: State, *, rich: bool | None = None) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.state = state
        self._rich = is_capable() if rich is None else rich

    def on_mount(self) -> None:
        self.set_class(self._rich, "-rich")
        self.push_screen(ConnectionScreen(self.state))
        # A hang-up or a shutdown must not leave the identity's copy and half a connection behind.
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._ended_from_outside)

    async def on_event(self, event: events.Event) -> None:
        """Handles one key to its end before the next one.

        Textual hands a character to the input at once, but runs what a key is bound to only when the key has bubbled
        up: of keys that come together, as a slow line delivers them, text would overtake a Backspace or a Tab.
        """
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif not await self._check_bindings(event.key, priority=True):
            if isinstance(self.focused, FieldInput) and event.is_printable:
                self.focused.put(event.character or "")
            else:
                await self._check_bindings(event.key)

    def _ended_from_outside(self) -> None:
        # The run's thread keeps the process until virt-v2v is stopped and everything here is tidied.
        if self.state.run is not None:
            self.state.run.cancel()
        self.exit(Cancelled.exit_code)

    def action_open_conversion(self) -> None:
        """The second screen."""
        # Imported when it is needed: the first screen is to be there half a second after the start.
        from p2v_tui.screens.conversion import ConversionScreen  # noqa: PLC0415

        self.push_screen(ConversionScreen(self.state))

    def action_start_conversion(self) -> None:
        """The third screen, which converts as `state.plan` says."""
        from p2v_tui.screens.running import RunningScreen  # noqa: PLC0415

        self.push_screen(RunningScreen(self.state))

    def action_leave(self) -> None:
        """Asks, and ends the program."""

        run = self.state.run
        succeeded = run is not None and run.snapshot.outcome is not None
        running = run is not None and not run.finished

        def decide(answer: bool | None) -> None:
            if answer:
                if run is not None:
                    run.cancel()
                self.exit(0 if succeeded else Cancelled.exit_code)

        self.push_screen(Dialog("Leave p2v-tui?", _LEAVING[running], yes="Leave", no="Stay"), decide)

    def action_configure_network(self) -> None:
        """nmtui, or what is missing for it."""
        if shutil.which("nmtui") is None:
            self.push_screen(
                Dialog(
                    "Configure network",
                    "nmtui is not installed here (package network-manager). In the shell:\n\n"
                    "ip link\nip address add 192.0.2.2/24 dev IFACE\nip route add default via 192.0.2.1",
                )
            )
            return
        self._run_outside(["nmtui"])

    def action_shell(self) -> None:
        self._run_outside([os.environ.get("SHELL") or "/bin/sh"])

    def action_redraw(self) -> None:
        """Everything again, for a line that lost something."""
        if self._driver is not None:
            self._driver.write("\x1b[2J")
        self.screen.refresh(layout=True)

    def action_look(self) -> None:
        self._rich = not self._rich
        self.set_class(self._rich, "-rich")

    def action_about(self) -> None:
        self.push_screen(Dialog("About p2v-tui", ABOUT))

    def _run_outside(self, command: Sequence[str]) -> None:
        """Runs a program on the whole terminal; the screens come back when it ends."""
        with self.suspend():
            print(f"p2v-tui: {command[0]}; the screens come back when it ends (exit).", flush=True)
            subprocess.run(command, check=False)
        self.screen.refresh(layout=True)

    async def on_unmount(self) -> None:
        self.state.forget_server()


def run(settings: Settings, *, image: Path | None = None, iso: bool = False) -> int:
    """Shows the screens until the operator leaves; the exit code."""
    return P2VTui(State(settings, image=image, iso=iso)).run(mouse=False) or 0
