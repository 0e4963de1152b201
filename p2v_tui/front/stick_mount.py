"""Mounts a stick for as long as one file is written to it or read from it.

It is made sure once more that it is the stick that was chosen and that nothing uses it. Its programs, devices and
set-user-id bits do not count, and nobody but root sees what is on it.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from p2v_tui.errors import P2VError
from p2v_tui.front.device_words import shown
from p2v_tui.hwprobe.sticks import MOUNT_TYPES, Stick, find_sticks
from p2v_tui.programs import complete
from p2v_tui.session.conversion.read_only import writable

# File systems without owners: only root gets at the files.
_WITHOUT_OWNERS: Final = frozenset({"vfat", "exfat", "ntfs"})
# Without it, a file system that was not unmounted is repaired, which is a write, also where it is mounted read-only.
_JOURNALS: Final = frozenset({"ext3", "ext4"})
# A desktop may look at a new mount at once, and be in the way of unmounting for a moment.
_UNMOUNT_TRIES: Final = 10
_UNMOUNT_INTERVAL: Final = 0.5


class StickFailed(P2VError):
    title = "The stick cannot be used"


@contextlib.contextmanager
def mounted(stick: Stick, taken: Collection[str], *, write: bool) -> Iterator[Path]:
    """The directory where the stick is mounted. taken: the disks that are to be converted. Raises StickFailed."""
    name = shown(stick.name)
    if stick not in find_sticks(taken):
        raise StickFailed(
            f"{name} is not there any more, is in use, or belongs to a disk that is to be converted.",
            "Choose USB stick once more to look for sticks again.",
        )
    with contextlib.ExitStack() as undone:
        if write:
            try:
                undone.enter_context(writable((stick.disk, stick.node)))
            except OSError as error:
                raise StickFailed(f"{name} cannot be made writable: {error.strerror}.", _WHO) from error
        # One below a directory of ours, as a mounted one has the mode that the stick says.
        directory = Path(undone.enter_context(tempfile.TemporaryDirectory(prefix="p2v-tui-stick-")), "stick")
        directory.mkdir()
        options = ["-t", MOUNT_TYPES[stick.kind], "-o", _options(stick, write=write)]
        _run(stick, ["mount", *options, str(stick.node)], directory)
        try:
            yield directory
        finally:
            _unmount(stick, directory)


_WHO: Final = "Only root can mount a stick. `dmesg` in the shell (F2) says more."


def _options(stick: Stick, *, write: bool) -> str:
    options = ["rw" if write else "ro", "nosuid", "nodev", "noexec"]
    options += ["umask=077"] if stick.kind in _WITHOUT_OWNERS else []
    options += ["noload"] if stick.kind in _JOURNALS and not write else []
    return ",".join(options)


def _run(stick: Stick, command: list[str], directory: Path) -> None:
    try:
        done = complete([*command, str(directory)], merged=True)
    except OSError as error:
        raise StickFailed(f"{command[0]} cannot be run: {error.strerror}.", "") from error
    if done is None:
        raise StickFailed(f"{shown(stick.name)} does not answer.", "Pull it out, and take another one.")
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip().splitlines()
        why = shown(said[0]) if said else f"{command[0]} ended with {done.returncode}"
        raise StickFailed(f"{shown(stick.name)} cannot be mounted: {why}", _WHO)


def _unmount(stick: Stick, directory: Path) -> None:
    for _ in range(_UNMOUNT_TRIES - 1):
        with contextlib.suppress(StickFailed):
            _run(stick, ["umount"], directory)
            return
        time.sleep(_UNMOUNT_INTERVAL)
    try:
        _run(stick, ["umount"], directory)
    except StickFailed as error:
        raise StickFailed(
            f"{shown(stick.name)} is still mounted on {directory}.", f"Before you pull it out: umount {directory}"
        ) from error
