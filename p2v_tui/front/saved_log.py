"""The log of a conversion, as a file that the operator can keep."""

from __future__ import annotations

import datetime

from p2v_tui import __version__
from p2v_tui.front.conversion_run import ConversionRun, LogLine
from p2v_tui.front.kept_file import KeptFile, file_name
from p2v_tui.session.words.terminal_text import plain


def log_file(run: ConversionRun, now: datetime.datetime) -> KeptFile:
    """What the screen has shown of the conversion so far."""
    text = _text(run.lines_from(0), run.snapshot.lines)
    name = file_name(run.plan.guest.name, f"-{now:%Y%m%d-%H%M%S}.log")
    return KeptFile(name, text.encode(errors="replace"))


def _text(lines: tuple[LogLine, ...], count: int) -> str:
    head = [f"p2v-tui {__version__}"]
    if lines and lines[0].number > 0:
        head.append(f"The first {lines[0].number} of {count} lines are only in the log on the conversion server.")
    body = [
        f"{line.at:%Y-%m-%d %H:%M:%S} {'p2v-tui: ' if line.kind is None else ''}{plain(line.text)}" for line in lines
    ]
    return "\n".join([*head, *body, ""])
