"""The record of who made a remote directory: the machine, the boot, the process, and the disks to convert.

It is in the directory from the beginning, so that a later start on the same machine can find and end what was left
there even after a power cut. It contains no secrets.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2v_tui.hwprobe.machine import Disk
from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.this_machine import MachineIdentity, identify
from p2v_tui.hwprobe.unchanged import boot_id, mark_of

VERSION = 1


@dataclass(frozen=True)
class RecordedDisk:
    """mark: proves it unchanged (`hwprobe/unchanged.py`); empty if nothing can prove that."""

    name: str
    size: int
    serial: str | None
    mark: str

    def may_be(self, other: RecordedDisk) -> bool:
        """Compares serial numbers if both have one: the kernel's names move from disk to disk."""
        return self.serial == other.serial if self.serial and other.serial else self.name == other.name

    def unchanged_since(self, earlier: RecordedDisk) -> bool:
        """Whether it is the disk of that record and was provably not written since."""
        return self == earlier and bool(self.mark)


@dataclass(frozen=True)
class MachineRecord:
    """boot: the machine's boot id. files: the view of the file system that contains `workspace`. guest: its name;
    empty for a connection test. started: in local time.
    """

    identity: MachineIdentity
    boot: str
    files: str
    workspace: str
    guest: str
    disks: tuple[RecordedDisk, ...]
    started: datetime.datetime

    @property
    def text(self) -> str:
        """In one line."""
        return json.dumps(
            {
                "version": VERSION,
                "uuid": self.identity.uuid,
                "serial": self.identity.serial,
                "macs": sorted(self.identity.macs),
                "boot": self.boot,
                "files": self.files,
                "workspace": self.workspace,
                "guest": self.guest,
                "disks": [[disk.name, disk.size, disk.serial, disk.mark] for disk in self.disks],
                "started": self.started.isoformat(timespec="seconds"),
            }
        )

    def same_machine(self, other: MachineRecord) -> bool:
        return bool(self.boot and self.boot == other.boot) or self.identity.same_machine(other.identity)

    def in_the_way(self, earlier: MachineRecord) -> bool:
        """Whether the earlier one wanted one of these disks, or a guest of this name."""
        return self.guest == earlier.guest or self._shares_disk(earlier)

    def same_guest(self, earlier: MachineRecord) -> bool:
        """Whether the earlier one converted one of these disks to a guest of this name."""
        return self.guest == earlier.guest and self._shares_disk(earlier)

    def _shares_disk(self, earlier: MachineRecord) -> bool:
        return any(mine.may_be(theirs) for mine in self.disks for theirs in earlier.disks)

    def unchanged_since(self, earlier: MachineRecord) -> bool:
        return len(self.disks) == len(earlier.disks) and all(
            map(RecordedDisk.unchanged_since, self.disks, earlier.disks)
        )

    def orphaned(self, earlier: MachineRecord, *, served: bool) -> bool:
        """Whether nobody can continue what the earlier process of this machine left.

        served: whether the tunnels there answer. A process of another boot has ended. One of this boot has its
        private directory if it lives or left its record.
        """
        if not self.boot or not earlier.boot:
            return False
        if earlier.boot != self.boot:
            return True
        return not Path(earlier.workspace).exists() and (earlier.files == self.files or not served)


def record_of(disks: Sequence[Disk], guest: str, workspace: Path, places: Places | None = None) -> MachineRecord:
    """This machine now."""
    places = places or Places()
    files = ""
    with contextlib.suppress(OSError):
        files = str((places.proc / "self/ns/mnt").readlink())
    return MachineRecord(
        identity=identify(places),
        boot=boot_id(places),
        files=files,
        workspace=str(workspace),
        guest=guest,
        disks=tuple(record_disk(disk, places) for disk in disks),
        started=datetime.datetime.now().replace(microsecond=0),
    )


def record_disk(disk: Disk, places: Places | None = None) -> RecordedDisk:
    return RecordedDisk(disk.name, disk.size, disk.serial, mark_of(disk, places))


def parse(text: str) -> MachineRecord | None:
    """None if it cannot be understood: the server is not trusted."""
    try:
        record: Any = json.loads(text)
        if record["version"] != VERSION:
            return None
        return MachineRecord(
            identity=MachineIdentity(
                uuid=_text_or_none(record["uuid"]),
                serial=_text_or_none(record["serial"]),
                macs=frozenset(str(mac) for mac in record["macs"]),
            ),
            boot=str(record["boot"]),
            files=str(record["files"]),
            workspace=str(record["workspace"]),
            guest=str(record["guest"]),
            disks=tuple(
                RecordedDisk(str(name), int(size), _text_or_none(serial), str(mark))
                for name, size, serial, mark in record["disks"]
            ),
            started=datetime.datetime.fromisoformat(record["started"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)
