"""Events, errors and outcomes as lines of text, the same for every front end, which decides how they look."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from p2v_tui.errors import P2VError
from p2v_tui.session.preflight.preflight import ChecksRefused
from p2v_tui.session.words.checks import Check, Verdict
from p2v_tui.session.words.events import (
    Checked,
    ConnectionLost,
    ConnectionRestored,
    Converted,
    Event,
    Happened,
    HostKeyLearnt,
    LineMeasured,
    LogDirectory,
    LogDirectoryRemoved,
    ServerVersion,
    Status,
    StepStarted,
    StillLost,
    Warned,
)
from p2v_tui.session.words.quantities import duration_text, size_text

_WORDS: Final = {
    Verdict.PASSED: "passed",
    Verdict.NOTED: "note",
    Verdict.WARNING: "warning",
    Verdict.REFUSED: "refused",
}
# The status while the phases tell the rest.
VIRT_V2V_RUNS: Final = "virt-v2v is running"
# The last word on a success.
NEVER_BOTH: Final = "Never run this machine and the guest at the same time."


class Tone(enum.Enum):
    """What a line means to its reader. A front end may give it a colour."""

    PLAIN = enum.auto()
    GOOD = enum.auto()
    WARNING = enum.auto()
    BAD = enum.auto()


@dataclass(frozen=True)
class Said:
    """A line that p2v-tui says itself."""

    text: str
    tone: Tone = Tone.PLAIN


def lines_of(event: Event) -> tuple[Said, ...]:
    """What p2v-tui says about an event. It adds nothing to virt-v2v's own lines or to progress."""
    match event:
        case Checked(check):
            return _check_lines(check)
        case Warned(text):
            return (Said(f"warning: {text}", Tone.WARNING),)
        case ConnectionLost(connection, reason, seconds):
            trying = f"Opening it again, for up to {duration_text(seconds)}. Nothing is lost so far."
            return Said(f"Lost {connection}: {reason}", Tone.WARNING), Said(trying, Tone.WARNING)
        case ConnectionRestored(connection, seconds):
            name = str(connection)
            return (Said(f"{name[0].upper()}{name[1:]} is back after {duration_text(seconds)}.", Tone.GOOD),)
        case Converted():
            return (Said(made_text(event), Tone.GOOD),)
    return tuple(map(Said, _plain_lines(event)))


def _plain_lines(event: Event) -> Iterator[str]:
    """What is neither good nor bad."""
    match event:
        case Status(text) | Happened(text) | StepStarted(_, text):
            yield text
        case StillLost(connection, reason):
            yield f"Still without {connection}: {reason}"
        case HostKeyLearnt(fingerprint):
            yield f"The conversion server's host key is {fingerprint}"
            yield f"To pin this key next time, add: p2v.remote.hostkey={fingerprint}"
        case ServerVersion(version, modes):
            yield f"virt-v2v {version}, output modes {', '.join(modes)}"
        case LineMeasured(rate):
            yield f"The conversion server reads through the tunnel at about {size_text(rate)}/s"
        case LogDirectory(path):
            yield f"Log files are on the conversion server in {path}"
        case LogDirectoryRemoved():
            yield "The log files' directory was removed again: virt-v2v never ran."


def _check_lines(check: Check) -> tuple[Said, ...]:
    """What was found, and what to do. A check that passed gets no line."""
    if check.verdict is Verdict.PASSED:
        return ()
    tone = Tone.BAD if check.verdict is Verdict.REFUSED else Tone.WARNING
    lines = (f"{_WORDS[check.verdict]}: {check.name}: {check.text}", check.advice)
    return tuple(Said(line, tone) for line in lines if line)


def error_lines(error: P2VError, told: Collection[Check] = (), phase: str = "") -> tuple[Said, ...]:
    """What failed, when, and what to do about it. told: the checks whose lines were shown already.

    phase: the one that failed, if the lines should name it.
    """
    lines: tuple[str, ...] = (error.headline, failed_in(phase) if phase else "", error.advice)
    if isinstance(error, ChecksRefused) and all(check in told for check in error.checks):
        lines = (f"{error.title}.", error.how_to_accept)
    return tuple(Said(line, Tone.BAD) for line in lines if line)


def failed_in(phase: str) -> str:
    return f"Failed during: {phase}"


def finished_text(outcome: Converted) -> str:
    size = f": disks of {size_text(outcome.size)}" if outcome.size else ""
    return f"Conversion finished successfully in {duration_text(outcome.seconds)}{size}."


def made_text(outcome: Converted) -> str:
    return f"Made: {outcome.where}"


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
