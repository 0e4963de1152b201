"""The file of --config: the words of a kernel command line, on any number of lines. Nobody sees a password in it,
while sudo and ps show every argument to every user.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final

from p2v_tui.cmdline import PREFIX, Word, split_words
from p2v_tui.errors import SettingsError

STANDARD_INPUT: Final = "-"
MAX_SIZE: Final = 1024 * 1024


def read_words(name: str) -> list[Word]:
    """The words of the file, or of standard input for `-`.

    A line that starts with `#` is a comment; words cannot span lines. Raises SettingsError if it cannot be read,
    contains no setting, or (a file) others may read it.
    """
    content, mode = _read(name)
    words = [word for line in _lines(content) for word in split_words(line)]
    shown = "standard input" if name == STANDARD_INPUT else name
    if not any(word.key.startswith(PREFIX) for word in words):
        raise SettingsError(
            f"There are no settings in {shown} (--config).", "Write p2v.server=HOST and the like, one on each line."
        )
    if mode & 0o077:
        raise SettingsError(
            f"{shown} (--config) can be read by other users (mode {stat.S_IMODE(mode):04o}).",
            f"If it is the right file: chmod 600 {shown}",
        )
    return words


def _lines(content: str) -> list[str]:
    return [line for line in content.splitlines() if not line.lstrip().startswith("#")]


def _read(name: str) -> tuple[str, int]:
    """The text and the mode of the file; 0 for standard input, whose mode does not matter."""
    try:
        if name == STANDARD_INPUT:
            content, mode = sys.stdin.buffer.read(MAX_SIZE + 1), 0
        else:
            with Path(name).open("rb") as file:
                content, mode = file.read(MAX_SIZE + 1), os.fstat(file.fileno()).st_mode
    # ValueError: a NUL in the name.
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{name} (--config) cannot be read: {getattr(error, 'strerror', None) or error}.",
            "Give the path of a file with settings, or - for standard input.",
        ) from error
    if len(content) > MAX_SIZE:
        raise SettingsError(f"{name} (--config) has more than {MAX_SIZE} bytes.", "Give a file with settings.")
    return content.decode("utf-8-sig", errors="surrogateescape"), mode
