"""A file of settings: the words of a kernel command line, on any number of lines. Nobody sees a password in it, while
sudo and ps show every argument to every user.

`--config` reads it as the kernel's command line is read: what is not ours is ignored. What the screens load was made
for p2v-tui, so that everything in it has to be right.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import sys
from pathlib import Path
from typing import Final

from p2v_tui.cmdline import PREFIX, Word, no_setting, parse_words, split_words
from p2v_tui.config import BY_KEY, Settings
from p2v_tui.errors import SettingsError

STANDARD_INPUT: Final = "-"
MAX_SIZE: Final = 1024 * 1024
# How many faults of a file are told at once.
_MOST_FAULTS: Final = 8
_OPTION: Final = " (--config)"
_EXAMPLE: Final = "Write p2v.server=HOST and the like, one on each line."


def read_words(name: str) -> list[Word]:
    """The words of the file, or of standard input for `-`.

    A line that starts with `#` is a comment; words cannot span lines. Raises SettingsError if it cannot be read,
    contains no setting, or (a file) others may read it.
    """
    content, mode = _read(name)
    shown = "standard input" if name == STANDARD_INPUT else name
    words = _words(content, shown)
    if not any(word.key.startswith(PREFIX) for word in words):
        raise SettingsError(f"There are no settings in {shown}{_OPTION}.", _EXAMPLE)
    if error := private_file(f"{shown}{_OPTION}", mode):
        raise error
    return words


def parse_all(content: bytes, name: str) -> Settings:
    """The settings in a file, each word of which has to be one. name: the file's, for messages.

    Raises SettingsError with everything that is wrong: the file, the line, the reason and what is valid.
    """
    words = _words(_text(content), name)
    wrong = [fault for word in words if (fault := _fault(word))]
    if not wrong and words:
        parsed = parse_words(words)
        if not parsed.warnings:
            return parsed.settings
        wrong = list(parsed.warnings)
    if not words:
        wrong = [f"There are no settings in {name}. {_EXAMPLE}"]
    more = [f"{len(wrong) - _MOST_FAULTS} more."] if len(wrong) > _MOST_FAULTS else []
    raise SettingsError("\n".join([*wrong[:_MOST_FAULTS], *more]))


def holds_secrets(settings: Settings) -> bool:
    """Whether one of them is a secret as a whole."""
    return any(setting.kind.secret and getattr(settings, setting.attribute) for setting in BY_KEY.values())


def private_file(shown: str, mode: int) -> SettingsError | None:
    """What is said of a file that others may read; None where only its owner may. shown: its name."""
    if not mode & 0o077:
        return None
    return SettingsError(
        f"{shown} can be read by other users (mode {stat.S_IMODE(mode):04o}).",
        f"If it is the right file: chmod 600 {shown.removesuffix(_OPTION)}",
    )


def _fault(word: Word) -> str:
    """What is wrong with a word on its own, and what is valid; empty if nothing is."""
    if not word.key.startswith(PREFIX):
        # Another file may have been named by mistake: no more of it is shown than what looks like a name.
        shown = f"{word.key} is" if re.fullmatch(r"[A-Za-z][\w.]{0,30}", word.key) else "it is"
        return f"{word.called}{shown} not a setting. {_EXAMPLE}"
    if word.key not in BY_KEY:
        return f"{word.called}{no_setting(word.key)} F1 on a field names its setting, docs/settings.md has all."
    try:
        return " ".join(parse_words([word]).warnings)
    except SettingsError as error:
        return f"{error.message} {error.advice}"


def _words(content: str, name: str) -> list[Word]:
    """All but the comments', each with its line."""
    return [
        dataclasses.replace(word, place=f"{name}, line {number}")
        for number, line in enumerate(content.splitlines(), 1)
        if not line.lstrip().startswith("#")
        for word in split_words(line)
    ]


def _text(content: bytes) -> str:
    return content.decode("utf-8-sig", errors="surrogateescape")


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
    return _text(content), mode
