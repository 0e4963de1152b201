"""The second screen: what to convert of the machine, what guest to make of it and where to put it.

The parts of the form have their own modules (`target_fields.py`, `output_fields.py`, `device_lists.py`); this one
lays them out, looks at the machine, and makes the plan. Whatever can take more than a moment (probing, opening the
disks, blinking a port) is done in a thread.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from p2v_tui import __version__
from p2v_tui.cmdline import Written, write_settings
from p2v_tui.config import BOOT_SETTINGS, SETTINGS, Settings
from p2v_tui.errors import P2VError, SettingsError, as_failure
from p2v_tui.front.device_words import changes_in_words, shown
from p2v_tui.front.jobs import AwaitedJob
from p2v_tui.front.kept_file import Kept
from p2v_tui.front.port_blinking import BLINK_SECONDS, blink_port
from p2v_tui.front.settings_file import DEFAULTS_HOLD, settings_file
from p2v_tui.hwprobe import Disk, Machine
from p2v_tui.hwprobe.changes import DeviceWatch
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.screens.base import (
    BACK_KEY,
    COLOURS_KEY,
    HELP_KEY,
    LOOK_KEY,
    QUIT_KEY,
    SHELL_KEY,
    BaseScreen,
    Key,
    run_text,
)
from p2v_tui.screens.device_lists import DeviceList, DiskList, InterfaceList, InterfaceRow, MediaList, disks_to_show
from p2v_tui.screens.dialogs import Dialog, error_dialog
from p2v_tui.screens.form import Form, Reading, WrongField
from p2v_tui.screens.key_fields import KeyFields
from p2v_tui.screens.labels import on_screen
from p2v_tui.screens.output_fields import OutputFields
from p2v_tui.screens.place_dialog import SaveDialog
from p2v_tui.screens.side_panel import SidePanel
from p2v_tui.screens.state import State
from p2v_tui.screens.target_fields import TargetFields
from p2v_tui.screens.widgets import Action, Help, Line, Panel, Toggle
from p2v_tui.session.plan.plan import Plan, disk_image, fill_in, make_plan, with_keys
from p2v_tui.session.plan.volume_keys import WrongKey, need_all_keys
from p2v_tui.session.words.events import Event, Report, Status
from p2v_tui.setting_names import SettingName

# The field that gets the focus after an error about a setting. For the lists, the row is found in the list.
FIELDS: Final[dict[SettingName, str]] = {
    "guestname": "#guestname-input",
    "vcpu.cores": "#vcpus-input",
    "memory": "#memory-input",
    "target.firmware": "#firmware",
    "output.type": "#mode",
    "output.connection": "#connection-input",
    "output.storage": "#storage-input",
    "output.format": "#format",
    "output.allocation": "#allocation",
    "output.misc": "#misc-input",
    "output.password": "#password-input",
}
_LISTS: Final[dict[SettingName, str]] = {
    "disks": "#disks",
    "removable": "#removable",
    "interfaces": "#interfaces",
    "network_map": "#interfaces",
}
# For so many seconds nothing is painted, to wait for the machine.
_LONGEST_HOLD: Final = 0.1
_START: Final = "Start conversion"
_SHOW: Final = "Show the conversion"
_CHOOSE: Final = "Choose what to convert, then press Start conversion."
_LOOKING: Final = "Looking at the machine..."


# The machine, and the disk images that the settings name.
Found = tuple[Machine, tuple[Disk, ...]]


class Watch(Protocol):
    """Something that reports changes of devices until it is stopped."""

    def stop(self) -> None: ...


class ConversionScreen(BaseScreen):
    """watch: starts to report devices that come and go."""

    more_keys = """F5, Ctrl-R           look at the machine again
