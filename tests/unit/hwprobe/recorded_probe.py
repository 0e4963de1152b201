"""Probe a recorded machine: below `umockdev-run -d machine.umockdev`, pickle the outcome to a file.

umockdev stands in for the devices in /sys and /dev. The rest of the record is read from beside it: `extra.txt` holds
what is in /sys and /dev besides devices, `proc/` the files of /proc, `commands/` what external tools print, by name
(`pvs`) or by name and last argument (`blkid-sda1`). `@E9@` in machine.umockdev stands for that byte: umockdev takes
nothing but UTF-8, and a kernel's property may be something else.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2v_tui.hwprobe import Machine, Places, probe
from p2v_tui.hwprobe.health import Health, examine_health
from p2v_tui.hwprobe.sticks import Stick, find_sticks

# When the records were made: the real-time clocks in them are set about it.
RECORDED_AT = 1795433400.0


@dataclass(frozen=True)
class Outcome:
    """commands: those of the probing. health, sticks: of all its disks, looked at afterwards."""

    machine: Machine
    commands: tuple[tuple[str, ...], ...]
    health: Health
    sticks: tuple[Stick, ...]


def lay_out(extra: Path, root: Path) -> None:
    """Make what `extra.txt` says below the root of the test bed.

    Each line is `path = text`, `path = hex:01 02`, `path = dir` or `path -> target`; `#` starts a comment.
    """
    for line in extra.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, arrow, target = line.partition(" -> ")
        if arrow:
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
            continue
        name, _, value = line.partition(" = ")
        place = root / name
        if value == "dir":
            place.mkdir(parents=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes.fromhex(value[4:]) if value.startswith("hex:") else f"{value}\n".encode())


def put_bytes_in(root: Path) -> None:
    """Put the byte itself into the properties of the test bed in the place of each `@XX@`."""
    for place, _, files in os.walk(root):
        for file in (Path(place) / name for name in files if name == "uevent"):
            text = file.read_bytes()
            bare = re.sub(rb"@([0-9A-F]{2})@", lambda found: bytes([int(found[1], 16)]), text)
            if bare != text:
                file.write_bytes(bare)


def recorded_places(record: Path, asked: list[tuple[str, ...]]) -> Places:
    """The places of the machine of this directory; umockdev's part of it is already in place.

    asked: gets each command that is run.
    """

    def run(command: Sequence[str]) -> str | None:
        asked.append(tuple(command))
        for name in (f"{command[0]}-{Path(command[-1]).name}", command[0]):
            answer = record / "commands" / name
            if answer.is_file():
                return answer.read_text()
        return None

    return Places(
        proc=record / "proc",
        run=run,
        ask=run,
        hostname=lambda: f"{record.name}.example.org",
        now=lambda: RECORDED_AT,
        local_offset=lambda _moment: 0,
    )


def probe_recorded(record: Path) -> Outcome:
    """Probe the machine of this directory."""
    asked: list[tuple[str, ...]] = []
    places = recorded_places(record, asked)
    machine = probe(places)
    commands = tuple(asked)
    return Outcome(machine, commands, examine_health(machine.disks, places), find_sticks((), places))


def main(record: str, output: str) -> None:
    """Probe the machine of a directory and write the pickled outcome; runs below umockdev-run."""
    directory = Path(record)
    bed = Path(os.environ["UMOCKDEV_DIR"])
    lay_out(directory / "extra.txt", bed)
    put_bytes_in(bed)
    Path(output).write_bytes(pickle.dumps(probe_recorded(directory)))
