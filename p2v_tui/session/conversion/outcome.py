"""Checks whether virt-v2v's success is one, what it left out, and why a failed conversion failed.

virt-v2v exits with 0 when it was only asked for its options, and when it has left out a disk that it did not like. So
the plan is compared with its log, with what the relay passed on, and with what is at the output. What cannot be read
proves and disproves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from p2v_tui.errors import ConversionFailed
from p2v_tui.session.conversion.failure_reason import Reason
from p2v_tui.session.conversion.log import Copies, Warnings
from p2v_tui.session.conversion.output_proof import Found
from p2v_tui.session.conversion.what_to_try import what_to_try
from p2v_tui.session.data.relay.states import DiskState
from p2v_tui.session.data.relay_status import DiskRelay
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.remote.job_state import JobState, JobStatus

# virt-v2v's warnings about what the guest lacks: input/parse_libvirt_xml.ml, output/*.ml, convert/*.ml.
_LOSS: Final = re.compile(
    r"\bignored\b(?!\))|\bskipp(?:ed|ing)\b|could not define|not supported\b|does not support"
    r"|could not (?:copy|convert)|\bleft out\b|will not (?:boot|work)|may not (?:boot|work)",
    re.IGNORECASE,
)
_UNDEFINED: Final = "could not define libvirt domain"
_SHOWN: Final = 10


@dataclass(frozen=True)
class Evidence:
    """disks: the names of those that were to be converted.

    copies, warnings: from virt-v2v's log. causes: other programs' errors in it. relays: the relay's status of each
    disk; empty without a relay. found: what is at the output; None if unknown.
    """

    disks: Sequence[str]
    copies: Copies
    warnings: Warnings
    relays: Sequence[DiskRelay] = ()
    found: Found | None = None
    causes: Sequence[str] = ()

    @property
    def unread(self) -> list[str]:
        """The disks of which virt-v2v received no byte. Only ended ones count: a status may be a second old."""
        return [
            name
            for name, relay in zip(self.disks, self.relays, strict=False)
            if relay.state is DiskState.DONE and relay.distinct == 0
        ]

    @property
    def read(self) -> list[str]:
        return [name for name, relay in zip(self.disks, self.relays, strict=False) if relay.distinct > 0]


def losses(warnings: Warnings) -> tuple[str, ...]:
    """virt-v2v's warnings that the guest lacks something of the machine."""
    return tuple(warning for warning in warnings.first if _LOSS.search(warning))[:_SHOWN]


def check_success(evidence: Evidence, log: str) -> None:
    """Raises ConversionFailed if exit code 0 was not a success. log: where the whole log is, a sentence."""
    for warning in evidence.warnings.first:
        if _UNDEFINED in warning:
            why = "".join(f" {cause.rstrip('.')}." for cause in evidence.causes)
            raise ConversionFailed(
                f"The disks were copied, but libvirt has no such guest: {warning.rstrip('.')}.{why}",
                f"Define it by hand with `virsh define` from the XML that the log names. {log}",
            )
    missing = list(_missing(evidence))
    if not missing:
        return
    said = "".join(f" virt-v2v warned: {warning.rstrip('.')}." for warning in losses(evidence.warnings))
    proved = ", ".join(_proved(evidence)) or "nothing"
    raise ConversionFailed(
        f"virt-v2v ended without an error, but the guest is not complete: {'; '.join(missing)}.{said}",
        f"What is proved: {proved}. Do not use what is at the output; this machine and its disks are as they were. "
        f"Look into the log for the cause, then convert again. {log}",
    )


def failed(exit_code: int, reason: Reason, log: str, log_parent: str) -> ConversionFailed:
    """For an exit code other than 0. log_parent: the directory whose file system may be too full for the log."""
    if text := reason.text:
        # The number only helps if the words are not virt-v2v's own: 126 and 127 are the shell's.
        code = "" if reason.error else f" (exit code {exit_code})"
        return ConversionFailed(f"virt-v2v failed{code}: {text}.", f"{what_to_try(text)} {log}".strip())
    return ConversionFailed(
        f"virt-v2v failed: it gave no reason (exit code {exit_code}).",
        f"Look with `df {log_parent}` there whether its log found no room. {log}",
    )


def _missing(evidence: Evidence) -> Iterator[str]:
    """What contradicts the success, each in words that stand in a list."""
    copies, disks = evidence.copies, evidence.disks
    if copies.understood:
        left_out = [name for number, name in enumerate(disks) if number not in copies.begun]
        if not copies.begun:
            yield "it copied no disk"
        elif left_out and copies.total is not None and copies.total < len(disks):
            yield f"it copied {copies.total} of {len(disks)} disks"
        elif left_out:
            yield f"it did not copy {', '.join(left_out)}"
        if not copies.finished:
            yield "its log ends before its last phase, Finishing off"
    if evidence.unread:
        yield f"it never read {', '.join(evidence.unread)}"
    if evidence.found is not None:
        yield from evidence.found.wrong


def _proved(evidence: Evidence) -> Iterator[str]:
    copies = evidence.copies
    if copies.understood and copies.begun:
        yield f"the copy of {len(copies.begun)} of {len(evidence.disks)} disks began"
    if evidence.read:
        yield f"{', '.join(evidence.read)} {'was' if len(evidence.read) == 1 else 'were'} read"
    if evidence.found is not None and evidence.found.present:
        yield f"{', '.join(evidence.found.present)} {'is' if len(evidence.found.present) == 1 else 'are'} there"


def virt_v2v_exit_code(job: JobStatus, directory: RemoteDirectory) -> int:
    """virt-v2v's, once it has ended. Raises ConversionFailed without one."""
    if job.exit_code is not None:
        return job.exit_code
    if job.state is JobState.REBOOTED:
        raise ConversionFailed(
            "The conversion server was restarted, and virt-v2v with it.",
            f"Convert again. {where_the_log_is(directory)}",
        )
    if job.state is JobState.MISSING:
        raise ConversionFailed(
            f"The conversion is gone from the conversion server: {directory.path} was not found.",
            "The server was restarted, or its /tmp was cleaned. If `pgrep -a virt-v2v` shows virt-v2v there, end it "
            "first. Then convert again.",
        )
    raise killed("before it could say why", directory)


def killed(how: str, directory: RemoteDirectory) -> ConversionFailed:
    return ConversionFailed(
        f"virt-v2v was killed on the conversion server {how}.",
        f"Look for the out-of-memory killer there. {where_the_log_is(directory)}",
    )


def where_the_log_is(directory: RemoteDirectory) -> str:
    return f"The whole log is {directory.log} on the conversion server."
