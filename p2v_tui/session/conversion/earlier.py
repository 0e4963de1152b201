"""Conversions of this machine on the server that nobody can continue, as after a power cut.

They are recognized by the account and by the machine's identity, which each remote directory contains. A virt-v2v
that waits for disks that never come back is ended, its output is removed, and the machine can be converted again.
Conversions of other machines, of a live process, or that can be continued are never touched.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from p2v_tui.errors import PreflightRefused
from p2v_tui.session.conversion import machine_record
from p2v_tui.session.conversion.machine_record import MachineRecord
from p2v_tui.session.conversion.stopping import stop
from p2v_tui.session.data import relay_status
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.commands import quote
from p2v_tui.session.remote.directory import PARENT, RemoteDirectory
from p2v_tui.session.remote.job_state import JobState, JobStatus
from p2v_tui.session.remote.job_state import parse as parse_status
from p2v_tui.session.ssh.shell import RemoteShell
from p2v_tui.session.words.events import Report, Status, Warned

_LINE: Final = re.compile(r"(virt-p2v-[0-9]{8}-[a-z0-9]{8}) ([a-z0-9-]{1,20}) (alive|dead) ([A-Za-z0-9+/=]+|-) (.*)")


@dataclass(frozen=True)
class EarlierConversion:
    """served: whether one of its tunnels answers."""

    directory: RemoteDirectory
    status: JobStatus
    served: bool
    record: MachineRecord

    @property
    def in_words(self) -> str:
        disks = ", ".join(disk.name for disk in self.record.disks)
        return f"conversion of {disks} that this machine started at {self.record.started:%Y-%m-%d %H:%M:%S}"


def find_earlier(shell: RemoteShell, mine: MachineRecord, report: Report) -> list[EarlierConversion]:
    """Those of this machine that nobody can continue, oldest first. Raises as `RemoteShell.run` does.

    Another running one with the same guest name is only reported: its files may go elsewhere.
    """
    orphans = []
    for each in filter(None, map(_read, shell.run(remote_commands.earlier_conversions()).text.splitlines())):
        if mine.same_machine(each.record) and mine.orphaned(each.record, served=each.served):
            orphans.append(each)
        elif each.status.state is JobState.RUNNING and each.record.guest == mine.guest:
            report(
                Warned(
                    f"Another conversion to a guest named {mine.guest} runs on the conversion server, in "
                    f"{each.directory.path}, since {each.record.started:%Y-%m-%d %H:%M:%S}. If both write to the "
                    "same place, the disks become a mixture: cancel, and give another name (p2v.name)."
                )
            )
    return sorted(orphans, key=lambda each: each.record.started)


def _read(line: str) -> EarlierConversion | None:
    matched = _LINE.fullmatch(line)
    if not matched:
        return None
    name, state, relay, status, text = matched.groups()
    record = machine_record.parse(text)
    if record is None:
        return None
    served = False
    if relay == "alive" and status != "-":
        said = base64.b64decode(status + "==").decode(errors="replace")
        parsed = relay_status.parse(said, max(len(record.disks), 1), alive=True)
        served = parsed is not None and any(disk.generation for disk in parsed.disks)
    return EarlierConversion(RemoteDirectory(f"{PARENT}/{name}"), parse_status(state), served, record)


def end_earlier(shell: RemoteShell, mine: MachineRecord, report: Report, *, sudo: bool) -> EarlierConversion | None:
    """Ends and removes what earlier starts left behind of the job that is about to begin.

    Returns one that has succeeded meanwhile if its disks are provably unchanged: it is the outcome of this job, too.
    If that cannot be proved, raises PreflightRefused: the operator decides whether the guest is as the machine is
    now. Otherwise raises as `RemoteShell.run` does.
    """
    for earlier in find_earlier(shell, mine, report):
        if earlier.status.state is JobState.UNSTARTED:
            stop(shell, earlier.directory, sudo=False)
            shell.run(remote_commands.remove_directory(earlier.directory))
            report(Status(f"Removed {earlier.directory.path}: an earlier start ended before it began to convert"))
            continue
        if not mine.in_the_way(earlier.record):
            continue
        if not earlier.status.succeeded and not _end(shell, earlier, report, sudo=sudo):
            _remove_output(shell, earlier, report)
        elif not mine.same_guest(earlier.record):
            continue
        elif mine.unchanged_since(earlier.record):
            return earlier
        else:
            raise _has_succeeded(earlier)
    return None


def _end(shell: RemoteShell, earlier: EarlierConversion, report: Report, *, sudo: bool) -> bool:
    """Ends its virt-v2v and relay if they still run. Returns whether virt-v2v had succeeded by then."""
    running = earlier.status.state is JobState.RUNNING
    if running:
        report(
            Warned(
                f"virt-v2v still waits on the conversion server for the {earlier.in_words}. What it has read and the "
                "disks as they are now may not fit together: it is ended, and the machine is converted again."
            )
        )
    # After a restart of the server nothing of it runs, and its process ids may belong to others.
    if earlier.status.state is not JobState.REBOOTED:
        try:
            stop(shell, earlier.directory, sudo=sudo, told=False)
        except PreflightRefused as error:
            raise PreflightRefused(
                f"The {earlier.in_words} still runs on the conversion server and cannot be ended: {error.message}",
                f"End it there as root: kill -KILL -- -$(cat {earlier.directory.pid}). Then start again.",
            ) from error
    if shell.run(f"cat {quote(earlier.directory.status)} 2>/dev/null").text.strip() == "0":
        return True
    shell.run(remote_commands.mark_told(earlier.directory))
    if not running:
        report(
            Warned(
                f"The {earlier.in_words} failed while p2v-tui was not running; its log is "
                f"{earlier.directory.log} on the conversion server. The machine is converted again."
            )
        )
    return False


def _remove_output(shell: RemoteShell, earlier: EarlierConversion, report: Report) -> None:
    """Removes what virt-v2v made, as proved by unchanged inode, size and time; nothing else."""
    made = made_files(shell.run(remote_commands.read_outputs(earlier.directory)).text)
    if not made:
        return
    present = shell.run(remote_commands.list_files([_path(line) for line in made])).text.splitlines()
    own = [_path(line) for line in made if line in present]
    if not own:
        return
    removed = shell.run(remote_commands.remove_files(own))
    if removed.status == 0:
        report(Status(f"Removed what it had made so far: {', '.join(own)}"))
    else:
        report(Status(f"What it had made so far cannot be removed ({removed.last_line}): {', '.join(own)}"))


def made_files(said: str) -> list[str]:
    """The lines of the files that are the conversion's own. said: as `remote_commands.read_outputs` prints it."""
    before, _, after = f"\n{said}".partition("\n\n")
    present = {_inode_and_path(line) for line in before.splitlines() if line}
    lines = [line for line in after.splitlines() if re.fullmatch(r"[0-9]+ [0-9]+ [0-9]+ /.+", line)]
    return [line for line in lines if _inode_and_path(line) not in present]


def _inode_and_path(line: str) -> tuple[str, str]:
    return line.partition(" ")[0], _path(line)


def _path(line: str) -> str:
    return line.split(" ", 3)[-1]


def _has_succeeded(earlier: EarlierConversion) -> PreflightRefused:
    directory = earlier.directory
    return PreflightRefused(
        f"The {earlier.in_words} has succeeded meanwhile: the guest {earlier.record.guest} is complete. It cannot be "
        "proved that the disks were not written since, so it is neither taken for the machine as it is now nor "
        "overwritten.",
        f"If nothing has run on the machine since, the guest is good, and the machine is done. To convert again give "
        f"another name (p2v.name), or run on the conversion server: {quote('touch', directory.told)}. The log is "
        f"{directory.log} there.",
    )
