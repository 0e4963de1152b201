"""Writes an image to a whole disk or stick, only if nothing uses it, and only after a yes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import BuildError
from imagebuild.progress import Step

_CHUNK = 4 * 2**20


@dataclass(frozen=True)
class BlockDevice:
    """A whole block device. description: its model, if any. size: bytes."""

    path: Path
    description: str
    size: int


def block_device(path: Path, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> BlockDevice | None:
    """The block device at this path, or None if a file is meant.

    Raises BuildError for a device that must not be overwritten: a partition, or one that is in use.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISBLK(status.st_mode):
        return None
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    place = (sys / "dev/block" / number).resolve()
    if (place / "partition").exists():
        raise BuildError(
            f"{path} is a partition of {place.parent.name}.",
            f"The image has partitions of its own: give the whole disk, /dev/{place.parent.name}.",
        )
    if reason := in_use(place, proc):
        raise BuildError(f"{path} is in use: {reason}.", "Write to another device, or end that use of it first.")
    if _read(place / "ro") == "1":
        raise BuildError(f"{path} is read-only.", "Is there a switch on it?")
    description = " ".join(filter(None, (_read(place / "device/vendor"), _read(place / "device/model"))))
    return BlockDevice(path, description, int(_read(place / "size") or 0) * 512)


def in_use(place: Path, proc: Path) -> str:
    """What uses a block device or a partition of it, in words; empty for nothing. place: its directory in /sys."""
    parts = [place, *sorted(path.parent for path in place.glob("*/partition"))]
    mounted = {fields[2]: fields[4] for fields in map(str.split, (_read(proc / "self/mountinfo") or "").splitlines())}
    swaps = {line.split()[0] for line in (_read(proc / "swaps") or "").splitlines()[1:]}
    for part in parts:
        number = _read(part / "dev") or ""
        if number in mounted:
            return f"/dev/{part.name} is mounted on {mounted[number]}"
        if f"/dev/{part.name}" in swaps:
            return f"the system swaps to /dev/{part.name}"
        for holder in sorted((part / "holders").glob("*")):
            return f"/dev/{part.name} is part of {_read(holder / 'dm/name') or holder.name}"
    return ""


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def confirm(device: BlockDevice, ask: Callable[[str], str]) -> None:
    """Asks whether the device is to be overwritten. Raises BuildError for any answer but yes."""
    name = f"{device.path} ({device.description}, {_size(device.size)})" if device.description else str(device.path)
    try:
        answer = ask(f"Everything on {name} will be lost. Write the image to it? Type yes: ")
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise BuildError(f"{device.path} is left as it is.", "--yes answers the question beforehand.")


def write(image: Path, device: BlockDevice, step: Step) -> None:
    """Writes the image to the beginning of the device and reads it back. Raises BuildError."""
    size = image.stat().st_size
    if size > device.size:
        raise BuildError(f"{device.path} holds {_size(device.size)}, and the image has {_size(size)}.")
    try:
        # O_EXCL on a block device: the kernel itself refuses one that is mounted or held.
        descriptor = os.open(device.path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        with os.fdopen(descriptor, "r+b", buffering=0) as target, image.open("rb") as source:
            written = hashlib.sha256()
            while chunk := source.read(_CHUNK):
                written.update(chunk)
                _write_all(target.fileno(), chunk)
                step.note(f"{100 * source.tell() // size} % written")
            step.note("waiting for the device")
            os.fsync(descriptor)
            # So that the data is read back from the device and not from memory.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            target.seek(0)
            found = hashlib.sha256()
            while chunk := target.read(min(_CHUNK, size - target.tell())):
                found.update(chunk)
                step.note(f"{100 * target.tell() // size} % read back")
    except OSError as error:
        raise BuildError(f"{device.path} cannot be written: {error.strerror}.") from error
    if found.digest() != written.digest():
        raise BuildError(f"{device.path} does not hold what was written to it.", "The device is broken: use another.")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _size(size: int) -> str:
    """In powers of 1000, as on a stick's label. size: bytes."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
