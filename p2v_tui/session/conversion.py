"""One conversion from the first data connection to the outcome, with everything ended and tidied behind it."""

from __future__ import annotations

import contextlib
import datetime
import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from p2v_tui import __version__
from p2v_tui.errors import ConnectionFailed, ConversionFailed, P2VError, PreflightRefused
from p2v_tui.session import remote_commands
from p2v_tui.session.cancellation import Cancellation
from p2v_tui.session.conversion_log import ConversionLog, CopyPercent
from p2v_tui.session.data_connection import DataConnection, tunnel_options
from p2v_tui.session.events import Converted, LogDirectory, Report, Status, Warned
from p2v_tui.session.nbd_server import command as nbd_command
from p2v_tui.session.nbd_server import find_program
from p2v_tui.session.openssh import KEEPALIVE_COUNT, KEEPALIVE_INTERVAL
from p2v_tui.session.plan import Plan
from p2v_tui.session.progress import ProgressTracker
from p2v_tui.session.remote_directory import RemoteDirectory
from p2v_tui.session.remote_shell import RemoteShell, cannot_store
from p2v_tui.session.server import ConversionServer
from p2v_tui.session.sleep_inhibitor import no_sleep
from p2v_tui.session.system_data import collect_system_data
from p2v_tui.session.virt_v2v import VirtV2V
from p2v_tui.xmlgen import physical_xml

GENERATOR: Final = f"p2v-tui {__version__}"
# How often the log and the counters are read, in seconds.
INTERVAL: Final = 1.0
LOG_CHUNK: Final = 256 * 1024
STOP_TIMEOUT: Final = remote_commands.STOP_SECONDS + 30.0
# A read of the log may wait as long as ssh itself bears with a silent line: the connection is not given up before.
FOLLOW_TIMEOUT: Final = KEEPALIVE_INTERVAL * KEEPALIVE_COUNT + 60.0
# Ports for a physical.xml that is only shown: the real ones are chosen by the server when the tunnels open.
SAMPLE_PORT: Final = 10809


def convert(
    server: ConversionServer, plan: Plan, report: Report, cancellation: Cancellation, virt_v2v: VirtV2V | None = None
) -> Converted:
    """Converts the machine, and returns when virt-v2v has ended and nothing runs any more on either side.

    virt_v2v: what the connection test found; without it the control connection asks. Raises SettingsError (the
    output mode), ConnectionFailed, PreflightRefused, ConversionFailed or Cancelled.
    """
    started = time.monotonic()
    server.attend(report, cancellation)
    program = find_program(plan.nbd)
    with contextlib.ExitStack() as stack:
        stack.enter_context(no_sleep())
        connections = _open_data_connections(server, plan, program, report, stack)
        report(Status("Opening the control connection"))
        shell = stack.enter_context(server.open_shell())
        run = _Run(server, plan, report, cancellation, connections)
        run.prepare(shell, virt_v2v or server.examine(shell))
        try:
            run.start(shell)
            log = run.follow(shell)
        except BaseException:
            run.stop(shell)
            raise
        report(Status("virt-v2v has ended"))
    outcome = run.outcome(log, time.monotonic() - started)
    report(outcome)
    return outcome


def describe(server: ConversionServer, plan: Plan, virt_v2v: VirtV2V) -> str:
    """What `convert` would do: physical.xml and the remote commands, as text. The ports in it are samples.

    Raises SettingsError when the server does not have the output mode, PreflightRefused without an NBD server here.
    """
    directory = RemoteDirectory("/tmp/virt-p2v-YYYYMMDD-XXXXXXXX")
    program = find_program(plan.nbd)
    ports = range(SAMPLE_PORT, SAMPLE_PORT + len(plan.disks))
    script = _wrapper(directory, plan, virt_v2v, sudo=server.sudo)
    commands = (remote_commands.make_directory(directory), remote_commands.start_wrapper(directory))
    return "\n".join(
        [
            f"physical.xml (the ports are chosen by the server when the {len(plan.disks)} data connections open):",
            physical_xml(plan.guest_with(ports), GENERATOR),
            "Commands on this machine, one pair for each disk:",
            *(f"{shlex.join(nbd_command(program, disk.device, Path('SOCKET')))}" for disk in plan.disks),
            f"ssh {shlex.join(tunnel_options(Path('SOCKET')))} ...",
            "",
            "Commands on the conversion server:",
            *commands,
            "",
            f"{directory.wrapper}:",
            script,
        ]
    )


