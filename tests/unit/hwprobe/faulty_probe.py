"""Probe a recorded machine again and again, each time with one path that cannot be read; runs below umockdev-run.

The record is played as recorded_probe.py plays it. The fault is put in where Python asks the kernel: reading a file,
listing a directory, looking whether there is something, following a link.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from p2v_tui.hwprobe import Machine, probe
from tests.unit.hwprobe.recorded_probe import lay_out, put_bytes_in, recorded_places

# The kernel's words for a driver that fails, a device that has gone, an attribute with nothing to say; and no right.
ERRORS = (errno.EIO, errno.ENODEV, errno.EINVAL, errno.ENOENT, errno.EACCES)
METHODS = ("read_bytes", "read_text", "iterdir", "exists", "readlink", "is_symlink", "glob", "resolve")


@contextmanager
def watched(ask: Callable[[Path], None]) -> Iterator[None]:
    """Call `ask` with each path before Python reads it."""
    with mock.patch.multiple(Path, **{name: _asking(getattr(Path, name), ask) for name in METHODS}):
        yield


def _asking(method: Any, ask: Callable[[Path], None]) -> Any:
    def asking(path: Path, *arguments: Any, **words: Any) -> Any:
        ask(path)
        return method(path, *arguments, **words)

    return asking


def names(machine: Machine) -> list[str]:
    """Everything of the machine that has a name, each once."""
    drives = {it.name for it in machine.disks} | {it.name for it in machine.excluded}
    others = {it.name for it in machine.removable} | {it.name for it in machine.interfaces}
    return sorted(drives | others)


def outcome(machine: Machine) -> dict[str, list[str]]:
    return {
        "names": names(machine),
        "offered": sorted(disk.name for disk in machine.disks),
        "notes": [*machine.notes],
    }


def main(record: str, output: str) -> None:
    """Write [outcome without a fault, [[path that failed, outcome], ...]] as JSON."""
    directory = Path(record)
    bed = Path(os.environ["UMOCKDEV_DIR"])
    lay_out(directory / "extra.txt", bed)
    put_bytes_in(bed)
    places = recorded_places(directory, [])
    read: dict[Path, None] = {}

    def note(path: Path) -> None:
        if "commands" not in path.parts:
            read.setdefault(path)

    with watched(note):
        whole = outcome(probe(places))
    outcomes = []
    numbers = itertools.cycle(ERRORS)
    for broken in read:
        number = next(numbers)

        def fail(path: Path, broken: Path = broken, number: int = number) -> None:
            if path == broken:
                raise OSError(number, os.strerror(number), str(path))

        with watched(fail):
            found = outcome(probe(places))
        outcomes.append([f"{broken} {errno.errorcode[number]}", found])
    Path(output).write_text(json.dumps([whole, outcomes]))
