"""Writes a new file for the operator on this machine, often on a stick, and proposes a directory for it."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Final

from p2v_tui.errors import P2VError

# Where desktops and people mount sticks.
_STICKS: Final = ("/run/media/", "/media/", "/mnt/")
_OCTAL = re.compile(r"\\([0-7]{3})")
_MAX_NAMES: Final = 100


class SavingFailed(P2VError):
    title = "The file was not saved"


def default_directory(mounts: Path = Path("/proc/self/mounts")) -> str:
    """The mount point of a writable stick, else the directory for temporary files."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 4:
            continue
        place = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])
        if f"{place}/".startswith(_STICKS) and "rw" in fields[3].split(","):
            return place
    try:
        return tempfile.gettempdir()
    except OSError:
        # Python found no directory that it can write to: all are full.
        return "/tmp"


def save_text(text: str, directory: str, stem: str, ending: str) -> Path:
    """Writes the text into a new file of that name, or with a number behind the stem; returns its path.

    Only the owner can read it, as it names disks, users and servers. Raises SavingFailed. Not to be called in the
    screens' thread, as sticks are slow.
    """
    if not directory.startswith("/"):
        raise SavingFailed(
            f"{directory or 'Nothing'} is not the path of a directory.", "Give a path that starts with /."
        )
    try:
        path, descriptor = _new_file(Path(directory), stem, ending)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            # Next the stick is pulled out, or the machine shut down.
            os.fsync(file.fileno())
    except OSError as error:
        raise SavingFailed(
            f"Could not write to {directory}: {error.strerror}.",
            "Give another directory; the shell (F2) can mount a stick.",
        ) from error
    return path


def _new_file(directory: Path, stem: str, ending: str) -> tuple[Path, int]:
    for number in range(_MAX_NAMES):
        path = directory / f"{stem}{f'-{number}' if number else ''}{ending}"
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
    raise FileExistsError(0, "too many files of this moment")