Ctrl-N               blink the interface's port
PageUp, PageDown     the page before, the next page"""
    keys = (
        HELP_KEY,
        SHELL_KEY,
        dataclasses.replace(LOOK_KEY, plain=""),
        COLOURS_KEY,
        Key("F5/^R refresh", "F5", "Refresh", "screen.refresh_machine"),
        QUIT_KEY,
        Key("PgUp/PgDn"),
        BACK_KEY,
    )
    step = 1

    CSS = """
    ConversionScreen #form { height: 1fr; }
    ConversionScreen #columns { height: auto; layout: vertical; }
    ConversionScreen.-wide #columns { layout: horizontal; }
    ConversionScreen #left, ConversionScreen #right { height: auto; width: 1fr; }
    ConversionScreen.-wide #left { margin: 0 2 0 0; }
    ConversionScreen .part { margin: 0 0 1 0; }
    ConversionScreen .rows, ConversionScreen .device { height: auto; }
    ConversionScreen .note { padding: 0 0 0 6; }
    ConversionScreen #more { height: 1; }
    ConversionScreen #status { max-height: 5; }
    /* The mark in front tells the focus; bold would draw the whole line anew. */
    ConversionScreen Toggle:focus, ConversionScreen Choice:focus { text-style: none; }

    .-rich ConversionScreen .part { margin: 0; }
    .-rich ConversionScreen .note { color: $muted; }
    .-rich ConversionScreen #disks-warning { color: $caution; }
    .-rich ConversionScreen #more { display: none; }
    .-rich ConversionScreen #status { padding: 0 1; }
    .-rich ConversionScreen #columns { padding: 0 1; }
    .-rich ConversionScreen .device Action { margin: 0 0 0 1; }
    .-rich ConversionScreen .table-head { height: 1; width: 1fr; }
    .-rich ConversionScreen .whole { color: $muted; padding: 0 0 0 6; }
    .-rich ConversionScreen.-very-wide .whole { display: none; }
    .-rich ConversionScreen.-wide #left { width: 54; margin: 0 1 0 0; }
    .-rich ConversionScreen.-wide.-tall #side { display: block; }
    .-rich ConversionScreen.-very-wide #left { width: 64; }
    /* The panel docked in it may be higher than the lists. */
    .-rich ConversionScreen.-very-wide #right { min-height: 100%; }
    .-rich ConversionScreen.-very-wide #side { display: block; dock: right; width: 44; margin: 0 0 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+r", "refresh_machine", show=False, priority=True),
        Binding("ctrl+n", "blink", show=False, priority=True),
        Binding("pagedown", "turn_page(1)", show=False),
        Binding("pageup", "turn_page(-1)", show=False),
    ]

    class DevicesChanged(Message):
        """Disks or cables came or went."""

    def __init__(self, state: State, *, watch: Callable[[Callable[[], None]], Watch] = DeviceWatch) -> None:
        super().__init__(state)
        self._start_watch = watch
        self._watch: Watch | None = None
        self._held = ExitStack()
        self._machine: Machine | None = None
        self.looking = False
        self._look_again = False
        self._asked = False
        self._planning: AwaitedJob[Plan] | None = None
        self._blinking = ""

    @property
    def heading(self) -> str:
        return "Conversion (2 of 3)"

    def compose(self) -> ComposeResult:
        virt_v2v = self.state.virt_v2v
        yield self.title_line()
        with Form(id="form"), Container(id="columns"):
            with Vertical(id="left"):
                yield TargetFields()
                yield OutputFields(virt_v2v)
                with Panel("Versions", id="versions", classes="part"):
                    yield Line(f"      p2v-tui {__version__} on this machine")
                    server = shown(self.state.settings.server) or "the conversion server"
                    version = shown(virt_v2v.version) if virt_v2v else "(not asked yet)"
                    yield Line(f"      virt-v2v {version} on {server}")
            with Vertical(id="right"):
                yield DiskList()
                yield KeyFields()
                yield MediaList("removable")
                yield InterfaceList("interfaces")
                yield SidePanel()
        yield Line("", id="more")
        yield Line("", id="status")
        with Horizontal(classes="buttons"):
            yield Action(
                "Back", id="back", help=Help("Back", "Returns to the conversion server. Your choices are kept.")
            )
            yield Action(
                _START,
                id="start",
                help=Help(
                    "Start conversion",
                    "Checks your choices and shows a summary of them. The conversion starts only from there. Esc "
                    "stops the checking.",
                ),
            )
            yield Action(
                "Show as kernel arguments",
                id="arguments",
                help=Help(
                    "Show as kernel arguments",
                    "Shows the p2v.* words that repeat these choices unattended, for the kernel command line. They "
                    "can be saved as a file, which the first screen loads. Passwords and keys are left out.",
                ),
            )
            yield Action(
                "Refresh",
                id="refresh",
                help=Help(
                    "Refresh",
                    "Looks at the machine again, for example after you have loaded a driver. New disks and cables "
                    "also show up by themselves.",
                ),
            )
        yield self.keys_line()

    def on_mount(self) -> None:
        form = self.query_one(Form)
        form.display = False
        for name in ("scroll_y", "virtual_size", "size"):
            self.watch(form, name, self._show_more_later, init=False)
        # The connection test has already looked at the machine, so the screen can be painted once, with it.
        self._held.enter_context(self.app.batch_update())
        self.set_timer(_LONGEST_HOLD, self._held.close)
        self._look()
        try:
            self._watch = self._start_watch(self._tell_of_devices)
        # Without the watch, F5 still finds changes.
        except Exception as error:
            self._status(f"New disks and cables will not show up by themselves. {as_failure(error).message}")

    def on_unmount(self) -> None:
        self._held.close()
        if self._watch is not None:
            self._watch.stop()

    def on_resize(self) -> None:
        self.call_after_refresh(self._reveal_focused)

    # Looking at the machine. `looking`: whether a thread does.

    def action_refresh_machine(self) -> None:
        self._asked = True
        self._look()

    @on(Action.Pressed, "#refresh")
    def _refresh_pressed(self) -> None:
        self.action_refresh_machine()

    def _tell_of_devices(self) -> None:
        """Called from the watch's thread."""
        self.post_message(self.DevicesChanged())

    @on(DevicesChanged)
    def _devices_changed(self) -> None:
        # Not while another screen is on top: a running conversion needs the disks more.
        if self.is_active:
            self._look()
        else:
            self._look_again = True

    @on(events.ScreenResume)
    def _come_back_to(self) -> None:
        if self._look_again and not self.looking:
            self._look()

    def _look(self) -> None:
        """Looks at the machine, once at a time. A change during the look makes another one follow."""
        if self.looking:
            self._look_again = True
            return
        first = self._machine is None
        # What was found earlier is shown first, and a new look follows.
        self.looking, self._look_again = True, first
        if self._asked or first:
            self._status(_LOOKING)
        self.work_on(self._examine(first))

    async def _examine(self, first: bool) -> None:
        """Whatever a strange machine does to the probing, the screen and what was typed stay."""
        try:
            machine, images = await self.state.jobs.add(
                AwaitedJob("probe", lambda *_: self._probe(first), wanted=self.is_there)
            )
        except P2VError as error:
            self._look_again = False
            self._status(f"This machine could not be examined: {_in_one_line(error)} F5 or Ctrl-R looks again.")
            if self.focused is None:
                self.query_one("#refresh").focus()
        else:
            await self._show_machine(machine, images)
        self.call_after_refresh(self._held.close)
        self.looking = False
        if self._look_again and self.is_active:
            self._look()

    def _probe(self, first: bool) -> Found:
        """Runs in a thread of its own."""
        return (self.state.machine() if first else self.state.look_again()), self._images()

    def _images(self) -> tuple[Disk, ...]:
        """The usable disk images among what is to be converted."""
        found = []
        for name in (str(self.state.image),) if self.state.image else self.state.settings.disks or ():
            with suppress(SettingsError):
                if name.startswith("/") and (image := disk_image(Path(name))):
                    found.append(image)
        return tuple(found)

    async def _show_machine(self, machine: Machine, images: tuple[Disk, ...]) -> None:
        before, self._machine = self._machine, machine
        first = fill_in(self.state.settings, machine, self.state.image) if before is None else None
        asked, self._asked = self._asked, False
        if first is None and before == machine:
            if asked:
                self._status("Looked again: nothing has changed.")
            return
        with self.app.batch_update():
            await self.query_one(DiskList).show(machine, self.state.image, first)
            disks = images if self.state.image else (*disks_to_show(machine), *images)
            await self.query_one(KeyFields).show(disks, self.state.settings.keys, self.query_one(DiskList).chosen)
            await self.query_one(MediaList).show(machine, first)
            await self.query_one(InterfaceList).show(machine, first)
            if first is not None:
                self.query_one(TargetFields).fill(first, machine)
                self.query_one(OutputFields).fill(first)
                self._show_guest_name()
                self.query_one(Form).display = True
                self._status(_CHOOSE)
                self.show_run()
            else:
                self.query_one(TargetFields).look_at(machine)
        if first is not None and self.state.open_run is None:
            self.call_after_refresh(self._focus_first_field)
        if before is not None:
            changes = changes_in_words(before, machine)
            if changes or asked:
                self._status(changes or "Looked again: nothing has changed.")
        self._show_more_later()

    def _focus_first_field(self) -> None:
        """Does nothing if the operator was quicker."""
        if self.focused in (None, self.query_one("#refresh")):
            self.set_focus(self.query_one("#guestname-input"))

    # Moving around.

    def set_focus(self, widget: Widget | None, scroll_visible: bool = True, from_app_focus: bool = False) -> None:
        """Scrolls by its own rule: Textual would centre the field and so repaint the form at every step."""
        del scroll_visible
        super().set_focus(widget, scroll_visible=False, from_app_focus=from_app_focus)
        self._reveal_focused()

    def _reveal_focused(self) -> None:
        form = self.query_one(Form)
        if self.focused is not None and form in self.focused.ancestors:
            form.reveal(self.focused)

    def action_turn_page(self, direction: int) -> None:
        widget = self.query_one(Form).turn_page(direction)
        if widget is not None:
            super().set_focus(widget, scroll_visible=False)

    def _show_more_later(self) -> None:
        self.call_after_refresh(self._show_more)

    def _show_more(self) -> None:
        form = self.query_one(Form)
        self.query_one("#more", Line).show(form.more if form.display else "")

    # What the fields say.

    @on(Input.Blurred, "#guestname-input")
    def _show_guest_name(self) -> None:
        name = self.query_one("#guestname-input", Input).value
        self.query_one(OutputFields).show_guest_name(shown(name) or "NAME")

    @on(Toggle.Changed, "#disks Toggle")
    def _disk_checked(self) -> None:
        disks = self.query_one(DiskList)
        self.query_one(KeyFields).choose(disks.chosen)
        self._status(disks.warning)

    def _readings(self) -> list[Reading]:
        return [
            *self.query_one(TargetFields).readings(),
            *self.query_one(OutputFields).readings(),
            *self.query_one(KeyFields).readings(),
            *(reading for part in self.query(DeviceList).results(DeviceList) for reading in part.readings()),
        ]

    def settings(self) -> Settings:
        """The settings with everything that the form says. Raises WrongField for the first invalid field."""
        values = {attribute: read() for attribute, read in self._readings()}
        if not values["disks"]:
            raise self._no_disk()
        return dataclasses.replace(self.state.settings, **values)

    def _no_disk(self) -> WrongField:
        rows = self.query_one(DiskList).rows
        if rows:
            error = SettingsError("No fixed disk is chosen.", "Check at least one.", setting="disks")
            return WrongField(error, rows[0].toggle)
        advice = "Plug one in, or load its driver in the shell (F2)."
        error = SettingsError("No fixed disk was found to convert.", advice, setting="disks")
        return WrongField(error, self.query_one("#refresh"))

    def _settings_so_far(self) -> Settings:
        """The settings with all valid fields of the form; the others keep their values."""
        values: dict[str, Any] = {}
        for attribute, read in self._readings():
            try:
                values[attribute] = read()
            except WrongField:
                continue
        return dataclasses.replace(self.state.settings, **values)

    def _said(self, settings: Settings) -> Settings:
        """The settings without those that are this machine's defaults anyway."""
        assert self._machine is not None
        optional = {setting.attribute: None for setting in SETTINGS if setting.default is None}
        # A made-up guest name is different each time, so it is never taken for the default.
        unsaid: dict[str, Any] = {**optional, "output_type": settings.output_type}
        defaults = fill_in(dataclasses.replace(Settings(), **unsaid), self._machine, self.state.image)
        same: dict[str, Any] = {name: None for name in optional if getattr(settings, name) == getattr(defaults, name)}
        return dataclasses.replace(settings, **same)

    # Starting, and leaving.

    def show_run(self) -> None:
        run = self.state.open_run
        form, start = self.query_one(Form), self.query_one("#start", Action)
        was_shown = form.disabled
        form.disabled = run is not None
        start.label = _START if run is None else _SHOW
        if run is not None:
            self._status(run_text(run, _SHOW))
        elif was_shown:
            self._status(_CHOOSE)
        if (run is not None or was_shown) and not self._has_focus:
            start.focus()
        if run is None and self._machine is not None and (error := self.state.failure) is not None:
            self.state.failure = None
            if error.setting in FIELDS:
                self._show_error(error, self.query_one(FIELDS[error.setting]))

    @on(Action.Pressed, "#start")
    async def _start_pressed(self) -> None:
        if self.state.open_run is not None:
            await self.run_action("app.start_conversion")
            return
        machine = self._machine
        if machine is None or self._planning is not None:
            return
        try:
            settings = self.settings()
        except WrongField as wrong:
            self._show_error(wrong.error, wrong.field)
            return
        self._status("Checking what is chosen...")
        self._planning = self.state.jobs.add(
            AwaitedJob(
                "plan",
                lambda report, _: self._plan(settings, machine, report),
                on_event=self._show_checking,
                wanted=self.is_there,
            )
        )
        self.work_on(self._start(settings, self._planning))

    async def _start(self, settings: Settings, planning: AwaitedJob[Plan]) -> None:
        try:
            plan = await planning
        except P2VError as error:
            self._show_error(error, self._field_of(error))
            return
        finally:
            self._planning = None
        self._status("")
        self.state.settings = self._said(settings)
        self.state.plan = plan
        await self.run_action("app.show_summary")

    def _plan(self, settings: Settings, machine: Machine, report: Report) -> Plan:
        """Runs in a thread of its own: opening a failing disk or fetching a key can take long."""
        plan = make_plan(settings, machine, self.state.image, set_read_only=self.state.iso)
        if self.state.virt_v2v is not None:
            plan.output.mode_on(self.state.virt_v2v)
        need_all_keys(plan.disks, plan.wanted_keys)
        return with_keys(plan, report)

    def _show_checking(self, event: Event) -> None:
        if isinstance(event, Status):
            self._status(f"{event.text}...")

    def _field_of(self, error: P2VError) -> Widget:
        """The field that an error of the plan is about."""
        if isinstance(error, WrongKey) and (field := self.query_one(KeyFields).find(error.volume)):
            return field.input
        if error.setting in FIELDS:
            return self.query_one(FIELDS[error.setting])
        if error.setting in _LISTS:
            rows = self.query_one(_LISTS[error.setting], DeviceList).rows
            words = error.message.replace(",", " ").rstrip(".").split()
            named = [row.toggle for row in rows if row.row.name in words or f"{row.row.name}:" in words]
            if rows:
                return (named or [rows[0].toggle])[0]
        return self.query_one("#start")

    def _show_error(self, error: P2VError, field: Widget) -> None:
        """Shows the error and puts the focus on the field that it is about."""
        self._status(_in_one_line(error))
        field.focus()

    @on(Action.Pressed, "#back")
    async def _back_pressed(self) -> None:
        await self.action_back()

    async def action_back(self) -> None:
        if self._planning is not None:
            # A failing disk may hold it up for long.
            self._planning.cancel()
            return
        if self._machine is not None and self.state.open_run is None:
            self.state.settings = self._said(self._settings_so_far())
        await super().action_back()

    @on(Action.Pressed, "#arguments")
    def _arguments_pressed(self) -> None:
        if self._machine is None:
            return
        try:
            chosen = self.settings()
            settings = self._said(chosen)
        except WrongField as wrong:
            self._show_error(wrong.error, wrong.field)
            return
        try:
            written = self._written(settings)
        except SettingsError as error:
            self.app.push_screen(error_dialog(error))
            return

        def decide(answer: bool | None) -> None:
            if answer:
                self._save(written)

        self.app.push_screen(Dialog("As kernel arguments", _arguments(written), yes="Save"), decide)

    def _save(self, written: Written) -> None:
        assert self._machine is not None
        name = self.query_one("#guestname-input", Input).value
        disks = self.query_one(DiskList).chosen
        file = settings_file(written, name, self._machine, disks, datetime.datetime.now().astimezone())

        def decide(saved: Kept | None) -> None:
            if saved is not None:
                self.state.places.remember(saved.place, settings=True)
                text = f"They are in\n\n{shown(saved.where)}\n\nTo load them: F8 on the first screen."
                self.app.push_screen(Dialog("Settings saved", text))

        about = "The kernel arguments as a file, without secrets."
        self.app.push_screen(SaveDialog(self.state, "Save settings", about, file, disks), decide)

    def _written(self, settings: Settings) -> Written:
        """All that was chosen and accepted. Raises SettingsError for what a kernel command line cannot carry."""
        # Settings that the mode does not take, and a number of vCPUs that the topology overrides, would only cause a
        # warning.
        ignored = [*self.query_one(OutputFields).not_taken(), *(["vcpus"] if settings.phys_topo else [])]
        ignored += BOOT_SETTINGS
        defaults: dict[str, Any] = {name: getattr(Settings(), name) for name in ignored}
        said = dataclasses.replace(settings, **defaults)
        if said.hostkey is None and self.state.host_key is not None:
            # The operator has accepted this key; unattended, nobody could be asked again.
            said = dataclasses.replace(said, hostkey=(self.state.host_key,))
        warnings = said.accept_warnings
        if not warnings.every:
            keys = dict.fromkeys((*warnings.keys, *sorted(self.state.accepted)))
            said = dataclasses.replace(said, accept_warnings=AcceptedWarnings(keys=tuple(keys)))
        if self.state.image is not None:
            # Without --test-disk the default would be the machine's own disks.
            said = dataclasses.replace(said, disks=(str(self.state.image),))
        return write_settings(said)

    # Finding a port.

    def action_blink(self) -> None:
        interface = self.query_one(InterfaceList).interface_of(self.focused)
        if interface is None:
            self._status("Move to a network interface; Ctrl-N then makes its port blink.")
        else:
            self._blink(interface)

    @on(InterfaceRow.BlinkAsked)
    def _blink_asked(self, message: InterfaceRow.BlinkAsked) -> None:
        self._blink(message.interface)

    def _blink(self, interface: str) -> None:
        if self._blinking:
            self._status(f"{self._blinking} is still blinking.")
            return
        self._blinking = shown(interface)
        self.work_on(self._show_blinking(interface))

    async def _show_blinking(self, interface: str) -> None:
        self._status(f"The port of {self._blinking} blinks for {BLINK_SECONDS} seconds.")
        try:
            await self.state.jobs.add(AwaitedJob("blink", lambda *_: blink_port(interface), wanted=self.is_there))
        except P2VError as error:
            self._status(_in_one_line(error))
        else:
            self._status(f"The port of {self._blinking} has blinked.")
        finally:
            self._blinking = ""

    def _status(self, text: str) -> None:
        self.query_one("#status", Line).show(on_screen(shown(text)))


def _arguments(written: Written) -> str:
    missing = " ".join(written.missing)
    without = f"\n\nWithout secrets; add yourself: {shown(missing)}" if missing else ""
    words = shown(" ".join(written.words)) or "(nothing: all is at its default)"
    about = f"These words repeat the choices unattended, on the kernel command line. {DEFAULTS_HOLD}"
    return f"{about}\n\n{words}{without}"


def _in_one_line(error: P2VError) -> str:
    return f"{error.message} {error.advice}".strip()
