"""The front end with screens: the way from one to the next, and the keys that work everywhere.

It opens the screens in their order; what outlives a screen is in `screens/state.py`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from p2v_tui import __version__
from p2v_tui.config import Settings
from p2v_tui.errors import Cancelled, Detached, as_failure
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.front.pace_book import PaceBook, default_path
from p2v_tui.keyboard import Keyboard
from p2v_tui.screens import connection
from p2v_tui.screens.base import BaseScreen
from p2v_tui.screens.connection import ConnectionScreen
from p2v_tui.screens.dialogs import Answer, Dialog, Question, error_dialog
from p2v_tui.screens.dressed import Dressed
from p2v_tui.screens.left_running import FindSaved, LeftRunning
from p2v_tui.screens.look import Look, look_for
from p2v_tui.screens.notices import KEEP_TITLE, TITLE_BEFORE, end_notice, takes_title, title, title_text
from p2v_tui.screens.state import State
from p2v_tui.screens.styles import RICH_STYLES, STYLES, terminal_theme_of, theme_of
from p2v_tui.screens.textual_private import HungUp, clear_terminal, report_mouse, run_binding, send
from p2v_tui.screens.widgets import FieldInput
from p2v_tui.session.conversion.saved_conversion import find_saved
from p2v_tui.session.words.quantities import duration_text

ABOUT = f"""p2v-tui {__version__}
Converts a physical machine to a virtual one, by virt-v2v on a conversion server.

The disks of this machine are only read. All data goes through SSH connections from this machine.

