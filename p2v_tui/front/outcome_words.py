"""What the running screen says about a conversion: how far it is, what is lost, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2v_tui.errors import Cancelled, Detached, PreflightRefused
from p2v_tui.front.conversion_run import ConversionRun, LogLine, Outage, Snapshot
from p2v_tui.front.event_text import NEVER_BOTH, VIRT_V2V_RUNS, failed_in, finished_text, loss_lines, made_text
from p2v_tui.front.phases import PhaseState, current_phase
from p2v_tui.session.words.events import Converted, OutputKind
from p2v_tui.session.words.terminal_text import plain

_OUTAGES_NAMED: Final = 2
# What was ended on purpose, and what did not even start.
_NOT_FAILED: Final = (Cancelled, Detached, PreflightRefused)


def status_text(snapshot: Snapshot, activity: str = "") -> str:
    """activity: what virt-v2v is doing, if more is known than that it runs."""
    if snapshot.detaching:
        return "Leaving; the conversion waits on the server"
    if snapshot.cancelling:
        return "Cancelling; waiting for virt-v2v to end"
    return activity if activity and snapshot.status == VIRT_V2V_RUNS else snapshot.status


def end_text(run: ConversionRun) -> str:
    if run.snapshot.outcome is not None:
        return "The guest is on the conversion server."
    if run.left_running and run.snapshot.log_directory is None:
        return "Nothing was changed on the conversion server: it can be tried again."
    return "No guest was created."


def outage_text(outages: Sequence[Outage], *, cancelling: bool) -> str:
    """Which connections are lost, since when and until when, and what that means; empty if none is."""
    if not outages:
        return ""
    since, until = min(each.since for each in outages), min(each.until for each in outages)
    until_text = f"{until:%H:%M:%S}" if until.date() == since.date() else f"{until:%Y-%m-%d %H:%M}"
    if cancelling:
        return (
            f"!!! No connection to the server since {since:%H:%M:%S}: virt-v2v may still run there.\n"
            f"!!! It is stopped as soon as the server answers; p2v-tui tries until {until_text}."
        )
    names = [str(each.connection) for each in outages]
    if len(names) > _OUTAGES_NAMED:
        names = [*names[: _OUTAGES_NAMED - 1], f"{len(names) - _OUTAGES_NAMED + 1} more"]
    return (
        f"!!! LOST since {since:%H:%M:%S}: {', '.join(names)}.\n"
        f"!!! p2v-tui reconnects until {until_text}. Nothing is lost so far."
    )


def outcome_text(run: ConversionRun, last_lines: int, longest: int | None = None, *, iso: bool) -> str:
    """How it ended, in words. last_lines: how many of virt-v2v's lines are quoted, at most.

    longest: how many characters of the error's message are shown, if there is not room for all; then no lines are
    quoted beside an error of virt-v2v's own. iso: this machine runs from our live image and does nothing else.
    """
    snapshot = run.snapshot
    if snapshot.outcome is not None:
        return _success_text(snapshot.outcome, snapshot.warnings[-last_lines:], iso=iso)
    if snapshot.error is None:
        return ""
    phase = snapshot.phases[current_phase(snapshot.phases)]
    text = [_cut(snapshot.error.headline, longest)]
    if phase.state is PhaseState.FAILED and not isinstance(snapshot.error, _NOT_FAILED):
        text.append(failed_in(phase.name))
    if snapshot.error.advice:
        text.append(snapshot.error.advice)
    lines = run.lines_from(0)
    if (longest is None or not _says_why(lines, snapshot.error.message)) and (
        matter := _lines_that_matter(lines, snapshot.error.message, last_lines)
    ):
        text += ["Last output of virt-v2v:", *(f"  {plain(line)}" for line in matter)]
    return "\n".join(text)


def _cut(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else f"{text[:longest]}... (Details shows the rest)"


def _success_text(outcome: Converted, warnings: Sequence[str], *, iso: bool) -> str:
    text = [
        finished_text(outcome),
        made_text(outcome),
        *outcome.next_steps,
        "Shut this machine down now. Never start it again while the guest runs." if iso else NEVER_BOTH,
    ]
    # First what the guest lacks, because there may be many other warnings.
    text += [plain(line) for line in loss_lines(outcome) if outcome.left_out]
    if warnings:
        text += ["Warnings:", *(f"  {plain(warning)}" for warning in warnings)]
    return "\n".join(text)


def _lines_that_matter(lines: Sequence[LogLine], message: str, count: int) -> list[str]:
    """virt-v2v's last errors and warnings that the message does not repeat. If there are none, its last lines."""
    said = [line for line in lines if line.kind not in {None, OutputKind.DEBUG}]
    matter = [line for line in said if line.kind in {OutputKind.ERROR, OutputKind.WARNING}]
    chosen: list[str] = []
    # From the end, so that a log of any length costs the same.
    for line in reversed(matter or said):
        text = plain(line.text)
        if not (matter and _words(line) in message):
            chosen.append(text)
        if len(chosen) == count:
            break
    return chosen[::-1]


def _says_why(lines: Sequence[LogLine], message: str) -> bool:
    """Whether the message quotes an error of virt-v2v: that line says why it failed, and the rest is noise."""
    return any(line.kind is OutputKind.ERROR and _words(line) in message for line in lines)


def _words(line: LogLine) -> str:
    """The line without the name of the program that says it."""
    return plain(line.text).rpartition(": ")[2].strip()
