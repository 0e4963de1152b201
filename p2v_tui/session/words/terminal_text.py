"""Makes text from the server harmless for a terminal, and removes its colours."""

from __future__ import annotations

import re

SGR = re.compile(r"\x1b\[[0-9;]*m")
# CSI and OSC/DCS/APC/PM/SOS strings, other escapes, control characters except the tab, and characters that reverse
# the writing direction. Also C1 controls: a terminal in an 8-bit mode acts on them.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]",
    re.DOTALL,
)
# Python calls none of that printable, and a log has a million lines: only lines that are not printable are searched.


def harmless(line: str) -> str:
    """The line without anything that could control a terminal, except SGR colours."""
    if line.isprintable():
        return line
    return _CONTROL.sub(lambda match: match[0] if SGR.fullmatch(match[0]) else "", line)


def plain(line: str) -> str:
    """The line without anything that could control a terminal, and without colours."""
    return line if line.isprintable() else _CONTROL.sub("", line)