Licence: GPL-2.0-or-later, without any warranty."""


def _leaving_text(run: ConversionRun) -> str:
    text = "A conversion is running.\n\nCancel it: virt-v2v is stopped, and what it has made so far is useless."
    if run.can_wait:
        limit = duration_text(run.plan.settings.reconnect)
        text += (
            f"\nLet it wait: virt-v2v waits on the conversion server for the disks of this machine, for {limit} "
            "(p2v.reconnect). Start p2v-tui again within that time to continue."
        )
    return text


class P2VTui(App[int], inherit_bindings=False):
    """look: at first; None for what the terminal can show. find_saved: looks for a conversion that was left running.

    inherit_bindings: Textual's Ctrl+Q quits, and XON on a serial line is Ctrl+Q.
    """

    CSS = STYLES + connection.STYLES
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", show=False),
        Binding("shift+tab", "app.focus_previous", show=False),
        Binding("f2,ctrl+x", "shell", show=False, priority=True),
        Binding("f3,ctrl+l", "redraw", show=False, priority=True),
        Binding("f4,ctrl+t", "look", show=False, priority=True),
        Binding("f7,ctrl+y", "colours", show=False, priority=True),
        Binding("f10,ctrl+d", "leave", show=False, priority=True),
    ]

    class RunChanged(Message):
        """There is something new in the conversion."""

    def __init__(self, state: State, *, look: Look | None = None, find_saved: FindSaved = lambda: None) -> None:
        look = look or look_for()
        super().__init__(ansi_color=not look.rich)
        for each in Look:
            self.register_theme(theme_of(each))
        self.theme = theme_of(look).name
        self.look = look
        # What F4 goes to from the plain look.
        self._rich_look = look if look.rich else Look.DARK
        self.state = state
        self.ended_from_outside = False
        self._left_running = LeftRunning(self, state, find_saved, self.action_start_conversion)
        self._attended: ConversionRun | None = None
        self._told = False
        # The terminal's title, empty before it was set; the run whose end was rung for.
        self._title = ""
        self._rung_for: ConversionRun | None = None
        self._leaving = False
        self._leave_question: Screen[Any] | None = None

    def _prepare_rich_look(self) -> None:
        """What only the rich look needs."""
        for name, rules in (("styles", RICH_STYLES), ("connection", connection.RICH_STYLES)):
            self.stylesheet.add_source(rules, read_from=(name, "RICH_STYLES"))
        self.ansi_theme_dark = self.ansi_theme_light = terminal_theme_of(self.look)

    def on_mount(self) -> None:
        self.set_class(self.look.rich, "-rich")
        if self.look.rich:
            self._prepare_rich_look()
        self.push_screen(ConnectionScreen(self.state))
        # A hang-up or a shutdown must not leave the identity's copy and half a connection behind.
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._end_from_outside)
        self.call_after_refresh(self.action_look_for_saved)

    async def on_event(self, event: events.Event) -> None:
        """Handles one key to its end before the next one.

        Textual hands a character to the input at once, but runs what a key is bound to only when the key has bubbled
        up: of keys that come together, as a slow line delivers them, text would overtake a Backspace or a Tab.
        """
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif not await run_binding(self, event.key, priority=True):
            if isinstance(self.focused, FieldInput) and event.is_printable:
                self.focused.put(event.character or "")
            else:
                await run_binding(self, event.key)

    @on(HungUp)
    def _end_from_outside(self) -> None:
        """Nobody can be asked: a conversion waits on the server for the next start."""
        self.ended_from_outside = True
        if self.state.run is not None:
            self.state.run.detach()
        self.exit(Cancelled.exit_code)

    def _attend(self, run: ConversionRun) -> None:
        """Hears of the run from now on, whichever screen is shown."""
        if self._attended is not run:
            self._attended = run
            run.listen(self._tell)

    def _tell(self) -> None:
        """Called from the run's thread. One message is enough until it is heeded."""
        if not self._told:
            self._told = True
            self.post_message(self.RunChanged())

    @on(RunChanged)
    def _run_changed(self) -> None:
        self._told = False
        run = self.state.run
        if run is None:
            return
        self._tell_terminal(run)
        for screen in self.screen_stack:
            if isinstance(screen, BaseScreen):
                screen.show_run()
        if self._leaving and run.finished:
            self.exit(run.exit_code)
        elif run.snapshot.to_accept or self._leaving:
            self._show_run()

    def _tell_terminal(self, run: ConversionRun) -> None:
        """Its title follows the conversion, and the end is heard."""
        if takes_title() and (text := title_text(run)) != self._title:
            send(self, title(text) if self._title else KEEP_TITLE + title(text))
            self._title = text
        if run.finished and self._rung_for is not run:
            self._rung_for = run
            send(self, end_notice(run))

    def _show_run(self) -> None:
        """The third screen, where it is not shown already."""
        from p2v_tui.screens.running import RunningScreen  # noqa: PLC0415

        if not any(isinstance(screen, RunningScreen) for screen in self.screen_stack):
            self.push_screen(RunningScreen(self.state))

    def action_open_conversion(self) -> None:
        """The second screen."""
        # Imported when it is needed: the first screen is to be there half a second after the start.
        from p2v_tui.screens.conversion import ConversionScreen  # noqa: PLC0415

        self.push_screen(ConversionScreen(self.state))

    def action_show_summary(self) -> None:
        """What `state.plan` will do, to be checked before it is started."""
        # As the second screen.
        from p2v_tui.screens.summary import SummaryScreen  # noqa: PLC0415

        assert self.state.plan is not None
        self.push_screen(SummaryScreen(self.state, self.state.plan, self.state.machine()))

    def action_start_conversion(self) -> None:
        """The third screen, which converts as `state.plan` says."""
        self._attend(self.state.start_conversion())
        self._show_run()

    def action_look_for_saved(self) -> None:
        """Whether a conversion was left running; if so it is offered."""
        self.run_worker(self._left_running.look())

    def action_leave(self) -> None:
        """Asks, and ends the program."""
        if self._leave_question in self.screen_stack:
            return
        run = self.state.run
        if run is not None and not run.finished:
            self._ask_about_run(run)
            return
        succeeded = run is not None and run.snapshot.outcome is not None

        def decide(answer: bool | None) -> None:
            if answer:
                self.exit(0 if succeeded else Cancelled.exit_code)

        question = Dialog("Leave p2v-tui?", "Nothing is being converted.", yes="Leave", no="Stay")
        self._leave_question = question
        self.push_screen(question, decide)

    def _ask_about_run(self, run: ConversionRun) -> None:
        """What is to become of the conversion. The program ends when that is done, which can be seen meanwhile."""

        def decide(answer: str | None) -> None:
            if answer in {None, "stay"}:
                return
            if answer == "wait":
                run.detach()
            else:
                run.cancel()
            self._leaving = True
            self._attend(run)
            self._tell()

        answers = [
            Answer("stay", "Stay", "stay", "Goes back to the screen."),
            Answer("cancel-it", "Cancel it and leave", "cancel", "Stops virt-v2v, and ends p2v-tui then."),
        ]
        if run.can_wait:
            answers.append(Answer("wait", "Let it wait and leave", "wait", "Ends p2v-tui, and not the conversion."))
        question = Question("Leave p2v-tui?", _leaving_text(run), *answers, escape="stay")
        self._leave_question = question
        self.push_screen(question, decide)

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
        clear_terminal(self)
        self.screen.refresh(layout=True)

    def action_look(self) -> None:
        """Plain or rich."""
        self.change_look(Look.PLAIN if self.look.rich else self._rich_look)

    def action_colours(self) -> None:
        """The next colours of the rich look."""
        if self.look.rich:
            self.change_look(self.look.next_colours)

    def change_look(self, look: Look) -> None:
        self.look = look
        if look.rich:
            self._rich_look = look
        report_mouse(self, look.rich)
        self.ansi_color = not look.rich
        if look.rich:
            self._prepare_rich_look()
        self.theme = theme_of(look).name
        self.set_class(look.rich, "-rich")
        for screen in self.screen_stack:
            for widget in screen.walk_children(Dressed):
                widget.dress()

    def action_about(self) -> None:
        self.push_screen(Dialog("About p2v-tui", ABOUT))

    def _run_outside(self, command: Sequence[str]) -> None:
        """Runs a program on the whole terminal; the screens come back when it ends."""
        failure: OSError | None = None
        for field in self.screen.query(FieldInput):
            field.hide_password()
        with self.suspend():
            print(f"p2v-tui: {command[0]}; the screens come back when it ends (exit).", flush=True)
            try:
                subprocess.run(command, check=False)
            except OSError as error:
                failure = error
        self.screen.refresh(layout=True)
        if failure is not None:
            self.push_screen(error_dialog(as_failure(failure)))

    async def on_unmount(self) -> None:
        if self._title:
            send(self, TITLE_BEFORE)
        self.state.forget_server()


def run(settings: Settings, *, image: Path | None = None, iso: bool = False, warnings: Sequence[str] = ()) -> int:
    """Shows the screens until the operator leaves; the exit code.

    warnings: about the settings, shown on the first screen.
    """
    state = State(settings, image=image, iso=iso, warnings=tuple(warnings), book=PaceBook(default_path()))
    own = Keyboard()
    state.keyboard = own if own.is_usable() else None
    app = P2VTui(state, find_saved=find_saved)
    code = app.run(mouse=app.look.rich) or 0
    state.jobs.close()
    conversion = state.run
    if conversion is None or not app.ended_from_outside:
        return code
    conversion.wait()
    if isinstance(error := conversion.snapshot.error, Detached):
        print(f"p2v-tui: {error.headline}\n{error.advice}", file=sys.stderr)
    return conversion.exit_code
