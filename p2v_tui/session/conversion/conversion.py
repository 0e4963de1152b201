"""One conversion from the first check of the server to the outcome, including the clean-up.

virt-v2v runs on the server independently of all connections. Lost connections are reopened, and a process that is
killed here leaves a record with which the next one continues (`resume`).
"""

from __future__ import annotations

import contextlib
import datetime
import functools

from p2v_tui.errors import ConnectionFailed, ConversionFailed, PreflightRefused, SettingsError
from p2v_tui.hwprobe.answers import Answer
from p2v_tui.hwprobe.health import examine_health
from p2v_tui.session.conversion.connection_test import examine
from p2v_tui.session.conversion.earlier import EarlierConversion, end_earlier
from p2v_tui.session.conversion.life import Life
from p2v_tui.session.conversion.machine_record import record_disk, record_of
from p2v_tui.session.conversion.preparation import Preparation
from p2v_tui.session.conversion.read_only import set_read_only
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.conversion.sleep_inhibitor import no_sleep
from p2v_tui.session.conversion.stages import Job, Running, prepare, running_stage, take_over
from p2v_tui.session.conversion.system_data import collect_system_data
from p2v_tui.session.data.nbd_server import find_program
from p2v_tui.session.plan.plan import Plan, with_keys
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.preflight import AcceptWarnings
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.remote.job_state import JobState
from p2v_tui.session.remote.job_state import parse as parse_status
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.words.events import Converted, Report, Status, Warned
from p2v_tui.session.words.quantities import duration_text
from p2v_tui.session.words.watch import Watch


class NeverStarted(ConversionFailed):
    """virt-v2v of the saved conversion never ran: nothing is lost, and a new conversion can start."""


def convert(
    control: ControlConnection,
    plan: Plan,
    watch: Watch,
    virt_v2v: VirtV2V | None = None,
    *,
    accept_warnings: AcceptWarnings = lambda _: False,
) -> Converted:
    """Converts the machine. When it returns, virt-v2v has ended and nothing runs any more on either side.

    virt_v2v: what the connection test found; without it the control connection asks. accept_warnings: called with
    those that the settings do not accept.
    Raises SettingsError (the output mode), ConnectionFailed, PreflightRefused, ConversionFailed, Cancelled; or
    Detached, after which the conversion waits on the server and `control.workspace` is kept for `resume`.
    """
    report, cancellation = watch.report, watch.cancellation
    program = find_program(plan.nbd)
    # The machine is probed in the background: a hanging tool or disk must not delay a cancellation.
    with no_sleep():
        Answer(functools.partial(_set_read_only, plan, report)).wait(cancellation.check)
        health = Answer(functools.partial(examine_health, plan.disks))
        if not plan.keys:
            persistence = control.persistence(watch)
            plan = Answer(functools.partial(with_keys, plan, report, persistence)).wait(cancellation.check)
        for key in plan.keys:
            if key.unchecked:
                report(Warned(key.unchecked))
        secrets = (*control.secrets, *plan.secrets)
        system_data = Answer(functools.partial(collect_system_data, secrets))
        if not control.connected:
            report(Status("Opening the control connection"))
        control.shell(watch)
        look = functools.partial(record_of, plan.disks, plan.guest.name, control.workspace.path)
        record = Answer(look).wait(cancellation.check)
        preparation = Preparation(control, watch, retry_for=plan.settings.reconnect)

        def begin() -> tuple[Running, contextlib.ExitStack] | EarlierConversion:
            """Starts virt-v2v; returns it and what ends its life, or an earlier conversion that has ended already."""
            found = virt_v2v or examine(control, watch)
            earlier = end_earlier(control.shell(watch), record, report, sudo=control.sudo)
            if earlier is not None:
                return earlier
            directory = RemoteDirectory.new(datetime.date.today())
            job = Job(control, plan, directory, program, record.disks, datetime.datetime.now(), watch)
            with contextlib.ExitStack() as stack:
                life = stack.enter_context(Life(job.tidying(preparation.take_over)))
                prepared = prepare(job, life, found, record)
                ready = prepared.check(found, health.wait(cancellation.check), accept_warnings)
                return ready.start(), stack.pop_all()

        begun = preparation.whole(begin)
        if isinstance(begun, EarlierConversion):
            report(Status(f"Nothing is converted again: the {begun.in_words} has ended meanwhile"))
            disks, started = begun.record.disks, begun.record.started
            return _go_on(Job(control, plan, begun.directory, program, disks, started, watch), relayed=True)
        running, stack = begun
        with stack:
            running.send_system_data(system_data.wait(cancellation.check))
            return running.finish()


