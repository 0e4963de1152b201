"""The guest's name, processors, memory and firmware, with warnings about values that KVM may not take."""

from __future__ import annotations

import contextlib

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from p2v_tui.config import BY_KEY, Settings
from p2v_tui.errors import SettingsError
from p2v_tui.front.device_words import MIB, topology_in_words
from p2v_tui.hwprobe import Machine
from p2v_tui.screens.form import LABEL_WIDTH, Note, Reading, WrongField, parse_field, setting_help
from p2v_tui.screens.labels import LABELS
from p2v_tui.screens.widgets import Choice, FormField, Panel, Toggle
from p2v_tui.session.plan.size_checks import memory_doubts, vcpu_doubts

_NAME, _VCPUS = BY_KEY["p2v.guestname"], BY_KEY["p2v.vcpu.cores"]
_MEMORY, _FIRMWARE = BY_KEY["p2v.memory"], BY_KEY["p2v.target.firmware"]


# The setting's own words are about a kernel command line, where a plain number is bytes.
_MEMORY_VALID = "mebibytes, from 64 on, such as 1024; or a size with its unit, such as 16G"


class TargetFields(Panel):
    """The first part of the conversion screen."""

    def __init__(self) -> None:
        super().__init__("Target", id="target", classes="part")
        self._machine: Machine | None = None
        self._memory: tuple[str, int] = ("", 0)
        self._vcpus = ""

    def compose(self) -> ComposeResult:
        yield FormField(LABELS["guestname"], id="guestname", help=setting_help("guestname"), label_width=LABEL_WIDTH)
        yield FormField(
            LABELS["vcpu.cores"], id="vcpus", help=setting_help("vcpu.cores"), label_width=LABEL_WIDTH, width=6
        )
        yield Note(id="vcpus-note")
        yield Toggle(LABELS["vcpu.phys_topo"], id="topology", help=setting_help("vcpu.phys_topo"))
        memory_help = setting_help("memory", valid=_MEMORY_VALID)
        yield FormField(
            LABELS["memory"], id="memory", help=memory_help, label_width=LABEL_WIDTH, width=12, replaced=True
        )
        yield Note(id="memory-note")
        yield Choice(
            LABELS["target.firmware"],
            _FIRMWARE.kind.metavar.split("|"),
            id="firmware",
            help=setting_help("target.firmware"),
            value=_FIRMWARE.default,
            label_width=LABEL_WIDTH,
        )

    def fill(self, settings: Settings, machine: Machine) -> None:
        """settings: with the machine's defaults filled in."""
        self._machine = machine
        memory = settings.memory or machine.memory
        self._memory = (str(memory // MIB), memory)
        self._vcpus = str(settings.vcpus or machine.cpu.online)
        self._field("guestname").value = settings.guestname or ""
        self._field("memory").value = self._memory[0]
        self.query_one("#firmware", Choice).value = settings.target_firmware
        self.query_one("#topology", Toggle).value = settings.phys_topo
        self._show_topology()

    def look_at(self, machine: Machine) -> None:
        """Takes the machine after another look at it."""
        self._machine = machine
        self._warn()

    def readings(self) -> list[Reading]:
        return [
            Reading("guestname", lambda: parse_field(self._field("guestname"), _NAME)),
            Reading("vcpus", self._read_vcpus),
            Reading("phys_topo", lambda: self.query_one("#topology", Toggle).value),
            Reading("memory", self._read_memory),
            Reading("target_firmware", lambda: self.query_one("#firmware", Choice).value),
        ]

    def _read_vcpus(self) -> int:
        field = self._field("vcpus")
        copied = self.query_one("#topology", Toggle).value
        return int(parse_field(field, _VCPUS, self._vcpus if copied else None))

    def _read_memory(self) -> int:
        """Bytes. A value that was filled in and not edited stays exact, although the field shows whole megabytes."""
        field = self._field("memory")
        text = field.value.strip()
        if text == self._memory[0]:
            return self._memory[1]
        try:
            return int(parse_field(field, _MEMORY, f"{text}M" if text.isdigit() else None))
        except WrongField as wrong:
            raise WrongField(
                SettingsError(
                    f"Memory: {text!r} is not a size for a guest: too little, too much or no number.",
                    f"Give {_MEMORY_VALID}.",
                    setting=_MEMORY.name,
                ),
                wrong.field,
            ) from wrong

    @on(Toggle.Changed, "#topology")
    def _topology_changed(self, message: Toggle.Changed) -> None:
        if message.value:
            typed = self._field("vcpus").value.strip()
            # What is not a number would come back, or be refused, though nobody sees it.
            with contextlib.suppress(SettingsError):
                _VCPUS.parse(typed)
                self._vcpus = typed
        self._show_topology()

    def _show_topology(self) -> None:
        """With the physical topology, the field shows the machine's number and is disabled."""
        copied = self.query_one("#topology", Toggle).value
        field = self._field("vcpus")
        cpu = self._machine.cpu if self._machine else None
        field.value = str(cpu.topology.processors) if copied and cpu else self._vcpus
        field.set_enabled(not copied)
        self._warn()

    @on(Input.Changed)
    def _warn(self) -> None:
        machine = self._machine
        if machine is None:
            return
        copied = self.query_one("#topology", Toggle).value
        note = ""
        if (text := self._field("vcpus").value.strip()).isdigit():
            note = _note(vcpu_doubts(int(text), machine))
        if copied:
            note = f"{topology_in_words(machine.cpu)}, as in this machine. {note}".rstrip()
        self.query_one("#vcpus-note", Note).show(note)
        text = self._field("memory").value.strip()
        try:
            memory = _MEMORY.parse(f"{text}M" if text.isdigit() else text)
        except SettingsError:
            memory = None
        self.query_one("#memory-note", Note).show(_note(memory_doubts(memory, machine)) if memory else "")

    def _field(self, name: str) -> FormField:
        return self.query_one(f"#{name}", FormField)


def _note(doubts: str) -> str:
    return f"Note: {doubts}." if doubts else ""
