"""The first screen: where the conversion server is and how to log in, and the test that both work."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Sequence
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.widgets import Input

from p2v_tui.config import BY_KEY, Settings
from p2v_tui.errors import P2VError, PreflightRefused, SettingsError
from p2v_tui.front import marks
from p2v_tui.front.device_words import shown
from p2v_tui.front.jobs import AwaitedJob
from p2v_tui.front.last_places import Place
from p2v_tui.screens.base import BACK_KEY, BaseScreen, Key, run_text
from p2v_tui.screens.check_words import CheckList, checks_text, counts_in_words, not_passed, worst_first
from p2v_tui.screens.dialogs import Answer, Dialog, Question
from p2v_tui.screens.form import setting_help
from p2v_tui.screens.keyboard_layout import choose_layout
from p2v_tui.screens.labels import LABELS, on_screen
from p2v_tui.screens.side_panel import SidePanel
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action, FormField, Help, Line, Panel, Row, Toggle
from p2v_tui.session.conversion.connection_test import check_connection
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.host_keys import fingerprint_command
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.checks import Check, Verdict, of_verdict
from p2v_tui.session.words.events import (
    Checked,
    ConnectionStep,
    Event,
    HostKeyLearnt,
    LineMeasured,
    Report,
    Status,
    StepDone,
    StepStarted,
    Warned,
)
from p2v_tui.session.words.watch import Watch
from p2v_tui.setting_names import SettingName

# The field that an error about a setting puts the focus on.
FIELDS: Final[dict[SettingName, str]] = {
    "remote.server": "server",
    "remote.port": "port",
    "remote.hostkey": "server",
    "auth.username": "username",
    "auth.password": "password",
    "auth.identity.url": "identity",
}
Tested = tuple[ControlConnection, VirtV2V]
_PASSWORD: Final = LABELS["auth.password"]
_IDENTITY: Final = LABELS["auth.identity.url"]
_SUDO: Final = LABELS["auth.sudo"]
_LOADS: Final = (
    "Fills in the fields of both screens from a file that Show as kernel arguments has saved, or that holds p2v.* "
    "words. Secrets have to be given again."
)
_LOADED: Final = "Test the connection, then compare the disks with those that you mean: sda may be another one now."
_MORE: Final = (
    "Load settings (F8): fill in the fields from a file of this machine, a USB stick, a URL or, after the "
    "connection test, the conversion server.\nAbout: the version and the licence."
)
_FILL_IN: Final = "Fill in the fields, then press Test connection: Tab moves, Enter presses."
_WORKS: Final = "The connection works. Press Next."
# The rows above and below the checks on this screen, with a status of one line.
_ROWS_OF_OTHERS: Final = 21


# Parsed with the application's stylesheet: if the screen brought its own, Textual would parse everything again at the
# start.
STYLES: Final = """
ConnectionScreen #body { height: 1fr; }
ConnectionScreen #beside, ConnectionScreen #connect, ConnectionScreen #tested { height: auto; width: 1fr; }
ConnectionScreen #status { height: auto; }
"""
RICH_STYLES: Final = """
.-rich ConnectionScreen #beside { padding: 0 1; }
.-rich ConnectionScreen #connect, .-rich ConnectionScreen #tested { max-width: 88; }
.-rich ConnectionScreen.-wide #connect { min-width: 62; }
.-rich ConnectionScreen .buttons { padding: 0 0 0 1; }
.-rich ConnectionScreen.-wide #beside { layout: horizontal; padding: 1 2; }
.-rich ConnectionScreen.-wide #tested { max-width: 110; margin: 0 0 0 2; }
.-rich ConnectionScreen.-wide.-tall #side { display: block; margin: 1 0 0 0; }
.-rich ConnectionScreen.-tall .buttons { margin: 0 0 1 0; }
.-rich ConnectionScreen.-low #above-buttons { display: none; }
.-rich ConnectionScreen.-low.-narrow #tested .panel { border: none; }
"""


_HOST_KEY_HELP: Final = """\
The host key tells this server from every other machine. Run the command at the server's own console, or ask whoever \
runs the server. The two texts have to be the same.

If you answer yes to a wrong key, your password and the disks go to another machine. With no, nothing is sent.

