"""The third screen: the conversion while it runs, and how it ended.

It only shows `state.run`, which works in its own thread, so the screen may be left and opened again. The run may
report something a hundred times a second. The screen looks once a second, so that a burst costs one repaint.
"""

from __future__ import annotations

import datetime
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.timer import Timer

from p2v_tui.errors import P2VError
from p2v_tui.front.ascii_text import ascii_text
from p2v_tui.front.conversion_run import Snapshot
from p2v_tui.front.jobs import AwaitedJob
from p2v_tui.front.kept_file import Kept
from p2v_tui.front.outcome_words import end_text, outage_text, outcome_text, status_text
from p2v_tui.front.saved_log import log_file
from p2v_tui.screens.base import BaseScreen
from p2v_tui.screens.check_words import checks_text, not_passed
from p2v_tui.screens.dialogs import Dialog, error_dialog
from p2v_tui.screens.dressed import look_of
from p2v_tui.screens.labels import on_screen
from p2v_tui.screens.log_pane import LogPane
from p2v_tui.screens.place_dialog import SaveDialog
from p2v_tui.screens.progress import DiskBars, PhaseList, Throughput
from p2v_tui.screens.state import State
from p2v_tui.screens.whole import WholeRows
from p2v_tui.screens.widgets import Action, Help, Line, Panel
from p2v_tui.session.words.checks import Check
from p2v_tui.session.words.terminal_text import plain

# The least time between two looks, in seconds, and how long to wait for the rest of a batch after its first event.
PAINT_INTERVAL: Final = 1.0
_BATCH_TIME: Final = 0.1
# The clock is updated at least this often, in seconds.
LIFE_INTERVAL: Final = 2.0
# How many of virt-v2v's last lines are shown with an error; Details shows more.
_LAST_LINES: Final = 3
_MESSAGE_ROWS: Final = 4
_DETAIL_LINES: Final = 20

RunCommand = Callable[[Sequence[str]], None]


class PowerFailed(P2VError):
    title = "The machine was not switched off"


