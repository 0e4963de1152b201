"""A conversion that an earlier p2v-tui left running on a server: offered at the start, and what the operator wants.

The record of it is in a workspace (`session/saved_conversion.py`) that is ours from the moment it is found until it
is gone on with, stopped or left alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from textual.app import App, ComposeResult
from textual.message import Message

from p2v_tui.config import Settings
from p2v_tui.errors import Cancelled, P2VError
from p2v_tui.front.conversion_run import ConversionRun, going_on_with
from p2v_tui.front.device_words import shown
from p2v_tui.front.jobs import Job, Jobs, Outcome
from p2v_tui.kinds import Secret
from p2v_tui.screens.dialogs import Answer, Dialog, Question, TextDialog, error_dialog
from p2v_tui.screens.form import setting_help
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

    def look(self) -> None:
        """Looks for one, and asks what to do about it where there is one."""
        self._state.jobs.start("left running", lambda _: self._find(), self._looked, put_away=_leave_alone)

    def _looked(self, outcome: Outcome[Found | None]) -> None:
        """Called from another thread."""
        if not self._app.call_later(self._tell_of, outcome):
            # The screens were left meanwhile.
            _leave_alone(outcome.result)

    def _tell_of(self, outcome: Outcome[Found | None]) -> None:
        if outcome.error is not None and not isinstance(outcome.error, Cancelled):
            text = f"Could not find out whether a conversion was left running. {outcome.error.message}"
            self._app.push_screen(Dialog(outcome.error.title, shown(f"{text}\n\n{outcome.error.advice}")))
        elif outcome.result is not None:
            self._offer(outcome.result)

    def _offer(self, found: Found) -> None:
        saved = found[1]

        def decide(answer: str | None) -> None:
            if answer == "go-on":
                self._log_in(found, lambda settings: self._go_on(found, settings))
            elif answer == "stop":
                self._log_in(found, lambda settings: self._stop(found, settings))
            else:
                _leave_alone(found)

        answers = (
            Answer("go-on", "Continue it", "go-on", "Serves the disks to it again and shows how it goes."),
            Answer("stop", "Stop it", "stop", "Ends virt-v2v on the conversion server."),
            Answer("leave", "Leave it alone", "leave", "Does nothing about it now."),
        )
        text = f"A {shown(saved.in_words)}, {_OFFER}"
        self._app.push_screen(Question("A conversion was left running", text, *answers, escape="leave"), decide)

    def _log_in(self, found: Found, then: Callable[[Settings], None]) -> None:
        """Goes on with settings that log in: the record has no password."""
        settings = found[1].settings
        if settings.identity_url is not None:
            then(settings)
            return
        dialog = TextDialog(
            "Log in again",
            shown(f"The password of {settings.username} on {settings.server}:"),
            label="Password",
            value=self._known_password(settings),
            help=setting_help("auth.password"),
            yes="Continue",
            password=True,
        )

        def decide(answer: bool | None) -> None:
            if answer:
                then(dataclasses.replace(settings, password=Secret(dialog.value)))
            else:
                self._offer(found)

        self._app.push_screen(dialog, decide)

    def _known_password(self, settings: Settings) -> str:
        """That of the first screen, where it is the same account."""
        present = self._state.settings
        same = (present.server, present.port, present.username) == (settings.server, settings.port, settings.username)
        return present.password.reveal() if same and present.password else ""

    def _server(self, found: Found, settings: Settings) -> ControlConnection:
        aes = "aes" in self._state.machine().cpu.flags
        return ControlConnection(settings, cpu_has_aes=aes, workspace=found[0])

    def _go_on(self, found: Found, settings: Settings) -> None:
        saved = dataclasses.replace(found[1], settings=settings)
        runs: list[ConversionRun] = []

        def prepare(report: Report, cancellation: Cancellation) -> None:
            report(Status("Looking at the machine..."))
            plan = saved.plan(self._state.machine(), set_read_only=self._state.iso)
            cancellation.check()
            server = self._server(found, settings)
            runs.append(ConversionRun(server, plan, convert=going_on_with(saved), left_running=True))

        def start(error: P2VError | None) -> None:
            if error is not None:
                self._explain(error, lambda: self._offer(found))
                return
            self._state.run = run = runs[0]
            run.adopt_server()
            run.start()
            self._show_run()

        self._app.push_screen(WorkDialog("Continuing the conversion", self._state.jobs, prepare), start)

    def _stop(self, found: Found, settings: Settings) -> None:
        saved = found[1]

        def stop(report: Report, cancellation: Cancellation) -> None:
            with self._server(found, settings) as server:
                give_up(server, saved, Watch(report, cancellation))

        def tell(error: P2VError | None) -> None:
            if error is not None:
                self._explain(error, self.look)
                return
            text = f"virt-v2v does not run any more on {saved.settings.server}. Its log is in {saved.directory.path}."
            self._app.push_screen(Dialog("The conversion is stopped", shown(text)), lambda _: self.look())

        self._app.push_screen(WorkDialog("Stopping the conversion", self._state.jobs, stop), tell)

    def _explain(self, error: P2VError, then: Callable[[], None]) -> None:
        if isinstance(error, Cancelled):
            then()
        else:
            self._app.push_screen(error_dialog(error), lambda _: then())


def _leave_alone(found: Found | None) -> None:
    if found is not None:
        found[0].close()


class WorkDialog(Question[P2VError | None]):
    """Shows what work in a thread says of itself until it has ended; the result is what it failed with."""

    class Reported(Message):
        def __init__(self, event: Event) -> None:
            super().__init__()
            self.event = event

    class Ended(Message):
        def __init__(self, error: P2VError | None) -> None:
            super().__init__()
            self.error = error

    def __init__(self, title: str, jobs: Jobs, work: Work) -> None:
        stop = Answer[P2VError | None]("stop-trying", "Stop trying", None, "Everything stays as it is.")
        super().__init__(title, "", stop, escape=None)
        self._work = work
        self._jobs = jobs
        self._job: Job[None] | None = None

    def compose_fields(self) -> ComposeResult:
        yield Line("", id="work")

    def on_mount(self) -> None:
        self._job = self._jobs.start(
            self._title, self._run_work, lambda outcome: self.post_message(self.Ended(outcome.error))
        )

    def _run_work(self, cancellation: Cancellation) -> None:
        """Runs in a thread of its own."""

        def report(event: Event) -> None:
            self.post_message(self.Reported(event))

        self._work(report, cancellation)

    def on_work_dialog_reported(self, message: WorkDialog.Reported) -> None:
        match message.event:
            case Status(text) | Warned(text):
                self.query_one("#work", Line).show(shown(text))

    def on_work_dialog_ended(self, message: WorkDialog.Ended) -> None:
        self.dismiss(message.error)

    def on_action_pressed(self, message: Action.Pressed) -> None:
        # The question would be over with the answer.
        message.prevent_default()
        self._cancel()

    def action_escape(self) -> None:
        self._cancel()

    def on_unmount(self) -> None:
        self._cancel()

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
