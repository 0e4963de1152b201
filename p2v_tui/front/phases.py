"""The phases of a conversion, in virt-v2v's words: which are done, which one runs, which are still to come.

virt-v2v does not say beforehand what it will do. The list is that of virt-v2v 2.x. A phase that only another version
has is inserted when it starts; a phase that is left out is marked as such.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from dataclasses import dataclass
from typing import Final

from p2v_tui.front import marks
from p2v_tui.session.words.events import Stage


class PhaseState(enum.Enum):
    """The value is the mark in front of the phase."""

    WAITING = marks.TO_COME
    RUNNING = marks.CURRENT
    DONE = marks.DONE
    LEFT_OUT = marks.LEFT_OUT
    FAILED = marks.FAILED


@dataclass(frozen=True)
class Phase:
    name: str
    state: PhaseState = PhaseState.WAITING


# How virt-v2v's line starts, and its short form. A line whose short form is empty says something new each time (the
# operating system, the number of the disk). It is shown as it is; until it comes, the third text stands in its place.
_KNOWN: Final = (
    ("Setting up the source", "Setting up the source", ""),
    ("Opening the source", "Opening the source", ""),
    ("Inspecting the source", "Inspecting the source", ""),
    ("Checking for sufficient free disk space", "Checking for free disk space", ""),
    ("Converting ", "", "Converting the guest to run on KVM"),
    ("Mapping filesystem data", "Mapping filesystem data", ""),
    ("Closing the overlay", "Closing the overlay", ""),
    ("Assigning disks to buses", "Assigning disks to buses", ""),
    ("Checking if the guest needs BIOS or UEFI", "Checking for BIOS or UEFI", ""),
    ("Setting up the destination", "Setting up the destination", ""),
    ("Copying disk ", "", "Copying the disks"),
    ("Creating output metadata", "Creating output metadata", ""),
    ("Finishing off", "Finishing off", ""),
)
_NUMBERED = re.compile(r"Copying disk \d")
# The kinds of phases, in order: those before virt-v2v runs, then the beginnings of virt-v2v's own lines.
STAGES: Final = "Starting"
COPYING: Final = "Copying disk"
KINDS: Final = (STAGES, *(beginning.strip() for beginning, _, _ in _KNOWN))


def first_phases() -> tuple[Phase, ...]:
    """Before anything has been heard from the conversion server."""
    rest = tuple(Phase(short or before) for _, short, before in _KNOWN)
    return (Phase(Stage.CONNECTING.value, PhaseState.RUNNING), *rest)


def with_stage(phases: tuple[Phase, ...], stage: Stage) -> tuple[Phase, ...]:
    """The phases after the conversion has reached `stage`, before virt-v2v says anything."""
    if phases[0].state is not PhaseState.RUNNING:
        return phases
    return (Phase(stage.value, PhaseState.RUNNING), *phases[1:])


def with_started(phases: tuple[Phase, ...], name: str) -> tuple[Phase, ...]:
    """The phases after virt-v2v has said that it starts `name`."""
    current = _current(phases)
    position = _position(phases, name)
    changed = list(phases)
    if current is not None:
        changed[current] = dataclasses.replace(changed[current], state=PhaseState.DONE)
    if position is None:
        position = len(changed) if current is None else current + 1
        changed.insert(position, Phase(name))
    for earlier in range(position):
        if changed[earlier].state is PhaseState.WAITING:
            changed[earlier] = dataclasses.replace(changed[earlier], state=PhaseState.LEFT_OUT)
    changed[position] = Phase(shown_name(name), PhaseState.RUNNING)
    return tuple(changed)


def when_ended(phases: tuple[Phase, ...], *, succeeded: bool) -> tuple[Phase, ...]:
    """The phases after the conversion has ended."""
    last = {
        PhaseState.RUNNING: PhaseState.DONE if succeeded else PhaseState.FAILED,
        PhaseState.WAITING: PhaseState.LEFT_OUT if succeeded else PhaseState.WAITING,
    }
    return tuple(dataclasses.replace(phase, state=last.get(phase.state, phase.state)) for phase in phases)


def kind_of(name: str) -> str | None:
    """Which of `KINDS` a phase of virt-v2v is; None if only another version has it."""
    entry = _known(name)
    return entry[0].strip() if entry else None


def shown_name(name: str) -> str:
    """virt-v2v's phase in a few words."""
    entry = _known(name)
    return entry[1] or name if entry else name


def current_phase(phases: tuple[Phase, ...]) -> int:
    """The number of the phase that runs or failed, or of the last one if all have ended."""
    for number, phase in enumerate(phases):
        if phase.state in {PhaseState.RUNNING, PhaseState.FAILED}:
            return number
    return len(phases) - 1


def _current(phases: tuple[Phase, ...]) -> int | None:
    return next((number for number, phase in enumerate(phases) if phase.state is PhaseState.RUNNING), None)


def _known(name: str) -> tuple[str, str, str] | None:
    return next((entry for entry in _KNOWN if name.startswith(entry[0])), None)


def _position(phases: tuple[Phase, ...], name: str) -> int | None:
    """Which entry the phase is: a known one that has not run yet, or the disks' entry again for the next disk."""
    entry = _known(name)
    if entry is None:
        return None
    prefix, short, before = entry
    for number, phase in enumerate(phases):
        if phase.name == (short or before) and phase.state in {PhaseState.WAITING, PhaseState.LEFT_OUT}:
            return number
        if _NUMBERED.match(name) and phase.name.startswith(prefix):
            return number
    return None