def run_command(command: Sequence[str]) -> None:
    """Runs a program to its end. Raises PowerFailed if it fails."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise PowerFailed(
            f"{command[0]} cannot be run: {error.strerror}.", "Use the machine's power button."
        ) from error
    if done.returncode != 0:
        raise PowerFailed(f"{' '.join(command)} failed: {done.stderr.strip()}", "Use the machine's power button.")


class RunningScreen(BaseScreen):
    """Shows the conversion in `state`, and starts one if there is none.

    interval: the least time between two looks at the run. life_interval: the time between two updates of the clock on
    the screen. clock: seconds, monotonic.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "app.focus_next", show=False),
        Binding("left", "app.focus_previous", show=False),
    ]
    CSS = """
    WholeRows { height: 2; width: 1fr; background: $ground; color: $ink; }
    PhaseList, DiskBars { height: auto; width: 1fr; background: $ground; color: $ink; }
    #log { height: 1fr; min-height: 3; width: 1fr; background: $ground; color: $ink; }
    #stage { height: 1fr; layout: vertical; }
    #going { height: auto; }
    #beside { height: 1fr; }
    #outage { text-style: bold reverse; }
    #ended { height: auto; max-height: 50%; }
    #throughput { display: none; }

    .-rich RunningScreen.-low.-narrow #phases-panel { border: none; padding: 0 0 0 2; }
    .-rich RunningScreen.-tall #throughput { display: block; height: 4; margin: 1 0 0 0; }
    .-rich RunningScreen.-wide #stage { layout: horizontal; }
    .-rich RunningScreen.-wide #going { width: 64; }
    .-rich RunningScreen.-very-wide #going { width: 76; }
    .-rich #ended { max-height: 70%; border: round $good; border-title-color: $good; }
    .-rich #ended.-failed { border: round $bad; border-title-color: $bad; }
    .-rich #outage { color: $bad; text-style: bold; margin: 0 1; }
    .-rich #log { height: 1fr; min-height: 5; }
    .-rich #log-directory { color: $muted; padding: 0 1; }
    .-rich RunningScreen #status { padding: 0 1; }
    """
    step = 2

    @property
    def heading(self) -> str:
        plan = self.run.plan
        where = f":{plan.output.storage}" if plan.output.storage else ""
        server = f"{plan.settings.server or 'the server'}{where}"
        return self._text(f"Conversion (3 of 3): {plan.guest.name} -> {server} ({plan.output.mode.names[0]})")

    class Changed(Message):
        """The run has something new."""

    def __init__(
        self,
        state: State,
        *,
        interval: float = PAINT_INTERVAL,
        life_interval: float = LIFE_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        run_command: RunCommand = run_command,
    ) -> None:
        super().__init__(state)
        self.run = state.start_conversion()
        self._interval = interval
        self._life_interval = life_interval
        self._clock = clock
        self._run_command = run_command
        self._painted = -interval
        self._timer: Timer | None = None
        self._told = False
        self._ended = False
        self._question: Dialog | None = None
        self._end_listening: Callable[[], None] = lambda: None

    def compose(self) -> ComposeResult:
        yield self.title_line()
        # The rich look puts the two side by side if there is room.
        with Container(id="stage"):
            with Vertical(id="going"):
                with Panel("Phases", titled=False, id="phases-panel"):
                    yield PhaseList(id="phases")
                with Panel("Progress", titled=False, id="progress"):
                    yield DiskBars(id="disks", clock=self._clock)
                    yield WholeRows(id="whole", clock=self._clock)
                    yield Throughput(id="throughput", clock=self._clock)
            with Vertical(id="beside"):
                ended = VerticalScroll(id="ended", classes="panel", can_focus=False)
                ended.border_title = "Outcome"
                with ended:
                    yield Line("", id="outcome")
                yield Line("", id="outage")
                yield LogPane(id="log")
        yield Line("", id="log-directory")
        yield Line("", id="status")
        with Horizontal(classes="buttons"):
            yield Action(
                "Cancel conversion",
                id="cancel",
                help=Help(
                    "Cancel conversion",
                    "Stops virt-v2v on the conversion server. It asks first. If the server cannot be reached, it "
                    "waits until it can. Press it once more to stop waiting.",
                ),
            )
            yield Action(
                "Back",
                id="back",
                help=Help(
                    "Back", "Returns to your choices: change something and start again. Nothing has to be retyped."
                ),
            )
            yield Action(
                "Try again",
                id="again",
                help=Help("Try again", "Starts the same conversion once more, with the same choices."),
            )
            yield Action(
                "Details",
                id="details",
                help=Help("Details", "Shows the whole outcome, with warnings and the last lines."),
            )
            yield Action(
                "Save logs",
                id="save",
                help=Help(
                    "Save logs",
                    "Saves what this screen has shown as a file: of this machine, on a USB stick, at a URL or on the "
                    "conversion server.",
                ),
            )
            yield Action("Quit", id="quit", help=Help("Quit", "Ends p2v-tui. It asks first."))
            # Without the live image, this machine may be somebody's workstation.
            if self.state.iso:
                yield Action(
                    "Shut down", id="poweroff", help=Help("Shut down", "Powers this machine off. It asks first.")
                )
                yield Action("Reboot", id="reboot", help=Help("Reboot", "Restarts this machine. It asks first."))
        yield self.keys_line()

    def on_mount(self) -> None:
        self.query_one("#ended").display = False
        self.query_one("#outage").display = False
        for name in ("back", "again", "details", "quit"):
            self.query_one(f"#{name}").display = False
        for action in self._power_actions():
            action.disabled = True
        # At once, not only when the first frame is painted.
        self.set_focus(self.query_one(LogPane), scroll_visible=False)
        self._end_listening = self.run.listen(self._tell)
        self.set_interval(self._life_interval, self._show_life)
        self.paint()

    def on_unmount(self) -> None:
        self._end_listening()

    @on(events.ScreenResume)
    def _come_back_to(self) -> None:
        # A question of the run may have waited until another one was answered.
        if self.is_mounted:
            self.call_later(self.paint)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted:
            # The new look has other characters.
            self.call_later(self.paint)

    def _tell(self) -> None:
        """Called from the run's thread. One message is enough until it is handled."""
        if not self._told:
            self._told = True
            self.post_message(self.Changed())

    def on_running_screen_changed(self) -> None:
        self._told = False
        wait = max(min(_BATCH_TIME, self._interval), self._painted + self._interval - self._clock())
        if self.run.finished or wait <= 0:
            self.paint()
        elif self._timer is None:
            self._timer = self.set_timer(wait, self.paint)

    def paint(self) -> None:
        """Shows the run as it is now."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._painted = self._clock()
        snapshot = self.run.snapshot
        log = self.query_one(LogPane)
        log.show(self.run.lines_from(log.next_number))
        directory = "none" if snapshot.finished else "not yet"
        if snapshot.log_directory:
            directory = f"{snapshot.log_directory} on the conversion server"
        self.query_one("#log-directory", Line).show(self._text(f"Log files: {directory}"))
        if snapshot.finished:
            self._show_end(snapshot)
            return
        self._show_outage(snapshot)
        self.query_one(PhaseList).show(snapshot.phases)
        bars = self.query_one(DiskBars)
        bars.show(snapshot.disks)
        self.query_one(Throughput).show(snapshot.disks)
        whole = self.query_one(WholeRows)
        whole.show(self.run.pace, bars.name_width)
        self._place_cursor()
        self.query_one("#status", Line).show(self._text(f"Status: {status_text(snapshot, whole.activity)}"))
        self._show_cancel(snapshot)
        if snapshot.to_accept and self._question is None and self.is_current:
            self._ask_about(snapshot.to_accept)

    def _show_life(self) -> None:
        """Something moves at least this often, even if virt-v2v says nothing for minutes."""
        if not self.run.finished:
            self.query_one(WholeRows).tick(self.run.pace)
            self._place_cursor()

    def _place_cursor(self) -> None:
        """If the cursor waits there, it is closest to the digit that changes next."""
        if self.is_current and (place := self.query_one(WholeRows).clock_place()) is not None:
            self.app.cursor_position = place

    def _show_outage(self, snapshot: Snapshot) -> None:
        text = outage_text(snapshot.outages, cancelling=snapshot.cancelling)
        line = self.query_one("#outage", Line)
        line.display = bool(text)
        line.show(self._text(text))

    def _show_cancel(self, snapshot: Snapshot) -> None:
        """Once pressed, Cancel can be pressed again only while the run waits for the server."""
        cancel = self.query_one("#cancel", Action)
        waiting = snapshot.cancelling and bool(snapshot.outages)
        cancel.label = "Stop waiting" if waiting else "Cancel conversion"
        disabled = (snapshot.cancelling and not waiting) or snapshot.detaching
        if disabled and cancel.has_focus:
            self.query_one(LogPane).focus()
        cancel.disabled = disabled

    def _ask_about(self, warnings: Sequence[Check]) -> None:
        def decide(answer: bool | None) -> None:
            if answer:
                self.state.accepted |= {check.key for check in warnings}
            self.run.accept(bool(answer))

        text = f"virt-v2v has not been started yet.\n\n{checks_text(warnings)}"
        self._ask(
            Dialog("Start despite these warnings?", text, yes="Start anyway", no="Do not start"),
            decide,
        )

    def _show_end(self, snapshot: Snapshot) -> None:
        short = _MESSAGE_ROWS * self.size.width
        self.query_one("#outcome", Line).show(
            self._text(outcome_text(self.run, _LAST_LINES, short, iso=self.state.iso))
        )
        if self._ended:
            return
        self._ended = True
        self.query_one("#going").display = False
        self.query_one("#outage").display = False
        self.query_one("#ended").display = True
        self.query_one("#ended").set_class(snapshot.outcome is None, "-failed")
        self.query_one("#cancel").display = False
        for name in ("back", "details", "quit"):
            self.query_one(f"#{name}").display = True
        again = snapshot.error is not None and self._can_be_repeated
        self.query_one("#again").display = again
        # 80 columns do not have room for all buttons, and on the live image there is nothing to return to.
        self.query_one("#quit").display = not (again and self.state.iso)
        for action in self._power_actions():
            action.disabled = False
        self.query_one("#status", Line).show(f"Status: {end_text(self.run)}")
        if self._question is not None and self.app.screen is self._question:
            # Its question no longer makes sense.
            self._question.dismiss(False)
        # Never a button that switches something off: Enter may be pressed once too often.
        self.query_one("#quit" if snapshot.outcome else "#back", Action).focus()

    def _power_actions(self) -> list[Action]:
        return [action for action in self.query(Action) if action.id in {"poweroff", "reboot"}]

    def _text(self, text: str) -> str:
        text = on_screen("\n".join(plain(line) for line in text.splitlines()))
        return text if look_of(self).rich else ascii_text(text)

    async def action_back(self) -> None:
        if self.run.finished:
            await self._leave()
            return
        if self.run.left_running:
            # The screens before do not know this conversion, so nothing would lead back to it.
            await self.run_action("app.leave")
            return

        async def leave(answer: bool | None) -> None:
            if answer and self.is_current:
                await self._leave()

        self._ask(
            Dialog(
                "The conversion is running",
                'The conversion continues if you leave this screen. "Show the conversion" comes back here.\n'
                "To stop it, press Cancel conversion here.",
                yes="Leave the screen",
                no="Stay",
            ),
            leave,
        )

    @on(Action.Pressed, "#cancel")
    def _cancel_pressed(self) -> None:
        if self.run.snapshot.cancelling:
            self._ask_whether_to_wait()
            return

        def decide(answer: bool | None) -> None:
            if answer:
                self.run.cancel()

        self._ask(
            Dialog(
                "Cancel the conversion?",
                "virt-v2v is stopped on the conversion server, and what it has copied so far is useless.\n"
                "Nothing is changed on the disks of this machine.",
                yes="Yes, cancel it",
                no="No, continue",
            ),
            decide,
        )

    def _ask_whether_to_wait(self) -> None:
        def decide(answer: bool | None) -> None:
            if answer:
                self.run.stop_waiting()

        self._ask(
            Dialog(
                "Stop waiting for the server?",
                "virt-v2v is not stopped then: it may still run on the conversion server, and what is left of it "
                "there has to be tidied by hand. The log will say how.\nHere nothing runs any more either way.",
                yes="Yes, stop waiting",
                no="No, wait",
            ),
            decide,
        )

    def _ask(self, dialog: Dialog, decide: Callable[[bool | None], Awaitable[None] | None]) -> None:
        async def answered(answer: bool | None) -> None:
            self._question = None
            if (work := decide(answer)) is not None:
                await work

        self._question = dialog
        self.app.push_screen(dialog, answered)

    @on(Action.Pressed, "#back")
    async def _back_pressed(self) -> None:
        await self._leave()

    async def _leave(self) -> None:
        self.run.outcome_seen = self._ended
        self.state.failure = self.run.snapshot.error
        self.app.pop_screen()
        if self.run.left_running:
            await self.run_action("app.look_for_saved")

    @property
    def _can_be_repeated(self) -> bool:
        """Whether the server is still the one that was tested."""
        return not self.run.left_running and self.state.server is self.run.server

    @on(Action.Pressed, "#again")
    async def _again_pressed(self) -> None:
        self.run.outcome_seen = True
        self.state.plan = self.run.plan
        self.app.pop_screen()
        await self.app.run_action("app.start_conversion")

    @on(Action.Pressed, "#quit")
    async def _quit_pressed(self) -> None:
        await self.run_action("app.leave")

    @on(Action.Pressed, "#details")
    def _details_pressed(self) -> None:
        text = outcome_text(self.run, _DETAIL_LINES, iso=self.state.iso)
        if against := not_passed(self.run.snapshot.checks):
            text += f"\n\nThe checks before the conversion:\n{checks_text(against)}"
        self.app.push_screen(Dialog("Outcome", self._text(text)))

    @on(Action.Pressed, "#save")
    def _save_pressed(self) -> None:
        file = log_file(self.run, datetime.datetime.now())
        taken = [name for disk in self.run.plan.disks for name in (disk.name, *disk.members)]

        def decide(saved: Kept | None) -> None:
            if saved is not None:
                self.state.places.remember(saved.place, settings=False)
                self.app.push_screen(Dialog("Logs saved", self._text(f"They are in\n\n{saved.where}")))

        self.app.push_screen(SaveDialog(self.state, "Save logs", "What this screen showed.", file, taken), decide)

    @on(Action.Pressed, "#poweroff")
    def _poweroff_pressed(self) -> None:
        self._ask_for_power(
            "Shut down this machine?", "The machine will be powered off.", "Yes, shut down", ["systemctl", "poweroff"]
        )

    @on(Action.Pressed, "#reboot")
    def _reboot_pressed(self) -> None:
        text = "It boots from its own disk if you remove the live medium."
        if self.run.snapshot.outcome is not None:
            text += "\nThe guest replaces this machine: the two must never run at the same time."
        self._ask_for_power("Reboot this machine?", text, "Yes, reboot", ["systemctl", "reboot"])

    def _ask_for_power(self, title: str, text: str, yes: str, command: Sequence[str]) -> None:
        def decide(answer: bool | None) -> None:
            if answer:
                self.work_on(self._switch_off(command))

        self.app.push_screen(Dialog(title, text, yes=yes, no="No"), decide)

    async def _switch_off(self, command: Sequence[str]) -> None:
        try:
            await self.state.jobs.add(
                AwaitedJob("power", lambda *_: self._run_command(command), wanted=self.is_there)
            )
        except P2VError as error:
            self.app.push_screen(error_dialog(error))
