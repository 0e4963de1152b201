"""The result of a command on the conversion server, over any connection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from p2v_tui.session.words.terminal_text import plain

# Lines of ssh that are never the reason for a failure: the progress of the login (LogLevel=VERBOSE) and the answered
# question about the host key.
_CHATTER = re.compile(
    r"Authenticated (to|using|with) |Warning: Permanently added |Transferred: sent |Bytes per second: sent "
    r"|The authenticity of host |\S+ key fingerprint is |This (?:host )?key is (?:not )?known by "
    r"|Are you sure you want to continue connecting "
)


@dataclass(frozen=True)
class Result:
    """status: the command's exit status. output: its standard output and error."""

    status: int
    output: bytes

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")

    @property
    def last_line(self) -> str:
        """The last line of output, harmless for a terminal."""
        return (last_lines(self.text, 1) or ["it said nothing"])[0]


class CommandRunner(Protocol):
    """Runs commands on the conversion server one by one: the part of `RemoteShell` that most callers need."""

    def run(self, command: str, *, timeout: float = ...) -> Result:
        """Runs a command to its end, for at most `timeout` seconds. Raises ConnectionFailed and Cancelled."""


def last_lines(text: str, count: int) -> list[str]:
    """The last non-empty lines of a program's output, harmless for a terminal, without ssh's statistics."""
    lines = [line for line in (plain(raw).strip() for raw in text.splitlines()) if line]
    return [line for line in lines if not _CHATTER.match(line)][-count:]
