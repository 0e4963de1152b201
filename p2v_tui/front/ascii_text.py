"""Turns the Unicode texts of disks, servers and virt-v2v into ASCII, for consoles that show nothing else."""

from __future__ import annotations

import unicodedata
from typing import Final

from p2v_tui.session.words.terminal_text import plain

# Typographic variants of ASCII characters.
_VARIANTS: Final = str.maketrans(
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
    """The text with the nearest ASCII characters. Letters lose their accents; `?` replaces what has no equivalent."""
    if text.isascii():
        return text
    return "".join(_ascii_of(character) for character in text.translate(_VARIANTS))


def cut(text: str, width: int) -> str:
    """The text in ASCII, without control characters, and shortened to the width with `...`."""
    text = ascii_text(plain(text))
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."


def _ascii_of(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.combining(character):
        return ""
    parts = unicodedata.normalize("NFKD", character)
    return "".join(part for part in parts if part.isascii() and part.isprintable()) or "?"
