"""Makes text from the server harmless for a terminal, and takes the colours out of it."""

from __future__ import annotations

import re

SGR = re.compile(r"\x1b\[[0-9;]*m")
# CSI and OSC/DCS/APC/PM/SOS strings, other escapes, lone control characters but for the tab, and what reverses the
# direction of writing. The C1 controls count: a terminal in an 8-bit mode acts on them.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]",
    re.DOTALL,
)
# Nothing of that is printable to Python, and a log has a million lines: only what is not is searched.


def harmless(line: str) -> str:
    """The line with its SGR colours and nothing else that could drive a terminal."""
    if line.isprintable():
        return line
    return _CONTROL.sub(lambda match: match[0] if SGR.fullmatch(match[0]) else "", line)


def plain(line: str) -> str:
    """The line without colours and without anything that could drive a terminal."""
    return line if line.isprintable() else _CONTROL.sub("", line)
