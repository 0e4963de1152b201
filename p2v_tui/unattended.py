"""The front end without questions: settings in, lines on the console out, an exit code at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

from p2v_tui import __version__, hwprobe
from p2v_tui.config import Settings
from p2v_tui.console import Console
from p2v_tui.errors import Cancelled, CommandFailed, Detached, InternalError, P2VError, PreflightRefused
from p2v_tui.front import typed_secret
from p2v_tui.front.conversion_run import ConversionRun, Convert, going_on_with
from p2v_tui.front.event_printer import EventPrinter
from p2v_tui.front.jobs import Job
from p2v_tui.front.pace_book import PaceBook, default_path
from p2v_tui.front.signals import Signals, caught
from p2v_tui.front.summary import time_text
from p2v_tui.hwprobe import Machine
from p2v_tui.json_lines import JsonLines
from p2v_tui.kinds import Secret
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.conversion.connection_test import log_in
from p2v_tui.session.conversion.conversion import NeverStarted, convert, why_not_gone_on_with
from p2v_tui.session.conversion.describe import describe
from p2v_tui.session.conversion.dry_run import no_verdict, rehearse, verdict
from p2v_tui.session.conversion.saved_conversion import SavedConversion, find_saved
from p2v_tui.session.plan.plan import Plan, fill_in, make_plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.preflight import enforce
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.checks import Check
from p2v_tui.session.words.events import Checked, Event, LineMeasured, Status, Warned
from p2v_tui.session.words.quantities import size_text
from p2v_tui.session.words.terminal_text import plain
from p2v_tui.session.words.watch import Watch
from p2v_tui.setting_texts import dump

DEFAULT_POST: Final = "poweroff"
# How many seconds the preparation may take to end after a cancellation: a tool may hang.
GRACE: Final = 5.0
COMMAND_LOOK_INTERVAL: Final = 0.1
# Printed after the details, which fill more than one screen.
_DRY_RUN_READY: Final = (
    "The conversion can start. This was a dry run: nothing was changed here or on the conversion server."
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Options:
    """The options of the command line, without the settings.

    from_proc_cmdline: the settings are from the kernel command line. image: a disk image to convert instead of the
    machine's disks. iso: we run from our live image. colours: use them even if the output is not a terminal.
    json: print events as JSON lines. verbose: full debugging of virt-v2v, in its log and on the console.
    """

    from_proc_cmdline: bool
    image: Path | None = None
    iso: bool = False
    colours: bool = False
    json: bool = False
    dry_run: bool = False
    verbose: bool = False


def run(settings: Settings, options: Options, out: TextIO = sys.stdout) -> int:
    """Converts the machine as the settings say, and returns the exit code (docs/unattended.md).

    p2v.pre runs first; then p2v.post after a success, p2v.fail after any failure.
    """
    to = printer(out, json=options.json, colours=options.colours, verbose=options.verbose)
    try:
        return _run(settings, options, to)
    finally:
        to.give_up_unwritten()


def printer(out: TextIO, *, json: bool, colours: bool, verbose: bool) -> EventPrinter:
    """What prints the events as the options want it."""
    return JsonLines(out, verbose=verbose) if json else Console(out, colours=colours, verbose=verbose)


def _run(settings: Settings, options: Options, printer: EventPrinter) -> int:
    if options.verbose:
        settings = dataclasses.replace(settings, debug=True)
    options = dataclasses.replace(options, dry_run=options.dry_run or settings.dry_run)
    failure = _Unattended(settings, options, printer).run()
    if failure is None:
        return 0
    if isinstance(failure, InternalError):
        print(*failure.trace, sep="\n", file=sys.stderr)
    printer.error(failure)
    if settings.fail and not isinstance(failure, Detached) and not options.dry_run:
        run_fail_command(settings.fail, printer)
    return failure.exit_code


def run_fail_command(command: str, printer: EventPrinter) -> None:
    """Runs p2v.fail and ignores its failure."""
    with contextlib.suppress(P2VError):
        _run_command("p2v.fail", command, printer)


def print_dump(settings: Settings, image: Path | None, out: TextIO = sys.stdout) -> None:
    """What p2v.dump_config_and_exit prints."""
    out.write(dump(fill_in(settings, hwprobe.probe(), image), __version__, "unknown"))


class _Unattended:
    """Everything from probing the machine to the last command: jobs in threads, one after the other."""

    def __init__(self, settings: Settings, options: Options, printer: EventPrinter) -> None:
        self._settings = settings
        self._options = options
        self._printer = printer
        # The job that runs.
        self._job: Job[Any] | None = None

    def run(self) -> P2VError | None:
        """Does what the options say. Returns the failure, or None after a success.

        ^C cancels; TERM and HUP end this program, but not a conversion that runs on the server. A second ^C ends the
        wait for a server that cannot be reached, but no other clean-up.
        """
        try:
            with caught() as signals:
                if self._options.dry_run:
                    self._run(signals, Job("dry run", self._dry_run, grace=GRACE))
                else:
                    self._convert(signals)
        except P2VError as error:
            return error
        return None

    def _run(self, signals: Signals, job: Job[Result]) -> Result:
        """Returns or raises what the job does."""
        self._job = job
        return signals.run(job).get()

    def _prepare(
        self,
        signals: Signals,
        work: Callable[[Cancellation], Result],
        discard: Callable[[Result], object] = lambda _: None,
    ) -> Result:
        """Runs a job before the conversion, which can be abandoned at any time."""
        job = Job("preparation", work, discard=discard, grace=GRACE)
        result = self._run(signals, job)
        if job.cancellation.requested:
            # The cancellation came when the work was done.
            discard(result)
            raise Cancelled
        return result

    def _convert(self, signals: Signals) -> None:
        machine, plan = self._prepare(signals, lambda _: self._look())
        left = self._prepare(signals, lambda _: self._left_running(machine, plan), _close)
        if left is None or not self._finish(signals, left):
            run = self._prepare(signals, lambda cancellation: self._begin(machine, plan, cancellation), _close)
            self._finish(signals, run)
        if post := self._post_command():
            self._run(signals, Job("p2v.post", lambda _: _run_command("p2v.post", post, self._printer), grace=None))

    def _finish(self, signals: Signals, run: ConversionRun) -> bool:
        """Runs the conversion to its end. False if the one that was left running had never begun."""
        run.adopt_server()
        try:
            self._run(signals, run)
        except NeverStarted as error:
            self._printer.show(Status(error.message))
            return False
        return True

    def _look(self) -> tuple[Machine, Plan]:
        machine = hwprobe.probe()
        return machine, self._plan(machine)

    def _left_running(self, machine: Machine, plan: Plan) -> ConversionRun | None:
        """What continues this same conversion, if an earlier process left it running."""
        disks = tuple(disk.name for disk in plan.disks)
        others: list[SavedConversion] = []

        def wanted(saved: SavedConversion) -> bool:
            same = saved.same_job(plan.settings, disks)
            if not same:
                others.append(saved)
            return same

        found = find_saved(wanted)
        for other in others:
            words = f"Left alone: another {other.in_words}. p2v-tui --interactive can continue it."
            self._printer.show(Status(words))
        if found is None:
            return None
        workspace, saved = found
        if words := why_not_gone_on_with(saved, plan):
            # When the machine is converted again, what runs on the server is found there and ended.
            self._printer.show(Warned(words))
            workspace.forget()
            workspace.close()
            return None
        saved = saved.with_secrets_of(self._settings)
        with contextlib.ExitStack() as closed:
            server = closed.enter_context(self._server(machine, saved.settings, workspace))
            resumed = saved.plan(machine, set_read_only=self._options.iso)
            closed.pop_all()
        return self._conversion(server, resumed, convert=going_on_with(saved), since=saved.started)

    def _begin(self, machine: Machine, plan: Plan, cancellation: Cancellation) -> ConversionRun:
        """A new conversion, ready to start."""
        if self._settings.pre:
            _run_command("p2v.pre", self._settings.pre, self._printer, cancellation)
        watch = Watch(self._printer.show, cancellation)
        with contextlib.ExitStack() as closed:
            server = closed.enter_context(self._server(machine, self._settings))
            virt_v2v = None
            if self._settings.skip_test_connection:
                server.login(watch)
            else:
                # The connection test would only delay the conversion, which follows at once.
                virt_v2v = log_in(server, watch)
                plan.output.mode_on(virt_v2v)
            closed.pop_all()
        return self._conversion(server, plan, virt_v2v)

    def _conversion(
        self,
        server: ControlConnection,
        plan: Plan,
        virt_v2v: VirtV2V | None = None,
        *,
        convert: Convert = convert,
        since: datetime.datetime | None = None,
    ) -> ConversionRun:
        """since: when one that was left running began."""
        book = PaceBook(default_path())
        self._printer.expect(book.paces(plan.settings.server))
        return ConversionRun(
            server,
            plan,
            virt_v2v,
            convert=convert,
            left_running=since is not None,
            attended=False,
            hear=self._printer.show,
            since=since,
            book=book,
        )

    def _dry_run(self, cancellation: Cancellation) -> None:
        """Raises what a real run would before virt-v2v starts; first shows the verdict in one line."""
        plan: Plan | None = None
        held: list[Check] = []
        line: float | None = None

        def report(event: Event) -> None:
            nonlocal line
            match event:
                case Checked(check):
                    held.append(check)
                case _:
                    line = event.rate if isinstance(event, LineMeasured) else line
                    self._printer.show(event)

        try:
            machine = hwprobe.probe()
            plan = self._plan(machine)
            with self._server(machine, self._settings) as server:
                plan, found, checks = rehearse(server, plan, Watch(report, cancellation))
                details = describe(server, plan, found)
        except Cancelled:
            raise
        except P2VError as error:
            self._show_checks(held)
            # Without a plan the error says all that there is to say.
            if plan is not None:
                self._printer.verdict(no_verdict(error, plan), good=False)
            raise
        accepted = plan.settings.accept_warnings
        try:
            enforce(checks, accepted)
        except PreflightRefused:
            # The reasons against it come last: the details fill more than one screen.
            self._printer.text(details)
            self._show_checks(checks)
            self._printer.verdict(verdict(plan, checks, accepted), good=False)
            raise
        self._show_checks(checks)
        self._printer.verdict(verdict(plan, checks, accepted), good=True)
        paces = PaceBook(default_path()).paces(self._settings.server, line)
        self._printer.show(Status(time_text(plan, paces)))
        self._printer.text(details)
        self._printer.show(Status(_DRY_RUN_READY))

    def _show_checks(self, checks: Iterable[Check]) -> None:
        for check in checks:
            self._printer.show(Checked(check))

    def _plan(self, machine: Machine) -> Plan:
        plan = make_plan(self._settings, machine, self._options.image, set_read_only=self._options.iso)
        named = {disk.name for disk in plan.disks}
        for excluded in machine.excluded:
            # Every kernel has empty loop and ram devices, which nobody misses.
            if (excluded.size or excluded.fault) and excluded.name not in named:
                self._printer.show(Status(f"Left out: {excluded.name}: {excluded.reason}"))
        how = "" if self._settings.disks or self._options.image else " (chosen by default)"
        for disk in plan.disks:
            what = ", ".join(filter(None, [disk.name, size_text(disk.size), disk.model]))
            self._printer.show(Status(f"To be converted: {what}{how}"))
        for name in plan.output.ignored:
            mode = self._settings.output_type
            self._printer.show(Warned(f"{name} is left out: the output mode {mode} does not take it."))
        return plan

    def _server(self, machine: Machine, settings: Settings, workspace: Workspace | None = None) -> ControlConnection:
        return ControlConnection(
            settings,
            cpu_has_aes="aes" in machine.cpu.flags,
            ask_password=self._ask_password if sys.stdin.isatty() else None,
            workspace=workspace,
            # Somebody waits for the result of a dry run.
            retry_for=0.0 if self._options.dry_run else self._settings.reconnect,
        )

    def _ask_password(self, question: str) -> Secret | None:
        assert self._job is not None
        text = typed_secret.ask(plain(question), self._job.cancellation)
        return Secret(text) if text else None

    def _post_command(self) -> str | None:
        """As in virt-p2v(1): without p2v.post the machine is powered off, if it was booted for the conversion."""
        if self._settings.post is not None:
            return self._settings.post
        return DEFAULT_POST if self._options.from_proc_cmdline and os.geteuid() == 0 else None


def _close(run: ConversionRun | None) -> None:
    """Closes a run that will not be started."""
    if run is not None:
        run.server.close()


def _run_command(stage: str, command: str, printer: EventPrinter, cancellation: Cancellation | None = None) -> None:
    """Raises CommandFailed if the command fails: a failed p2v.pre must not be ignored.

    cancellation: ends the command, and is raised then.
    """
    printer.show(Status(f"Running {stage}: {without_secrets(command)}"))
    with subprocess.Popen(["/bin/sh", "-c", command], stdout=printer.command_output) as child:
        try:
            while cancellation and child.poll() is None:
                cancellation.wait(COMMAND_LOOK_INTERVAL)
        except P2VError:
            child.kill()
            raise
    if child.returncode != 0:
        raise CommandFailed(
            f"The command of {stage} failed with exit code {child.returncode}: {without_secrets(command)}",
            "Try it in the shell.",
        )