def _go_on(job: Job, *, relayed: bool) -> Converted:
    """Continues with a virt-v2v that runs, or has ended, without us."""
    with Life(job.tidying(), running_stage(relayed=relayed)) as life:
        return take_over(job, life, relayed=relayed).finish()


def why_not_gone_on_with(saved: SavedConversion, plan: Plan) -> str:
    """Why the conversion cannot be continued although its disks are those of the plan; empty if it can."""
    disks = tuple(map(record_disk, plan.disks))
    if not saved.same_disks(disks) or not (names := saved.unproved(disks)):
        return ""
    return (
        f"The {saved.in_words}, is not continued: the machine was restarted or somebody has written to "
        f"{', '.join(names)} since, as far as can be told, and the guest would be a mixture of old and new."
    )


def resume(control: ControlConnection, plan: Plan, saved: SavedConversion, watch: Watch) -> Converted:
    """Continues a conversion that another process of ours started: serves its disks again and reads its log.

    control: made with the workspace of that process. plan: of `saved.settings`, on the same machine. The log is
    reported from its beginning. A server that cannot be reached is retried as long as the settings' reconnect says.
    Raises as `convert` does; ConversionFailed if the conversion has disappeared, NeverStarted if virt-v2v never ran,
    PreflightRefused if the disks may have been written since. A failure before the login leaves the conversion as it
    is, to be continued another time.
    """
    report, cancellation = watch.report, watch.cancellation
    disks = tuple(map(record_disk, plan.disks))
    if not saved.same_disks(disks):
        raise SettingsError(
            "The disks of this machine are not those with which the conversion was started: "
            f"{', '.join(f'{disk.name} ({disk.size} bytes)' for disk in saved.disks)}.",
            f"Attach them again; or give it up: kill -TERM -- -$(cat {saved.directory.pid}) on the server.",
            setting="disks",
        )
    if words := why_not_gone_on_with(saved, plan):
        raise PreflightRefused(words, "Stop it, and convert the machine again.")
    program = find_program(plan.nbd)
    _set_read_only(plan, report)
    with no_sleep():
        report(Status(f"Continuing the conversion that was started at {saved.started:%Y-%m-%d %H:%M:%S}"))
        retry_for = plan.settings.reconnect
        try:
            open_again(
                functools.partial(control.shell, watch),
                retry_for=retry_for,
                wait=cancellation.wait,
                on_failure=lambda failure: report(
                    Status(f"No connection yet; trying for {duration_text(retry_for)}: {failure.message}")
                ),
            )
        except ConnectionFailed as error:
            advice = "The conversion may still run there: start p2v-tui again to continue it."
            raise type(error)(error.message, f"{error.advice} {advice}", setting=error.setting) from error
        said = control.shell(watch).run(remote_commands.read_progress(saved.directory, 0, 0)).text
        if parse_status(said.partition("\n")[0]).state is JobState.UNSTARTED:
            control.workspace.forget()
            raise NeverStarted(
                f"p2v-tui ended before virt-v2v was started in {saved.directory.path} on the conversion server.",
                "Convert the machine again.",
            )
        job = Job(control, plan, saved.directory, program, saved.disks, saved.started, watch)
        return _go_on(job, relayed=saved.relayed)


def _set_read_only(plan: Plan, report: Report) -> None:
    """The disks are served read-only in any case, so a failure of the kernel's flag only leads to a warning."""
    for failure in set_read_only(plan.disks) if plan.set_read_only else ():
        report(Warned(failure))
