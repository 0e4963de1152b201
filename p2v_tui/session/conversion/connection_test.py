"""The connection test: all that can be checked on the conversion server before a plan is made."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
from typing import Final

from p2v_tui.errors import ConnectionFailed
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.session.conversion.machine_record import record_of
from p2v_tui.session.data import line_rate
from p2v_tui.session.data.maker import ConnectionMaker
from p2v_tui.session.data.nbd_server import find_program
from p2v_tui.session.data.path import DataPath, PathSettings
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight import find_virt_v2v
from p2v_tui.session.preflight.preflight import enforce
from p2v_tui.session.preflight.server_checks import judge_server
from p2v_tui.session.preflight.server_facts import survey_server
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.control import RETRY_DROPPED_FOR, ControlConnection, retry_warning
from p2v_tui.session.ssh.login_environment import ask_sudo
from p2v_tui.session.ssh.network import wait_for_network
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.ssh.shell import RemoteShell, cannot_store
from p2v_tui.session.words.checks import Verdict, of_verdict
from p2v_tui.session.words.events import (
    Checked,
    ConnectionStep,
    LineMeasured,
    ServerVersion,
    StepDone,
    StepStarted,
    Warned,
)
from p2v_tui.session.words.quantities import size_text
from p2v_tui.session.words.watch import Watch

# The size of the scratch disk, in bytes, which takes no space here, and for how many seconds its relay waits for it.
SCRATCH_SIZE: Final = 32 << 20
SCRATCH_TIMEOUT: Final = 60


def check_connection(control: ControlConnection, watch: Watch, *, nbd: str | None) -> VirtV2V:
    """Logs in as `log_in` does, reads a scratch disk as virt-v2v will read the real ones, and checks the server.

    nbd: the setting that chooses the NBD server. Each step is reported. Raises as `log_in` does.
    """
    report = watch.report
    found = log_in(control, watch)
    shell = control.shell(watch)
    report(StepStarted(ConnectionStep.FORWARDING, "Testing a read through the tunnel"))
    rate = _read_scratch_disk(control, shell, watch, find_program(nbd))
    how_fast = f" at about {size_text(rate)}/s" if rate else ""
    report(StepDone(ConnectionStep.FORWARDING, f"a disk can be read through it{how_fast}"))
    if rate:
        report(LineMeasured(rate))
    report(StepStarted(ConnectionStep.PREFLIGHT, "Looking at the server's programs, space and memory"))
    facts = survey_server(shell, None, sudo=control.sudo, kept=found.kept_by_sudo)
    checks = judge_server(facts, found, None, time.time())
    for check in checks:
        report(Checked(check))
    # Warnings are raised when the conversion starts, together with those about its plan.
    enforce(checks, AcceptedWarnings(every=True))
    warned = len(of_verdict(checks, Verdict.WARNING))
    report(StepDone(ConnectionStep.PREFLIGHT, f"{warned} warnings" if warned else "passed"))
    return found


def log_in(control: ControlConnection, watch: Watch) -> VirtV2V:
    """Waits for the network, logs in, and asks virt-v2v for its version and features. Each step is reported.

    Raises as `ControlConnection.shell` and `examine` do.
    """
    report = watch.report
    report(StepStarted(ConnectionStep.NETWORK, "Looking for a network address"))
    wait_for_network(control.host, report, watch.cancellation)
    login = control.login(watch)
    # A server that cannot be reached has not shown a host key yet.
    report(StepStarted(ConnectionStep.NETWORK, f"Connecting to {control.host} port {control.port}"))
    if login.known_hosts.exists():
        control.connection_done(report)
        control.host_key_done("the known one only", report)
    control.shell(watch)
    report(StepDone(ConnectionStep.LOGIN, f"as {control.user}"))
    return open_again(
        lambda: examine(control, watch),
        retry_for=control.retry_for,
        wait=watch.cancellation.wait,
        on_failure=lambda error: report(retry_warning(error, control.retry_for)),
        let_in_before=True,
        after_success=True,
        opened=lambda: control.opened,
    )


def examine(control: ControlConnection, watch: Watch) -> VirtV2V:
    """What virt-v2v can do there. Raises PreflightRefused if it is missing, too old or not permitted, and the errors
    of `ControlConnection.shell`.
    """
    user, report = control.user, watch.report
    shell = control.shell(watch)
    report(StepStarted(ConnectionStep.VERSION, "Logged in; asking virt-v2v for its version and features"))
    version = find_virt_v2v.ask_version(shell, sudo=control.sudo, user=user)
    report(StepDone(ConnectionStep.VERSION, version))
    kept: tuple[str, ...] = ()
    if control.sudo:
        passed = ask_sudo(shell)
        kept = passed.kept
        if passed.lost:
            report(
                Warned(
                    f"sudo on the conversion server does not pass {', '.join(passed.lost)} on to virt-v2v. "
                    f"{passed.advice(user)}"
                )
            )
        if lacking := find_virt_v2v.missing_kill(shell, user):
            report(Warned(lacking))
    found = find_virt_v2v.ask_features(shell, version, sudo=control.sudo, user=user)
    report(StepDone(ConnectionStep.FEATURES, f"output modes {', '.join(found.output_modes)}"))
    report(ServerVersion(found.version, found.output_modes))
    return dataclasses.replace(found, kept_by_sudo=kept)


def _read_scratch_disk(control: ControlConnection, shell: RemoteShell, watch: Watch, program: str) -> float | None:
    """Serves a scratch disk through a tunnel and lets the server read it; returns how fast it does, as
    `line_rate.measure`. program: the NBD server's. Raises PreflightRefused if it cannot.
    """
    scratch = control.workspace.path / "scratch.img"
    with scratch.open("wb") as file:
        file.truncate(SCRATCH_SIZE)
    directory = RemoteDirectory.new(datetime.date.today())
    disk = Disk("the scratch disk", scratch, SCRATCH_SIZE)
    record = record_of([disk], "", control.workspace.path)
    made = shell.run(remote_commands.make_directory(directory, record.text))
    if made.status != 0:
        raise cannot_store(directory.path, made)
    maker = ConnectionMaker(program, control.login(watch), control.workspace, RETRY_DROPPED_FOR)
    try:
        with contextlib.closing(
            DataPath.open(PathSettings((disk,), directory, maker, relay_timeout=SCRATCH_TIMEOUT), shell)
        ) as data:
            data.wait_until_open(watch.cancellation)
            data.check_reach(shell, watch.cancellation)
            return line_rate.measure(data, SCRATCH_SIZE, directory, shell)
    finally:
        with contextlib.suppress(ConnectionFailed):
            shell.run(remote_commands.stop_wrapper(directory, sudo=False), cancellable=False)
            shell.run(remote_commands.remove_directory(directory), cancellable=False)