def _open_data_connections(
    server: ConversionServer, plan: Plan, program: str, report: Report, stack: contextlib.ExitStack
) -> list[DataConnection]:
    connections = []
    for number, disk in enumerate(plan.disks):
        report(Status(f"Opening the data connection of {disk.name}"))
        connection = server.open_data_connection(disk, number, program)
        stack.callback(connection.close)
        connections.append(connection)
    return connections


def _wrapper(directory: RemoteDirectory, plan: Plan, virt_v2v: VirtV2V, *, sudo: bool) -> str:
    debug = ["-v", "-x"] if plan.debug else []
    colours = ["--colours"] if virt_v2v.colours else []
    output = plan.output.arguments(virt_v2v, directory.output_password)
    return remote_commands.wrapper_script(
        directory,
        ["virt-v2v", *debug, *colours, "-i", "libvirtxml", *output, directory.physical_xml],
        sudo=sudo,
        secret_files=[directory.output_password] if plan.output.password else [],
    )


class _Run:
    """The remote side of one conversion: its directory, its virt-v2v."""

    def __init__(
        self,
        server: ConversionServer,
        plan: Plan,
        report: Report,
        cancellation: Cancellation,
        connections: Sequence[DataConnection],
    ) -> None:
        self._server = server
        self._plan = plan
        self._report = report
        self._cancellation = cancellation
        self._connections = connections
        self._directory = RemoteDirectory.new(datetime.date.today())
        self._exit_code: int | None = None

    def prepare(self, shell: RemoteShell, virt_v2v: VirtV2V) -> None:
        """Makes the remote directory with everything that virt-v2v and its readers need."""
        script = _wrapper(self._directory, self._plan, virt_v2v, sudo=self._server.sudo)
        made = shell.run(remote_commands.make_directory(self._directory))
        if made.status != 0:
            raise cannot_store(self._directory.path, made)
        self._report(LogDirectory(self._directory.path))
        self._report(Status("Sending the description of this machine"))
        guest = self._plan.guest_with([connection.port for connection in self._connections])
        files = {
            "physical.xml": physical_xml(guest, GENERATOR).encode(),
            "name": f"{guest.name}\n".encode(),
            "p2v-version": f"{GENERATOR}\n".encode(),
            **collect_system_data(self._server.secrets),
        }
        for name, content in files.items():
            shell.write_file(self._directory.file(name), content)
        shell.write_file(self._directory.wrapper, script.encode())

    def start(self, shell: RemoteShell) -> None:
        """Starts virt-v2v, apart from the control connection."""
        self._cancellation.check()
        if self._plan.output.password:
            password = self._plan.output.password.reveal()
            shell.write_file(self._directory.output_password, password.encode())
        self._report(Status("Starting virt-v2v; from here on the conversion takes minutes to hours"))
        started = shell.run(remote_commands.start_wrapper(self._directory))
        if started.status != 0:
            raise PreflightRefused(
                f"virt-v2v could not be started on the conversion server: {started.last_line}.",
                f"Look into {self._directory.path} there.",
            )

    def follow(self, shell: RemoteShell) -> ConversionLog:
        """Reports virt-v2v's output and the progress until it has ended. Raises ConversionFailed if it was killed."""
        log = ConversionLog(debug=self._plan.debug)
        tracker = ProgressTracker(self._plan.disks)
        offset = 0
        while True:
            state, chunk = self._read(shell, offset)
            offset += len(chunk)
            ended = state != "running" and len(chunk) < LOG_CHUNK
            for event in log.feed(chunk, final=ended):
                if isinstance(event, CopyPercent):
                    tracker.percent(event.disk, event.percent, time.monotonic())
                else:
                    self._report(event)
            self._report(tracker.sample([each.bytes_served for each in self._connections], time.monotonic()))
            if ended:
                self._exit_code = _exit_code(state)
                if self._exit_code is None:
                    # Its wrapper is gone too: what that would have tidied, `stop` has to.
                    raise ConversionFailed(
                        "virt-v2v was killed on the conversion server before it could say why.",
                        f"Look for the out-of-memory killer or a reboot there. {self._where_the_log_is}",
                    )
                return log
            if state == "running":
                for connection in self._connections:
                    connection.check()
            if len(chunk) < LOG_CHUNK:
                self._cancellation.wait(INTERVAL)

    def _read(self, shell: RemoteShell, offset: int) -> tuple[str, bytes]:
        """The state (`running`, `ended CODE`, `gone`) and the log from `offset` on."""
        try:
            command = remote_commands.read_progress(self._directory, offset, LOG_CHUNK)
            result = shell.run(command, timeout=FOLLOW_TIMEOUT)
        except ConnectionFailed as error:
            raise ConversionFailed(
                error.message, f"{error.advice} The log so far is {self._directory.log} there."
            ) from error
        state, _, chunk = result.output.partition(b"\n")
        return state.decode(errors="replace"), chunk

    def stop(self, shell: RemoteShell) -> None:
        """Ends virt-v2v and removes secrets, over a new connection where the old one is lost.

        Never raises: it runs when something else is already being raised. What it could not do is reported.
        """
        self._report(Status("Stopping virt-v2v on the conversion server"))
        try:
            self._stop_over(shell)
        except P2VError:
            try:
                with self._server.open_shell(cancellable=False) as another:
                    self._stop_over(another)
            except P2VError as error:
                self._report(
                    Warned(
                        f"virt-v2v could not be stopped: {error.message} It may still run on the conversion server. "
                        f"Run there: kill -TERM -- -$(cat {self._directory.pid}), and remove {self._directory.path}"
                    )
                )

    def _stop_over(self, shell: RemoteShell) -> None:
        stopped = shell.run(
            remote_commands.stop_wrapper(self._directory, sudo=self._server.sudo),
            timeout=STOP_TIMEOUT,
            cancellable=False,
        )
        if self._plan.output.password:
            shell.run(remote_commands.remove_files([self._directory.output_password]), cancellable=False)
        if stopped.status != 0:
            raise ConnectionFailed(f"it does not end ({stopped.last_line}).")

    @property
    def _where_the_log_is(self) -> str:
        return f"The whole log is {self._directory.log} on the conversion server."

    def outcome(self, log: ConversionLog, seconds: float) -> Converted:
        """Raises ConversionFailed unless virt-v2v succeeded in everything."""
        advice = self._where_the_log_is
        if self._exit_code != 0:
            reason = log.error.rstrip(".") or f"it gave no reason (exit code {self._exit_code})"
            raise ConversionFailed(f"virt-v2v failed: {reason}.", advice)
        # virt-v2v ends with 0 although the domain does not exist (output/output_libvirt.ml).
        if undefined := [warning for warning in log.warnings if "could not define libvirt domain" in warning]:
            raise ConversionFailed(
                f"The disks were copied, but libvirt has no such guest: {undefined[0]}.",
                f"Define it by hand with `virsh define` from the XML that the log shows. {advice}",
            )
        name = self._plan.guest.name
        return Converted(name, self._plan.output.made(name), self._directory.path, seconds)


def _exit_code(state: str) -> int | None:
    word, _, code = state.partition(" ")
    return int(code) if word == "ended" and re.fullmatch("[0-9]{1,3}", code) else None
