"""A conversion that an earlier p2v-tui left running on a server: the operator decides about it at the start.

Its record is in a workspace (`session/saved_conversion.py`) that we hold from the moment it is found until the
conversion is continued, stopped or left alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from textual import events, on
from textual.app import App, ComposeResult

from p2v_tui.config import Settings
from p2v_tui.errors import Cancelled, P2VError
from p2v_tui.front.conversion_run import ConversionRun, going_on_with
from p2v_tui.front.device_words import shown
from p2v_tui.front.jobs import AwaitedJob, Jobs
from p2v_tui.kinds import Secret
from p2v_tui.screens.dialogs import Answer, Dialog, Question, TextDialog, error_dialog
from p2v_tui.screens.form import setting_help
from p2v_tui.screens.labels import on_screen
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action, Line
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.conversion.stopping import give_up
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Event, Report, Status, Warned
from p2v_tui.session.words.watch import Watch

Found = tuple[Workspace, SavedConversion]
FindSaved = Callable[[], Found | None]
Work = Callable[[Report, Cancellation], None]

_OFFER: Final = """was left running there when p2v-tui ended. It waits for the disks of this machine, or has ended \
by now.

Continue it: the disks are served to it again, and its log is shown from the beginning.
Stop it: virt-v2v is ended there; what it has made so far is useless.
Leave it alone: the next start asks again."""


class LeftRunning:
    """find: looks for such a conversion, in a thread. show_run: opens the screen of the conversion in `state.run`."""

    def __init__(self, app: App[int], state: State, find: FindSaved, show_run: Callable[[], None]) -> None:
        self._app = app
        self._state = state
        self._find = find
        self._show_run = show_run

    async def look(self) -> None:
        """Looks for one and, if it finds one, asks what to do about it. For a worker of the application."""
        while (found := await self._find_one()) is not None and await self._offer(found):
            pass

    async def _find_one(self) -> Found | None:
        try:
            return await self._state.jobs.add(
                AwaitedJob("left running", lambda *_: self._find(), discard=_leave_alone)
            )
        except Cancelled:
            return None
        except P2VError as error:
            text = f"Could not find out whether a conversion was left running. {error.message}"
            self._app.push_screen(Dialog(error.title, on_screen(shown(f"{text}\n\n{error.advice}"))))
            return None

    async def _offer(self, found: Found) -> bool:
        """Asks until the operator decides, and does it. Returns whether to look again."""
        answers = (
            Answer("go-on", "Continue it", "go-on", "Serves the disks to it again and shows how far it is."),
            Answer(
                "stop",
                "Stop it",
                "stop",
                "Ends virt-v2v on the conversion server. You have to convert again from the beginning.",
            ),
            Answer("leave", "Leave it alone", "leave", "Does nothing now. The next start asks again."),
        )
        text = f"A {shown(found[1].in_words)}, {_OFFER}"
        while True:
            question = Question("A conversion was left running", text, *answers, escape="leave")
            answer = await self._app.push_screen_wait(question)
            if answer not in {"go-on", "stop"}:
                _leave_alone(found)
                return False
            settings = await self._log_in(found[1].settings)
            if settings is not None and answer == "stop":
                await self._stop(found, settings)
                return True
            if settings is not None and await self._go_on(found, settings):
                return False

    async def _log_in(self, settings: Settings) -> Settings | None:
        """The settings with a password, which the record does not have. None if the operator gives none."""
        if settings.identity_url is not None:
            return settings
        dialog = TextDialog(
            "Log in again",
            shown(f"The password of {settings.username} on {settings.server}:"),
            label="Password",
            value=self._known_password(settings),
            help=setting_help("auth.password"),
            yes="Continue",
            password=True,
        )
        if not await self._app.push_screen_wait(dialog):
            return None
        return dataclasses.replace(settings, password=Secret(dialog.value))

    def _known_password(self, settings: Settings) -> str:
        """The password on the first screen, if it is for the same account."""
        present = self._state.settings
        same = (present.server, present.port, present.username) == (settings.server, settings.port, settings.username)
        return present.password.reveal() if same and present.password else ""

    def _server(self, found: Found, settings: Settings) -> ControlConnection:
        aes = "aes" in self._state.machine().cpu.flags
        return ControlConnection(settings, cpu_has_aes=aes, workspace=found[0])

    async def _go_on(self, found: Found, settings: Settings) -> bool:
        """Continues the conversion. Returns whether that worked."""
        saved = dataclasses.replace(found[1], settings=settings)
        runs: list[ConversionRun] = []

        def prepare(report: Report, cancellation: Cancellation) -> None:
            report(Status("Looking at the machine..."))
            plan = saved.plan(self._state.machine(), set_read_only=self._state.iso)
            cancellation.check()
            server = self._server(found, settings)
            resume = going_on_with(saved)
            runs.append(
                ConversionRun(
                    server, plan, convert=resume, left_running=True, since=saved.started, book=self._state.book
                )
            )

        if not await self._succeeds("Continuing the conversion", prepare):
            return False
        self._state.run = run = runs[0]
        run.adopt_server()
        run.start()
        self._show_run()
        return True

    async def _stop(self, found: Found, settings: Settings) -> None:
        saved = found[1]

        def stop(report: Report, cancellation: Cancellation) -> None:
            with self._server(found, settings) as server:
                give_up(server, saved, Watch(report, cancellation))

        if await self._succeeds("Stopping the conversion", stop):
            text = f"virt-v2v does not run any more on {saved.settings.server}. Its log is in {saved.directory.path}."
            await self._app.push_screen_wait(Dialog("The conversion is stopped", shown(text)))

    async def _succeeds(self, title: str, work: Work) -> bool:
        """Does the work. Returns whether it succeeded; if not, the operator has read why."""
        error = await self._app.push_screen_wait(WorkDialog(title, self._state.jobs, work))
        if error is not None and not isinstance(error, Cancelled):
            await self._app.push_screen_wait(error_dialog(error))
        return error is None


def _leave_alone(found: Found | None) -> None:
    if found is not None:
        found[0].close()


class WorkDialog(Question[P2VError | None]):
    """Shows what work in a thread reports until it has ended. The result is the error, if it failed.

    working: whether the work is still running.
    """

    def __init__(self, title: str, jobs: Jobs, work: Work) -> None:
        stop = Answer[P2VError | None]("stop-trying", "Stop trying", None, "Everything stays as it is.")
        super().__init__(title, "", stop, escape=None)
        self._work = work
        self._jobs = jobs
        self._job: AwaitedJob[None] | None = None
        self._error: P2VError | None = None
        self.working = True

    def compose_fields(self) -> ComposeResult:
        yield Line("", id="work")

    def on_mount(self) -> None:
        self._job = self._jobs.add(AwaitedJob(self._title, self._work, on_event=self._show_event))
        self.run_worker(self._wait_for(self._job))

    async def _wait_for(self, job: AwaitedJob[None]) -> None:
        try:
            await job
        except P2VError as error:
            self._error = error
        self.working = False
        self._close()

    @on(events.ScreenResume)
    def _close(self) -> None:
        """Waits while another dialog, such as that of F10, is on top: Textual would close that one."""
        if self.is_active and not self.working:
            self.dismiss(self._error)

    def _show_event(self, event: Event) -> None:
        match event:
            case Status(text) | Warned(text):
                self.query_one("#work", Line).show(on_screen(shown(text)))

    def on_action_pressed(self, message: Action.Pressed) -> None:
        # Otherwise the answer would close the question.
        message.prevent_default()
        self._cancel()

    def action_escape(self) -> None:
        self._cancel()

    def on_unmount(self) -> None:
        self._cancel()

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
