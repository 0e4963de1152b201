"""Events as lines of text: what every front end says of a check, a lost connection and a loss."""

from __future__ import annotations

from typing import Final

from p2v_tui.session.words.checks import Check, Verdict
from p2v_tui.session.words.events import (
    ConnectionLost,
    ConnectionRestored,
    Converted,
    LogDirectory,
    LogDirectoryRemoved,
)
from p2v_tui.session.words.quantities import duration_text

_WORDS: Final = {
    Verdict.PASSED: "passed",
    Verdict.NOTED: "note",
    Verdict.WARNING: "warning",
    Verdict.REFUSED: "refused",
}


def check_lines(check: Check) -> tuple[str, ...]:
    """What was found, and what to do where there is something to do."""
    found = f"{_WORDS[check.verdict]}: {check.name}: {check.text}"
    return (found, check.advice) if check.advice else (found,)


def outage_lines(event: ConnectionLost | ConnectionRestored) -> tuple[str, ...]:
    if isinstance(event, ConnectionRestored):
        return (f"{event.connection[0].upper()}{event.connection[1:]} is back after {duration_text(event.seconds)}.",)
    return (
        f"Lost {event.connection}: {event.reason}",
        f"Opening it again, for up to {duration_text(event.seconds)}. Nothing is lost so far.",
    )


def log_directory_line(event: LogDirectory | LogDirectoryRemoved) -> str:
    if isinstance(event, LogDirectory):
        return f"Log files are on the conversion server in {event.path}"
    return "The log files' directory was removed again: virt-v2v never ran."


def loss_lines(outcome: Converted) -> tuple[str, ...]:
    """What a successful conversion left out, by virt-v2v's warnings."""
    lines = [f"The guest lacks something; virt-v2v warned: {warning}" for warning in outcome.left_out]
    others = outcome.warnings - len(lines)
    if others > 0:
        lines.append(
            f"virt-v2v gave {others} {'more ' if lines else ''}warning{'' if others == 1 else 's'}: see its log in "
            f"{outcome.log_directory} on the conversion server."
        )
    return tuple(lines)
