"""Says in ASCII what disks, servers and virt-v2v say in Unicode, for consoles that have nothing else."""

from __future__ import annotations

import unicodedata
from typing import Final

from p2v_tui.session.words.terminal_text import plain

# What programs write in place of the ASCII character that they mean.
_MEANT: Final = str.maketrans(
    {
        "‘": "'",  # noqa: RUF001
        "’": "'",  # noqa: RUF001
        "“": '"',
        "”": '"',
        "«": '"',
        "»": '"',
        "–": "-",  # noqa: RUF001
        "—": "-",
        "−": "-",  # noqa: RUF001
        "…": "...",
        "•": "*",
        "→": "->",
        "×": "x",  # noqa: RUF001
    }
)


def ascii_text(text: str) -> str:
    """The text with the nearest ASCII characters; letters lose their accents, what has no likeness is a `?`."""
    if text.isascii():
        return text
    return "".join(_ascii_of(character) for character in text.translate(_MEANT))


def cut(text: str, width: int) -> str:
    """The text in ASCII and without control characters, and with `...` for what is over the width."""
    text = ascii_text(plain(text))
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."


def _ascii_of(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.combining(character):
        return ""
    likeness = unicodedata.normalize("NFKD", character)
    found = "".join(part for part in likeness if part.isascii() and part.isprintable())
    return found or "?"
