"""Saves the log of a conversion to a file on this machine, and proposes a directory for it."""

from __future__ import annotations

import datetime
import os
import re
import tempfile
from pathlib import Path
from typing import Final

from p2v_tui import __version__
from p2v_tui.errors import P2VError
from p2v_tui.front.conversion_run import ConversionRun, LogLine
from p2v_tui.session.words.terminal_text import plain

# Where desktops and people usually mount sticks.
_STICKS: Final = ("/run/media/", "/media/", "/mnt/")
_OCTAL = re.compile(r"\\([0-7]{3})")
_MAX_NAMES: Final = 100


class SavingFailed(P2VError):
    title = "The logs were not saved"


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


def save(run: ConversionRun, directory: str, now: datetime.datetime) -> Path:
    """Writes the conversion's log into a new file, and returns its path. Raises SavingFailed.

    Only the owner can read it, as it names disks, users and servers. Do not call it in the screens' thread: sticks
    are slow.
    """
    if not directory.startswith("/"):
        raise SavingFailed(
            f"{directory or 'Nothing'} is not the path of a directory.", "Give a path that starts with /."
        )
    snapshot = run.snapshot
    text = _text(run.lines_from(0), snapshot.lines)
    stem = f"p2v-tui-{run.plan.guest.name}-{now:%Y%m%d-%H%M%S}"
    try:
        path, descriptor = _new_file(Path(directory), stem)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            # The operator will pull out the stick or shut the machine down next.
            os.fsync(file.fileno())
    except OSError as error:
        raise SavingFailed(
            f"Could not write to {directory}: {error.strerror}.",
            "Give another directory; the shell (F2) can mount a stick.",
        ) from error
    return path


def _new_file(directory: Path, stem: str) -> tuple[Path, int]:
    for number in range(_MAX_NAMES):
        path = directory / f"{stem}{f'-{number}' if number else ''}.log"
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
    raise FileExistsError(0, "too many logs of this moment")


def _text(lines: tuple[LogLine, ...], count: int) -> str:
    head = [f"p2v-tui {__version__}"]
    if lines and lines[0].number > 0:
        head.append(f"The first {lines[0].number} of {count} lines are only in the log on the conversion server.")
    body = [
        f"{line.at:%Y-%m-%d %H:%M:%S} {'p2v-tui: ' if line.kind is None else ''}{plain(line.text)}" for line in lines
    ]
    return "\n".join([*head, *body, ""])
