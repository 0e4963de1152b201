"""What a conversion is going to do, in words that a person can check in ten seconds before anything starts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from p2v_tui.front.device_words import disk_line, left_out_lines, shown
from p2v_tui.front.pace import DEFAULT_RATE, Paces, whole_seconds
from p2v_tui.front.pace_words import rough_duration
from p2v_tui.hwprobe import Machine
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.words.checks import Check, Verdict
from p2v_tui.session.words.quantities import memory_text, size_text

_WHAT_START_DOES: Final = (
    "Start checks the server and the disks once more. It asks only if a check warns; otherwise virt-v2v starts at "
    "once."
)
# The width of the parts' names with their colon.
_NAME_WIDTH: Final = 12


@dataclass(frozen=True)
class Part:
    """One part of the summary: its name and its lines."""

    name: str
    lines: tuple[str, ...]


def summary(plan: Plan, machine: Machine, server_checks: Iterable[Check], paces: Paces) -> tuple[Part, ...]:
    """The parts, what is converted first. server_checks: from the connection test. paces: of earlier conversions."""
    return tuple(
        Part(name, tuple(lines))
        for name, lines in (
            ("To convert", _disks(plan)),
            ("Left out", _left_out(plan, machine)),
            ("Guest", _guest(plan)),
            ("Goes to", _target(plan)),
            ("Networks", _networks(plan, machine)),
            ("Warnings", _warnings(plan, server_checks)),
            ("Time", [time_text(plan, paces)]),
        )
        if lines
    )


def as_text(parts: Sequence[Part], width: int) -> str:
    """The parts one below the other, their names in a column, wrapped to `width` characters."""
    rows = []
    for part in parts:
        name = f"{part.name}:".rjust(_NAME_WIDTH)
        for line in part.lines:
            wrapped = textwrap.wrap(line, max(20, width - _NAME_WIDTH - 1), break_on_hyphens=False) or [""]
            for row in wrapped:
                rows.append(f"{name} {row}")
                name = " " * _NAME_WIDTH
    return "\n".join(rows)


def _disks(plan: Plan) -> list[str]:
    first, *others = (disk_line(disk) for disk in plan.disks)
    return [f"{first} (boots the guest)" if others else first, *others]


def _left_out(plan: Plan, machine: Machine) -> list[str]:
    if plan.image is not None:
        return []
    chosen = {disk.name for disk in plan.disks}
    unchecked = [disk for disk in machine.disks if disk.name not in chosen]
    excluded = [disk for disk in machine.excluded if disk.name not in chosen]
    return [*(f"{disk_line(disk)}: not checked" for disk in unchecked), *left_out_lines(excluded)]


def _guest(plan: Plan) -> list[str]:
    guest = plan.guest
    count = guest.topology.processors
    firmware = f", {guest.firmware.name}" if guest.firmware else ""
    vcpus = f"{count} vCPU{'' if count == 1 else 's'}"
    return [f"{shown(guest.name)}, {vcpus}, {memory_text(guest.memory)} of memory{firmware}"]


def _target(plan: Plan) -> list[str]:
    output = plan.output
    server = shown(plan.settings.server) or "the conversion server"
    options = [f"output mode {output.mode.names[0]}"]
    options += [f"format {output.format}"] if output.format else []
    options += [f"allocation {output.allocation}"] if output.allocation else []
    return [f"{server}: {shown(output.made(plan.guest.name))} ({', '.join(options)})"]


def _networks(plan: Plan, machine: Machine) -> list[str]:
    lines = [f"{shown(interface.name)} to {shown(interface.network)}" for interface in plan.guest.interfaces]
    taken = {interface.name for interface in plan.guest.interfaces}
    missing = [shown(each.name) for each in machine.interfaces if each.name not in taken]
    words = [", ".join(lines)] if lines else ["none: the guest has no network interface"]
    return [*words, *([f"not in the guest: {', '.join(missing)}"] if missing else [])]


def _warnings(plan: Plan, server_checks: Iterable[Check]) -> list[str]:
    found = [check for check in (*plan.checks, *server_checks) if check.verdict is Verdict.WARNING]
    accepted = plan.settings.accept_warnings
    lines = []
    for check in dict.fromkeys(found):
        state = "accepted" if accepted.accepts(check.key) else "to accept"
        lines.append(f"{state}: {shown(check.name)}: {_first_sentence(shown(check.text))}")
    return [*(lines or ["none so far"]), _WHAT_START_DOES]


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") + "."


def time_text(plan: Plan, paces: Paces) -> str:
    """How long the conversion will take, and from what that is known."""
    size, rate = sum(disk.size for disk in plan.disks), paces.copy_rate
    estimate = f"{rough_duration(whole_seconds(size, paces))} for {size_text(size)}"
    if rate is None:
        return f"estimate: {estimate} at {size_text(DEFAULT_RATE)}/s; this line was not measured"
    if rate == paces.line:
        how = "as the connection test measured the line; less if the disks have unused space"
    else:
        how = "as in earlier conversions to this server"
    return f"estimate: {estimate} at {size_text(rate)}/s, {how}"
