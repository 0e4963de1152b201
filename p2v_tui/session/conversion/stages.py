"""The stages of one conversion, each an object that the one before it returns: Prepared, Ready, Running.

`life` says what is undone after each.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from p2v_tui import __version__
from p2v_tui.errors import ConnectionFailed, P2VError, PreflightRefused
from p2v_tui.hwprobe.health import Health
from p2v_tui.session.conversion.following import Following
from p2v_tui.session.conversion.life import Life, LifeStage
from p2v_tui.session.conversion.machine_record import MachineRecord, RecordedDisk
from p2v_tui.session.conversion.outcome import (
    Evidence,
    check_success,
    failed,
    killed,
    losses,
    virt_v2v_exit_code,
    where_the_log_is,
)
from p2v_tui.session.conversion.output_proof import look_at_output
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.conversion.stopping import ServerTidying
from p2v_tui.session.conversion.wrapper import secret_files, wrapper
from p2v_tui.session.data.maker import ConnectionMaker
from p2v_tui.session.data.path import DataPath, PathSettings
from p2v_tui.session.plan.next_steps import next_steps
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.preflight import AcceptWarnings, enforce, judge
from p2v_tui.session.preflight.server_facts import Place, survey_server
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import PARENT, RemoteDirectory
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.shell import RemoteShell, cannot_store
from p2v_tui.session.words.events import (
    CanWait,
    Checked,
    Converted,
    LogDirectory,
    Stage,
    StageStarted,
    Status,
    Warned,
)
from p2v_tui.session.words.watch import Watch
from p2v_tui.xmlgen import physical_xml

GENERATOR: Final = f"p2v-tui {__version__}"


@dataclass(frozen=True)
class Job:
    """What all stages of one conversion share. directory: on the server. program: the NBD server's.

    disks: as they were before anything was read from them. started: in local time.
    """

    control: ControlConnection
    plan: Plan
    directory: RemoteDirectory
    program: str
    disks: tuple[RecordedDisk, ...]
    started: datetime.datetime
    watch: Watch

    def shell(self) -> RemoteShell:
        """Raises as `ControlConnection.shell` does."""
        return self.control.shell(self.watch)

    def tidying(self, leave_to: Callable[[RemoteDirectory], None] | None = None) -> ServerTidying:
        """Makes what cleans up the server for this conversion. leave_to: see ServerTidying."""
        retry_for = self.plan.settings.reconnect
        return ServerTidying(self.control, self.directory, self.watch, retry_for=retry_for, leave_to=leave_to)

    def path_settings(self, *, many_clients: bool = False) -> PathSettings:
        """What the data path is made from. Raises as `ControlConnection.login` does."""
        retry_for = self.plan.settings.reconnect
        maker = ConnectionMaker(self.program, self.control.login(self.watch), self.control.workspace, retry_for)
        return PathSettings(self.plan.disks, self.directory, maker, retry_for, many_clients=many_clients)


def prepare(job: Job, life: Life, virt_v2v: VirtV2V, record: MachineRecord) -> Prepared:
    """Makes the remote directory, starts the relay, and begins to open the data connections."""
    report = job.watch.report
    made = job.shell().run(remote_commands.make_directory(job.directory, record.text))
    if made.status != 0:
        raise cannot_store(job.directory.path, made)
    life.reach(LifeStage.MADE)
    report(LogDirectory(job.directory.path))
    for disk in job.plan.disks:
        report(Status(f"Opening the data connection of {disk.name}"))
    settings, shell = job.path_settings(many_clients=not virt_v2v.one_connection), job.shell()
    life.reach(LifeStage.OPENING)
    data = DataPath.open(settings, shell)
    life.hold(data.close)
    life.reach(LifeStage.CHECKING)
    return Prepared(job, life, data)


def take_over(job: Job, life: Life, *, relayed: bool) -> Running:
    """Serves the disks again, for the virt-v2v that waits for them. relayed: whether a relay waits, too."""
    job.watch.report(LogDirectory(job.directory.path))
    data = DataPath.take_over(job.path_settings(), job.shell(), relayed=relayed)
    life.hold(data.close)
    return Running(job, life, data)


@dataclass(frozen=True)
class Prepared:
    """The relay waits, and the data connections log in."""

    job: Job
    life: Life
    data: DataPath

    def check(self, virt_v2v: VirtV2V, health: Health, accept_warnings: AcceptWarnings) -> Ready:
        """Runs the preflight while the data connections log in; then checks that each disk can be read."""
        job, report = self.job, self.job.watch.report
        report(StageStarted(Stage.CHECKING))
        report(Status("Checking the conversion server and the disks"))
        facts = survey_server(job.shell(), job.plan, sudo=job.control.sudo, kept=virt_v2v.kept_by_sudo)
        checks = judge(facts, virt_v2v, job.plan, health, time.time())
        for check in checks:
            report(Checked(check))
        enforce(checks, job.plan.settings.accept_warnings, accept_warnings)
        self.data.wait_until_open(job.watch.cancellation, self._report_events)
        self.life.reach(LifeStage.READING)
        self.data.check_reach(job.shell(), job.watch.cancellation, self._report_events)
        self._report_events()
        storage = facts.space.get(Place.STORAGE)
        return Ready(job, self.life, self.data, virt_v2v, storage.path if storage else None)

    def _report_events(self) -> None:
        self.data.report_events(self.job.watch.report)


@dataclass(frozen=True)
class Ready:
    """The checks allow the conversion. storage: the directory on the server for the guest's files, if known."""

    job: Job
    life: Life
    data: DataPath
    virt_v2v: VirtV2V
    storage: str | None

    def start(self) -> Running:
        """Sends what virt-v2v needs and starts it, detached from the control connection."""
        job, report = self.job, self.job.watch.report
        report(StageStarted(Stage.STARTING))
        report(Status("Sending the description of this machine"))
        shell = job.shell()
        shell.write_files(self._files())
        job.watch.cancellation.check()
        self._record()
        report(Status("Starting virt-v2v; from here on the conversion takes minutes to hours"))
        self.life.reach(LifeStage.STARTING)
        started = shell.run(remote_commands.start_wrapper(job.directory))
        if started.status != 0:
            raise PreflightRefused(
                f"virt-v2v could not be started on the conversion server: {started.last_line}.",
                f"Look into {job.directory.path} there.",
            )
        self.life.reach(running_stage(relayed=self.data.relayed))
        if self.data.relayed:
            report(CanWait())
        return Running(job, self.life, self.data)

    def _files(self) -> dict[str, bytes]:
        """What virt-v2v needs, by its path on the server."""
        job, directory = self.job, self.job.directory
        guest = job.plan.guest_with(self.data.ports)
        script = wrapper(directory, job.plan, self.virt_v2v, sudo=job.control.sudo, storage=self.storage)
        return {
            directory.physical_xml: physical_xml(guest, GENERATOR).encode(),
            directory.file("name"): f"{guest.name}\n".encode(),
            directory.file("p2v-version"): f"{GENERATOR}\n".encode(),
            directory.wrapper: script.encode(),
            **secret_files(directory, job.plan),
        }

    def _record(self) -> None:
        """Writes what another process needs to continue this conversion."""
        job = self.job
        saved = SavedConversion(
            settings=job.plan.settings,
            image=job.plan.image,
            directory=job.directory,
            disks=job.disks,
            relayed=self.data.relayed,
            started=job.started,
        )
        try:
            saved.write(job.control.workspace)
        except OSError as error:
            job.watch.report(
                Warned(f"If p2v-tui is killed, it cannot continue this conversion: {error.strerror} (/tmp here).")
            )


