"""Saves settings to a file on this machine, as `p2v-tui --config` reads them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from p2v_tui import __version__
from p2v_tui.front.saved_file import save_text
from p2v_tui.secrecy import HIDDEN


def save(words: Sequence[str], secrets: Sequence[str], guest: str, directory: str, now: datetime.datetime) -> Path:
    """Writes a new file, as `save_text`, and returns its path. words: `p2v.NAME=VALUE`. secrets: what has to be added
    by hand, the values as dots.
    """
    whole = [word for word in words if HIDDEN not in word]
    lacking = [*(word for word in words if HIDDEN in word), *secrets]
    lines = [f"# p2v-tui {__version__}: for p2v-tui --config", *whole]
    if lacking:
        lines += ["# Without secrets; add yourself:", *(f"# {word}" for word in lacking)]
    return save_text("\n".join([*lines, ""]), directory, f"p2v-tui-{guest}-{now:%Y%m%d-%H%M%S}", ".conf")
