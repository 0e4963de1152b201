"""The record of a running conversion, in the workspace: with it another process can continue where this one ended. It
contains no password and no passphrase: whoever continues has to log in again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2v_tui.config import Settings
from p2v_tui.errors import P2VError
from p2v_tui.hwprobe.machine import Machine
from p2v_tui.kinds import Secret
from p2v_tui.session.conversion.machine_record import RecordedDisk
from p2v_tui.session.plan.plan import Plan, make_plan
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.workspace import Workspace, abandoned
from p2v_tui.setting_texts import as_texts, from_texts

VERSION = 2


@dataclass(frozen=True)
class SavedConversion:
    """settings: those that the conversion was started with, except the secrets. image: the one of --test-disk.

    disks: as they were at the beginning, to tell whether they are still the same and were not written.
    relayed: whether the data connections end in a relay. started: in local time.
    """

    settings: Settings
    image: Path | None
    directory: RemoteDirectory
    disks: tuple[RecordedDisk, ...]
    relayed: bool
    started: datetime.datetime

    def write(self, workspace: Workspace) -> None:
        """Writes it whole or not at all. Raises OSError."""
        record = {
            "version": VERSION,
            "settings": as_texts(self.settings),
            "image": str(self.image) if self.image else None,
            "directory": self.directory.path,
            "disks": [[disk.name, disk.size, disk.serial, disk.mark] for disk in self.disks],
            "relayed": self.relayed,
            "started": self.started.isoformat(timespec="seconds"),
        }
        new = workspace.conversion.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(json.dumps(record, indent=1))
        new.rename(workspace.conversion)

    def same_job(self, settings: Settings, disks: tuple[str, ...]) -> bool:
        """Whether these settings ask for what this conversion does: the same disks to the same server."""
        mine, theirs = self.settings, settings
        return (mine.server, mine.port, mine.username) == (theirs.server, theirs.port, theirs.username) and (
            tuple(disk.name for disk in self.disks) == disks
        )

    def same_disks(self, disks: Sequence[RecordedDisk]) -> bool:
        """Whether these are the same disks, whatever is on them by now."""
        return [(disk.name, disk.size, disk.serial) for disk in disks] == [
            (disk.name, disk.size, disk.serial) for disk in self.disks
        ]

    def unproved(self, disks: Sequence[RecordedDisk]) -> tuple[str, ...]:
        """The present names of those that may have been written since the conversion began."""
        return tuple(now.name for now, then in zip(disks, self.disks, strict=True) if not now.unchanged_since(then))

    def with_secrets_of(self, settings: Settings) -> SavedConversion:
        """A copy with the password and the identity of these settings."""
        login = dataclasses.replace(
            self.settings,
            password=settings.password,
            identity_url=settings.identity_url or self.settings.identity_url,
        )
        return dataclasses.replace(self, settings=login)

    def plan(self, machine: Machine, *, set_read_only: bool) -> Plan:
        """Makes its plan again. Raises SettingsError if the machine has changed."""
        # Some modes require -op, which virt-v2v already has.
        password = self.settings.output_password or Secret("")
        settings = dataclasses.replace(self.settings, output_password=password)
        return make_plan(settings, machine, self.image, set_read_only=set_read_only)

    @property
    def in_words(self) -> str:
        """`conversion of sda, sdb to conv.example.com, started 2026-11-23 02:13`"""
        disks = ", ".join(disk.name for disk in self.disks)
        return f"conversion of {disks} to {self.settings.server}, started {self.started:%Y-%m-%d %H:%M}"


def read(workspace: Workspace) -> SavedConversion | None:
    """None if it does not exist or cannot be understood."""
    try:
        record: Any = json.loads(workspace.conversion.read_text())
        if record["version"] != VERSION:
            return None
        return SavedConversion(
            settings=from_texts(record["settings"]),
            image=Path(record["image"]) if record["image"] else None,
            directory=RemoteDirectory(record["directory"]),
            disks=tuple(
                RecordedDisk(str(name), int(size), serial, str(mark)) for name, size, serial, mark in record["disks"]
            ),
            relayed=bool(record["relayed"]),
            started=datetime.datetime.fromisoformat(record["started"]),
        )
    except (OSError, ValueError, KeyError, TypeError, P2VError):
        return None


def find_saved(
    wanted: Callable[[SavedConversion], bool] = lambda _: True,
) -> tuple[Workspace, SavedConversion] | None:
    """The newest wanted conversion that another process of ours left running; takes over its workspace.

    Directories without a conversion, of processes that were killed before they began one, are removed.
    """
    found: list[tuple[Workspace, SavedConversion]] = []
    with contextlib.ExitStack() as others:
        for workspace in abandoned():
            saved = read(workspace)
            if saved is not None and wanted(saved):
                found.append((workspace, saved))
                continue
            if saved is None:
                workspace.forget()
            others.callback(workspace.close)
    found.sort(key=lambda each: each[1].started)
    for workspace, _ in found[:-1]:
        workspace.close()
    return found[-1] if found else None
