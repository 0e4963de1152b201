"""Where the guest goes: the output mode, from the server's own list, and the fields that this mode takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from p2v_tui.config import BY_KEY, Settings
from p2v_tui.errors import SettingsError
from p2v_tui.front.device_words import shown
from p2v_tui.screens.form import LABEL_WIDTH, Note, Reading, WrongField, parse_field, setting_help
from p2v_tui.screens.labels import LABELS
from p2v_tui.screens.widgets import Choice, FormField, Panel, Toggle
from p2v_tui.session.plan.output_modes import ALLOCATIONS, FORMATS, OutputMode, Use, find_mode
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.setting_names import SettingName


@dataclass(frozen=True)
class _OutputField:
    """A text field of this part. id: also what an `OutputMode` calls the use of it."""

    id: str
    setting: SettingName

    @property
    def label(self) -> str:
        return LABELS[self.setting]

    def use(self, mode: OutputMode) -> Use:
        use = getattr(mode, self.id)
        assert isinstance(use, Use)
        if self.id == "misc" and mode.needed_misc:
            return Use.NEEDED
        return use


# Our word for no format, and the setting's own word for no allocation.
_DEFAULT, _NO_ALLOCATION = "default", "none"
_ALLOCATION_VALID: Final = f"one of: {', '.join((_DEFAULT, *ALLOCATIONS))}"

_FIELDS: Final = (
    _OutputField("connection", "output.connection"),
    _OutputField("storage", "output.storage"),
    _OutputField("misc", "output.misc"),
    _OutputField("password", "output.password"),
)


class OutputFields(Panel):
    """The second part of the conversion screen."""

    def __init__(self, virt_v2v: VirtV2V | None) -> None:
        super().__init__("Output, on the conversion server", id="output", classes="part")
        self._virt_v2v = virt_v2v
        self._settings = Settings()

    def compose(self) -> ComposeResult:
        yield Choice(
            LABELS["output.type"], (), id="mode", help=setting_help("output.type"), value="", label_width=LABEL_WIDTH
        )
        yield Note(id="mode-note")
        for field in _FIELDS:
            yield FormField(
                field.label,
                id=field.id,
                help=setting_help(field.setting),
                label_width=LABEL_WIDTH,
                password=BY_KEY[f"p2v.{field.setting}"].kind.secret,
            )
            if field.id == "storage":
                yield Choice(
                    LABELS["output.format"],
                    (),
                    id="format",
                    help=setting_help("output.format", f"With {_DEFAULT} virt-v2v decides."),
                    value=_DEFAULT,
                    label_width=LABEL_WIDTH,
                )
                yield Choice(
                    LABELS["output.allocation"],
                    (),
                    id="allocation",
                    help=setting_help(
                        "output.allocation", f"With {_DEFAULT} virt-v2v decides.", valid=_ALLOCATION_VALID
                    ),
                    value=_DEFAULT,
                    label_width=LABEL_WIDTH,
                )
        yield Toggle(LABELS["debug"], id="debug", help=setting_help("debug"))

    def fill(self, settings: Settings) -> None:
        self._settings = settings
        choice = self.query_one("#mode", Choice)
        modes = self._virt_v2v.output_modes if self._virt_v2v else (settings.output_type,)
        names = find_mode(settings.output_type).names
        choice.set_options(modes)
        # A mode that the server does not have stays, with a warning. Any other one would be a guess.
        choice.value = next((name for name in names if name in modes), settings.output_type)
        for field in _FIELDS:
            declared = BY_KEY[f"p2v.{field.setting}"]
            value = getattr(settings, declared.attribute)
            self._field(field.id).value = declared.format(value) if value else ""
        allocation = settings.output_allocation
        self.query_one("#allocation", Choice).value = _DEFAULT if allocation == _NO_ALLOCATION else allocation
        # A format that the mode cannot make stays, and is refused. Any other one would be a guess.
        self.query_one("#format", Choice).value = settings.output_format or _DEFAULT
        self.query_one("#debug", Toggle).value = settings.debug
        self._show_mode()

    @property
    def mode(self) -> OutputMode:
        return find_mode(self.query_one("#mode", Choice).value)

    def not_taken(self) -> list[str]:
        """The attributes of the settings that the mode does not take."""
        names = [
            BY_KEY[f"p2v.{field.setting}"].attribute for field in _FIELDS if field.use(self.mode) is Use.NOT_TAKEN
        ]
        names += ["output_format"] if self.mode.format is Use.NOT_TAKEN else []
        return names + (["output_allocation"] if self.mode.allocation is Use.NOT_TAKEN else [])

    def readings(self) -> list[Reading]:
        """The settings that the mode takes; the others keep their values."""
        readings = [
            Reading("output_type", self._read_mode),
            Reading("debug", lambda: self.query_one("#debug", Toggle).value),
        ]
        if self.mode.allocation is not Use.NOT_TAKEN:
            readings.append(Reading("output_allocation", self._read_allocation))
        if self.mode.format is not Use.NOT_TAKEN:
            readings.append(Reading("output_format", self._read_format))
        return readings + [
            Reading(BY_KEY[f"p2v.{field.setting}"].attribute, partial(self._read, field))
            for field in _FIELDS
            if field.use(self.mode) is not Use.NOT_TAKEN
        ]

    def _read_mode(self) -> str:
        """The name of the mode as the settings have it, if that means the same mode."""
        name = self.query_one("#mode", Choice).value
        return self._settings.output_type if self._settings.output_type in find_mode(name).names else name

    def _read_allocation(self) -> str:
        name = self.query_one("#allocation", Choice).value
        return _NO_ALLOCATION if name == _DEFAULT else name

    def _read_format(self) -> str | None:
        name = self.query_one("#format", Choice).value
        return None if name == _DEFAULT else name

    def _read(self, field: _OutputField) -> Any:
        widget = self._field(field.id)
        declared = BY_KEY[f"p2v.{field.setting}"]
        text = widget.value
        missing = _missing_misc(self.mode, text) if field.id == "misc" else ()
        if missing or (not text.strip() and field.use(self.mode) is Use.NEEDED):
            wanted = " and ".join(f"the option {name}: type {name}=VALUE" for name in missing) or field.label
            raise WrongField(
                SettingsError(
                    f"The output mode {self.mode.names[0]} needs {wanted}.",
                    "virt-v2v(1) on the server says what it means.",
                    setting=field.setting,
                ),
                widget.input,
            )
        if not text.strip() and declared.default is None:
            return None
        return parse_field(widget, declared)

    @on(Choice.Changed, "#mode")
    def _mode_changed(self) -> None:
        storage = self._field("storage")
        defaults = {find_mode(name).default_storage for name in self._virt_v2v.output_modes} if self._virt_v2v else {}
        # A value that nobody typed is replaced by the new mode's default.
        if not storage.value or storage.value in defaults:
            storage.value = self.mode.default_storage or ""
        self._show_mode()

    # Not at every key: on a serial line, drawing the line again costs more than the key.
    @on(Input.Blurred)
    def _left(self) -> None:
        self._show_note()

    def show_guest_name(self, name: str) -> None:
        """Takes the guest's name, which is part of the names of what the mode makes."""
        self._guest_name = name
        self._show_note()

    _guest_name = "NAME"

    def _show_mode(self) -> None:
        mode = self.mode
        for field in _FIELDS:
            widget, use = self._field(field.id), field.use(mode)
            needed = use is Use.NEEDED
            widget.display = use is not Use.NOT_TAKEN
            widget.set_label(field.label + (", needed" if needed else ""))
            about = f"The output mode {mode.names[0]} needs it." if needed else ""
            widget.help = setting_help(field.setting, about, _about_misc(mode) if field.id == "misc" else "")
        allocation, disk_format = self.query_one("#allocation", Choice), self.query_one("#format", Choice)
        allocation.display = mode.allocation is not Use.NOT_TAKEN
        disk_format.display = mode.format is not Use.NOT_TAKEN
        allocation.offer((_DEFAULT, *(mode.allocations or ALLOCATIONS)))
        disk_format.offer((_DEFAULT, *(mode.formats or FORMATS)))
        self._show_note()

    def _show_note(self) -> None:
        mode = self.mode
        values = {field.id: shown(self._field(field.id).value) for field in _FIELDS}
        made = mode.makes.format(
            name=self._guest_name,
            storage=values["storage"] or mode.default_storage or self._no_storage,
            connection=values["connection"] or "CONNECTION",
        )
        note = f"Makes {made}."
        if self._virt_v2v and not set(mode.names) & set(self._virt_v2v.output_modes):
            note = f"Warning: virt-v2v on the server does not have the mode {mode.names[0]}."
        self.query_one("#mode-note", Note).show(" ".join([note, _about_misc(mode)]).rstrip())

    @property
    def _no_storage(self) -> str:
        return "STORAGE" if self.mode.storage is Use.NEEDED else "default"

    def _field(self, name: str) -> FormField:
        return self.query_one(f"#{name}", FormField)


def _about_misc(mode: OutputMode) -> str:
    return (
        f"It needs the options {', '.join(f'{name}=VALUE' for name in mode.needed_misc)}." if mode.needed_misc else ""
    )


def _missing_misc(mode: OutputMode, text: str) -> Sequence[str]:
    given = {option.strip().partition("=")[0] for option in text.split(",")}
    return [name for name in mode.needed_misc if name not in given]