def running_stage(*, relayed: bool) -> LifeStage:
    """Without a relay virt-v2v loses its disks as soon as we end."""
    return LifeStage.RUNNING if relayed else LifeStage.BOUND


@dataclass(frozen=True)
class Running:
    """virt-v2v runs, or has ended while nobody looked."""

    job: Job
    life: Life
    data: DataPath

    def send_system_data(self, data: Mapping[str, bytes]) -> None:
        """Stores what later questions about this machine need. A failure to store it does not stop the conversion."""
        try:
            self.job.shell().write_files({self.job.directory.file(name): text for name, text in data.items()})
        except PreflightRefused as error:
            self.job.watch.report(Warned(error.message))
        except ConnectionFailed:
            # The next read of the log fails too, and reopens the connection.
            pass

    def finish(self) -> Converted:
        """Follows virt-v2v to its end. Raises ConversionFailed unless it succeeded in everything."""
        job, report = self.job, self.job.watch.report
        following = Following(job.control, job.plan, job.directory, self.data, job.watch)
        code = virt_v2v_exit_code(following.to_the_end(), job.directory)
        self.life.reach(LifeStage.ENDED)
        report(Status("virt-v2v has ended"))
        # A later start need not report the end again. If the mark fails, another report does no harm.
        with contextlib.suppress(P2VError):
            shell = job.control.shell(job.watch.again)
            shell.run(remote_commands.mark_told(job.directory), cancellable=False)
        outcome = self._outcome(code, following)
        report(outcome)
        return outcome

    def _outcome(self, exit_code: int, following: Following) -> Converted:
        """Raises ConversionFailed unless virt-v2v succeeded in everything."""
        job, log = self.job, following.log
        advice = where_the_log_is(job.directory)
        if exit_code == 0:
            # virt-v2v does not notice zeroes that were read instead.
            self.data.check_sources()
        else:
            # Without its disks virt-v2v fails too, with a worse explanation.
            self.data.explain_failure()
            # The shell's way to report a signal.
            if exit_code > 128:
                raise killed(f"by signal {exit_code - 128}", job.directory)
            raise failed(exit_code, log.reason, advice, PARENT)
        check_success(
            Evidence(
                disks=[disk.name for disk in job.plan.disks],
                copies=log.copies,
                warnings=log.warnings,
                relays=following.final_relays(),
                found=look_at_output(job.control, job.watch, job.plan),
                causes=log.causes,
            ),
            advice,
        )
        name = job.plan.guest.name
        seconds = (datetime.datetime.now() - job.started).total_seconds()
        made, left_out = job.plan.output.made(name), losses(log.warnings)
        return Converted(
            name,
            made,
            job.directory.path,
            seconds,
            left_out,
            log.warnings.count,
            next_steps=next_steps(job.plan.output, name, job.plan.settings.server),
            size=sum(disk.size for disk in job.plan.disks),
        )
