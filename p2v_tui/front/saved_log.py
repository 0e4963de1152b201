"""Saves the log of a conversion to a file on this machine."""

from __future__ import annotations

import datetime
from pathlib import Path

from p2v_tui import __version__
from p2v_tui.front.conversion_run import ConversionRun, LogLine
from p2v_tui.front.saved_file import save_text
from p2v_tui.session.words.terminal_text import plain


def save(run: ConversionRun, directory: str, now: datetime.datetime) -> Path:
    """Writes the conversion's log into a new file, as `save_text`, and returns its path."""
    text = _text(run.lines_from(0), run.snapshot.lines)
    return save_text(text, directory, f"p2v-tui-{run.plan.guest.name}-{now:%Y%m%d-%H%M%S}", ".log")


def _text(lines: tuple[LogLine, ...], count: int) -> str:
    head = [f"p2v-tui {__version__}"]
    if lines and lines[0].number > 0:
        head.append(f"The first {lines[0].number} of {count} lines are only in the log on the conversion server.")
    body = [
        f"{line.at:%Y-%m-%d %H:%M:%S} {'p2v-tui: ' if line.kind is None else ''}{plain(line.text)}" for line in lines
    ]
    return "\n".join([*head, *body, ""])