On the kernel command line, where nobody is asked: p2v.hostkey"""


def host_key_dialog(server: str, fingerprint: str, kind: str) -> Dialog:
    return Dialog(
        "Is this the conversion server?",
        f"{server} has the {kind} host key\n\n{fingerprint}\n\nTo check, run this on the server:\n"
        f"{fingerprint_command(kind)}",
        yes="Yes, it is",
        no="No",
        help=_HOST_KEY_HELP,
    )


class ConnectionScreen(BaseScreen):
    """Next opens only after a successful test; any edit closes it again."""

    more_keys = "F8                   load settings from a file"
    keys = (*BaseScreen.keys[:-1], Key("", "F8", "Load settings", "screen.load"), BACK_KEY)

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f8", "load", show=False, priority=True)]

    @property
    def heading(self) -> str:
        return "Conversion server (1 of 3)"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._test: AwaitedJob[Tested] | None = None
        # Whether the status is an error that the operator can correct in a field.
        self._complained = False
        self._checks: tuple[Check, ...] = ()
        self._host_key: str | None = None
        self._line_rate: float | None = None

    def compose(self) -> ComposeResult:
        settings = self.state.settings
        yield self.title_line()
        with VerticalScroll(can_focus=False, id="body"), Container(id="beside"):
            with Vertical(id="connect"):
                yield Line(" ", classes="plain-only")
                with Panel("Conversion server", titled=False), Vertical(id="fields"):
                    yield from self._compose_fields(settings)
                yield Line(" ", id="above-buttons")
                yield from self._compose_buttons()
                yield SidePanel()
            with Vertical(id="tested"):
                yield Line(" ", classes="plain-only")
                with Panel("Connection test", titled=False):
                    warnings = "".join(f"\nWarning: {shown(warning)}" for warning in self.state.warnings)
                    yield Line(f"{_FILL_IN}{warnings}", id="status")
                    for step in ConnectionStep:
                        yield Row(id=f"step-{step.name.lower()}")
                    yield CheckList(id="found", taken=_ROWS_OF_OTHERS)
        yield self.keys_line()

    def _compose_buttons(self) -> ComposeResult:
        with Horizontal(classes="buttons"):
            yield Action(
                "Test connection",
                id="test",
                help=Help(
                    "Test connection",
                    "Logs in, asks virt-v2v what it can do, has the server read a scratch disk through a tunnel "
                    "as it will read the real ones, and checks what the server has. Nothing is converted yet.\n\n"
                    "If the test fails, a message says why. While it runs, this button stops it, and so does Esc.",
                ),
            )
            yield Action(
                "Next",
                id="next",
                disabled=True,
                help=Help(
                    "Next",
                    "Leads to the choice of what is converted. It opens after a successful connection test; any edit "
                    "here closes it again.",
                ),
            )
            yield Action(
                "Checks",
                id="checks",
                disabled=True,
                help=Help("Checks", "Shows what the test has checked, what it found, and what to do about it."),
            )
        with Horizontal(classes="buttons"):
            yield Action(
                "Configure network",
                id="network",
                help=Help(
                    "Configure network",
                    "Opens nmtui, for addresses, VLANs and bonds. Use it if the test does not reach the server. Quit "
                    "in nmtui returns here.",
                ),
            )
            yield Action(
                "Shell",
                id="shell",
                help=Help(
                    "Shell",
                    "Opens a shell on this machine, for example to mount a stick or to load a driver. `exit` returns "
                    "here.",
                ),
            )
            if self.state.keyboard is not None:
                yield Action("Keyboard", id="keyboard", help=setting_help("keymap", title="Keyboard"))
            yield Action("More", id="more", help=Help("More", _MORE))

    def _compose_fields(self, settings: Settings) -> ComposeResult:
        yield FormField(
            LABELS["remote.server"], id="server", help=setting_help("remote.server"), value=settings.server or ""
        )
        yield FormField(
            LABELS["remote.port"],
            id="port",
            help=setting_help("remote.port"),
            value=str(settings.port),
            width=6,
            replaced=True,
        )
        yield FormField(
            LABELS["auth.username"],
            id="username",
            help=setting_help("auth.username"),
            value=settings.username,
            replaced=True,
        )
        password = settings.password.reveal() if settings.password else ""
        yield FormField(_PASSWORD, id="password", help=setting_help("auth.password"), value=password, password=True)
        yield FormField(
            _IDENTITY,
            id="identity",
            help=setting_help("auth.identity.url"),
            value=settings.identity_url or "",
        )
        yield Toggle(_SUDO, id="sudo", help=setting_help("auth.sudo"), value=settings.sudo)

    def on_mount(self) -> None:
        self._exclude()
        self.query_one("#server-input").focus()

    @on(Input.Changed)
    def _edited(self) -> None:
        self._exclude()
        self._forget_test()

    @on(Toggle.Changed)
    def _toggled(self) -> None:
        self._forget_test()

    @on(Action.Pressed, "#test")
    def _test_pressed(self) -> None:
        if self._test is not None:
            self._test.cancel()
            return
        try:
            settings = self.settings()
        except SettingsError as error:
            self.state.forget_server()
            self._clear()
            self._show_error(error)
            return
        self._start_test(settings)

    def show_run(self) -> None:
        run = self.state.open_run
        fields = self.query_one("#fields")
        was_shown = fields.disabled
        fields.disabled = self.query_one("#test", Action).disabled = run is not None
        following = self.query_one("#next", Action)
        if run is not None:
            # A conversion that was continued at the start had no test here; the button still has to lead back to it.
            following.disabled = False
            self.query_one("#status", Line).show(run_text(run, following.label))
            if not self._has_focus:
                following.focus()
        elif was_shown:
            self._exclude()
            self.query_one("#status", Line).show(_WORKS if self.state.server else _FILL_IN)
            if self.state.server is None:
                self.query_one("#server-input").focus()
                following.disabled = True

    @on(Action.Pressed, "#next")
    async def _next_pressed(self) -> None:
        if self.state.open_run is not None:
            await self.run_action("app.open_conversion")
            return
        self.state.settings = self.settings()
        await self.run_action("app.open_conversion")

    @on(Action.Pressed, "#checks")
    def _checks_pressed(self) -> None:
        self.app.push_screen(Dialog("Checks of the conversion server", checks_text(worst_first(self._checks))))

    @on(Action.Pressed, "#network")
    async def _network_pressed(self) -> None:
        await self.run_action("app.configure_network")

    @on(Action.Pressed, "#shell")
    async def _shell_pressed(self) -> None:
        await self.run_action("app.shell")

    @on(Action.Pressed, "#keyboard")
    def _keyboard_pressed(self) -> None:
        if self.state.keyboard is not None:
            self.work_on(choose_layout(self, self.state.keyboard))

    @on(Action.Pressed, "#more")
    def _more_pressed(self) -> None:
        async def decide(action: str | None) -> None:
            if action:
                await self.run_action(action)

        answers = (
            Answer("no", "Close", "", "Goes back to the screen."),
            Answer("load", "Load settings", "screen.load", _LOADS),
            Answer("about", "About", "app.about", "The version and the licence."),
        )
        self.app.push_screen(Question("More", _MORE, *answers, escape=""), decide)

    def action_load(self) -> None:
        """Asks for a file with settings, and fills in what it says."""
        # Not needed at the start, which has to be quick.
        from p2v_tui.front.kept_file import Means, load  # noqa: PLC0415
        from p2v_tui.front.settings_file import Loaded, read_settings  # noqa: PLC0415
        from p2v_tui.screens.place_dialog import PlaceDialog  # noqa: PLC0415

        if (run := self.state.open_run) is not None:
            self.app.push_screen(Dialog("Nothing was loaded", run_text(run, self.query_one("#next", Action).label)))
            return
        places = self.state.places
        before = self._settings_so_far()
        means = Means(self.state.idle_server, before.disks or ())

        def work(place: Place, _: bool, cancellation: Cancellation) -> tuple[Place, str, Loaded]:
            found = load(place, means, cancellation)
            return found.place, found.where, read_settings(found, before, self.state.machine())

        def decide(answer: tuple[Place, str, Loaded] | None) -> None:
            if answer is None:
                return
            place, where, loaded = answer
            places.remember(place, settings=True)
            self._fill_in(loaded.settings, before)
            text = "\n\n".join(shown(note) for note in (f"From {where}.", *loaded.notes, _LOADED))
            self.app.push_screen(Dialog("Settings loaded", text))

        dialog: PlaceDialog[tuple[Place, str, Loaded]] = PlaceDialog(
            self.state,
            "Load settings",
            _LOADS,
            verb="Load",
            doing="Loading...",
            work=work,
            text_for=places.to_load,
            means=means,
        )
        self.app.push_screen(dialog, decide)

    def _settings_so_far(self) -> Settings:
        """Those of the fields; where one of them is wrong, those that were there before."""
        try:
            return self.settings()
        except SettingsError:
            return self.state.settings

    def _fill_in(self, settings: Settings, before: Settings) -> None:
        """The fields say what the settings do."""
        self.state.settings = settings
        attributes = ["hostkey", "sudo"]
        for name, field in FIELDS.items():
            declared = BY_KEY[f"p2v.{name}"]
            value = getattr(settings, declared.attribute)
            attributes.append(declared.attribute)
            if name != "remote.hostkey":
                self.query_one(f"#{field}", FormField).value = "" if value is None else declared.format(value)
        self.query_one("#sudo", Toggle).value = settings.sudo
        if any(getattr(settings, name) != getattr(before, name) for name in attributes):
            self._forget_test()

    async def action_back(self) -> None:
        if self._test is not None:
            self._test.cancel()
        else:
            await self.run_action("app.leave")

    def on_unmount(self) -> None:
        if self._test is not None:
            self._test.cancel()

    def settings(self) -> Settings:
        """The application's settings with what the fields say. Raises SettingsError for the first wrong one."""
        values: dict[str, object] = {"sudo": self.query_one("#sudo", Toggle).value and self._sudo_possible()}
        for name, field in FIELDS.items():
            declared = BY_KEY[f"p2v.{name}"]
            if name == "remote.hostkey":
                continue
            text = self.query_one(f"#{field}", FormField).value
            text = text if declared.kind.secret else text.strip()
            empty = not text and declared.default is None and name != "remote.server"
            values[declared.attribute] = None if empty else declared.parse(text)
        return dataclasses.replace(self.state.settings, **values)  # type: ignore[arg-type]

    def _sudo_possible(self) -> bool:
        return self.query_one("#username", FormField).value.strip() != "root"

    def _exclude(self) -> None:
        """Password and identity exclude each other, and root does not need sudo."""
        password = self.query_one("#password", FormField)
        identity = self.query_one("#identity", FormField)
        by_password = bool(password.value)
        by_identity = bool(identity.value) and not by_password
        identity.set_enabled(not by_password)
        identity.set_label("SSH identity (unused)" if by_password else _IDENTITY)
        password.set_enabled(not by_identity)
        password.set_label("Password (unused)" if by_identity else _PASSWORD)
        sudo = self.query_one("#sudo", Toggle)
        sudo.disabled = not self._sudo_possible()
        sudo.label = f"{_SUDO} (root needs none)" if sudo.disabled else _SUDO

    def _forget_test(self) -> None:
        """The fields no longer say what was tested or is being tested."""
        if self._test is not None:
            self._test.cancel()
        if self._complained:
            # What was wrong is being corrected.
            self._complained = False
            self.query_one("#status", Line).show(_FILL_IN)
        if self.state.server is None:
            return
        self.state.forget_server()
        self._clear()
        self.query_one("#status", Line).show("The fields were changed: test the connection again.")

    def _clear(self) -> None:
        """The results of a test do not hold for other fields."""
        self.query_one("#next", Action).disabled = True
        for step in ConnectionStep:
            self._step_row(step).show("")
        self._show_checks(())

    def _start_test(self, settings: Settings) -> None:
        self.state.forget_server()
        self._clear()
        self._host_key = self._line_rate = None
        for step in ConnectionStep:
            self._step(step, marks.TO_COME, "")
        self.query_one("#test", Action).label = "Stop the test"
        self.query_one("#status", Line).show("Testing the connection...")
        self._test = self.state.jobs.add(
            AwaitedJob(
                "connection test",
                lambda report, cancellation: self._log_in(settings, report, cancellation),
                on_event=self.show_event,
                discard=lambda tested: tested[0].close(),
                wanted=self.is_there,
            )
        )
        self.work_on(self._show_test(self._test))

    async def _show_test(self, test: AwaitedJob[Tested]) -> None:
        try:
            server, virt_v2v = await test
        except P2VError as error:
            self.show_failure(error)
        else:
            self.show_success(server, virt_v2v)

    def _log_in(self, settings: Settings, report: Report, cancellation: Cancellation) -> Tested:
        """Runs in a thread of its own."""
        where = shown(f"{settings.server} port {settings.port}")
        with contextlib.ExitStack() as closed:
            server = ControlConnection(
                settings,
                cpu_has_aes="aes" in self.state.machine().cpu.flags,
                accept_host_key=lambda key, kind: self._ask_about_host_key(where, key, kind, cancellation),
            )
            closed.callback(server.close)
            virt_v2v = check_connection(server, Watch(report, cancellation), nbd=settings.nbd)
            closed.pop_all()
        return server, virt_v2v

    def _ask_about_host_key(self, where: str, fingerprint: str, kind: str, cancellation: Cancellation) -> bool:
        """Called from the test's thread, which waits for the operator's answer."""
        if fingerprint in self.state.accepted_host_keys:
            return True
        answered = threading.Event()
        answers: list[bool] = []

        def ask() -> None:
            self.app.push_screen(host_key_dialog(where, fingerprint, kind), decide)

        def decide(answer: bool | None) -> None:
            answers.append(bool(answer))
            answered.set()

        self.app.call_from_thread(ask)
        while not answered.wait(0.1):
            cancellation.check()
        if answers == [True]:
            self.state.accepted_host_keys.add(fingerprint)
        return answers == [True]

    def show_event(self, event: Event) -> None:
        """Shows an event of the test."""
        match event:
            case StepStarted(step, text):
                self._step(step, marks.CURRENT, text)
            case StepDone(step, text):
                self._step(step, marks.DONE, text)
            case HostKeyLearnt(fingerprint):
                self._host_key = fingerprint
            case LineMeasured(rate):
                self._line_rate = rate
            case Checked(check):
                self._show_checks((*self._checks, check))
            case Status(text) | Warned(text):
                self.query_one("#status", Line).show(on_screen(text))

    def show_failure(self, error: P2VError) -> None:
        """The test has failed."""
        self._end_test()
        for step in ConnectionStep:
            line = self._step_row(step)
            line.show(line.text.replace(marks.CURRENT, marks.FAILED))
        self._show_error(error)

    def show_success(self, server: ControlConnection, virt_v2v: VirtV2V) -> None:
        """The test has succeeded; the server is logged in to."""
        self._end_test()
        self.state.remember_server(server, virt_v2v, self._host_key)
        self.state.checks, self.state.line_rate = self._checks, self._line_rate
        found = counts_in_words(self._checks)
        words = f"The connection works, with {found}: see Checks. Press Next." if found else _WORKS
        self.query_one("#status", Line).show(words)
        action = self.query_one("#next", Action)
        action.disabled = False
        action.focus()

    def _end_test(self) -> None:
        self._test = None
        self.query_one("#test", Action).label = "Test connection"

    def _step(self, step: ConnectionStep, mark: str, text: str) -> None:
        line = f"{mark} {step.value}" + (f": {text}" if text else "")
        self._step_row(step).show(line)

    def _step_row(self, step: ConnectionStep) -> Row:
        return self.query_one(f"#step-{step.name.lower()}", Row)

    def _show_checks(self, checks: Sequence[Check]) -> None:
        self._checks = tuple(checks)
        self.query_one("#found", CheckList).show(not_passed(checks))
        self.query_one("#checks", Action).disabled = not checks

    def _show_error(self, error: P2VError) -> None:
        """Shows the error, until a field is edited, and puts the focus on the field that caused it."""
        self._complained = True
        headline, advice = error.headline, error.advice
        refused = of_verdict(self._checks, Verdict.REFUSED)
        if isinstance(error, PreflightRefused) and len(refused) > 1:
            # There is not room for all of them.
            headline, advice = (
                f"{error.title}: {refused[0].text}",
                f"{refused[0].advice} Checks shows {len(refused) - 1} more.",
            )
        self.query_one("#status", Line).show(on_screen(f"{shown(headline)}\n{shown(advice)}".rstrip()))
        if error.setting in FIELDS:
            self.query_one(f"#{FIELDS[error.setting]}-input").focus()
        else:
            self.query_one("#test").focus()
