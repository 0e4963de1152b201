"""One conversion from the first look at the server to the outcome, with everything ended and tidied behind it.

virt-v2v runs on the server apart from every connection; a lost one is opened again, and a process that is killed here
leaves a record with which the next one goes on (`resume`).
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from p2v_tui import __version__
from p2v_tui.errors import (
    Cancelled,
    ConnectionFailed,
    ConversionFailed,
    Detached,
    P2VError,
    PreflightRefused,
    Retry,
    SettingsError,
)
from p2v_tui.hwprobe.answers import Answer
from p2v_tui.hwprobe.health import Health, examine_health
from p2v_tui.session.conversion.connection_test import examine
from p2v_tui.session.conversion.earlier import EarlierConversion, end_earlier
from p2v_tui.session.conversion.following import Following
from p2v_tui.session.conversion.machine_record import MachineRecord, RecordedDisk, record_disk, record_of
from p2v_tui.session.conversion.outcome import Evidence, check_success, failed, losses
from p2v_tui.session.conversion.output_proof import look_at_output
from p2v_tui.session.conversion.preparation import Preparation
from p2v_tui.session.conversion.read_only import set_read_only
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.conversion.sleep_inhibitor import no_sleep
from p2v_tui.session.conversion.stopping import stop
from p2v_tui.session.conversion.system_data import collect_system_data
from p2v_tui.session.data.connection import tunnel_options
from p2v_tui.session.data.maker import ConnectionMaker
from p2v_tui.session.data.nbd_server import command as nbd_command
from p2v_tui.session.data.nbd_server import find_program
from p2v_tui.session.data.path import DataPath
from p2v_tui.session.plan.plan import Plan, with_keys
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.plan.volume_keys import key_arguments, key_files
from p2v_tui.session.preflight.preflight import AcceptWarnings, judge, settle
from p2v_tui.session.preflight.server_facts import Place, survey_server
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import PARENT, RemoteDirectory
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.ssh.shell import cannot_store
from p2v_tui.session.words.events import (
    CONTROL,
    CanWait,
    Checked,
    ConnectionLost,
    Converted,
    LogDirectory,
    LogDirectoryRemoved,
    Report,
    Stage,
    StageStarted,
    Status,
    Warned,
)
from p2v_tui.session.words.quantities import duration_text
from p2v_tui.session.words.watch import Watch
from p2v_tui.xmlgen import physical_xml

GENERATOR: Final = f"p2v-tui {__version__}"
# Ports for a physical.xml that is only shown: the real ones are chosen by the server.
SAMPLE_PORT: Final = 10809


class NeverStarted(ConversionFailed):
    """What was left running never ran: nothing is lost, and nothing in the way of a conversion."""


def convert(
    control: ControlConnection,
    plan: Plan,
    watch: Watch,
    virt_v2v: VirtV2V | None = None,
    *,
    accept_warnings: AcceptWarnings = lambda _: False,
) -> Converted:
    """Converts the machine, and returns when virt-v2v has ended and nothing runs any more on either side.

    virt_v2v: what the connection test found; without it the control connection asks. accept_warnings: asked about
    those that the settings do not accept.
    Raises SettingsError (the output mode), ConnectionFailed, PreflightRefused, ConversionFailed, Cancelled; or
    Detached, after which the conversion waits on the server and `control.workspace` is kept for `resume`.
    """
    report, cancellation = watch.report, watch.cancellation
    program = find_program(plan.nbd)
    # What looks at the machine runs in the background: a tool or a disk that hangs must not delay a cancellation.
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

        def begin() -> tuple[_Run, contextlib.ExitStack] | EarlierConversion:
            """The run with virt-v2v started, and what tidies up behind it; or what has ended already."""
            found = virt_v2v or examine(control, watch)
            earlier = end_earlier(control.shell(watch), record, report, sudo=control.sudo)
            if earlier is not None:
                return earlier
            directory = RemoteDirectory.new(datetime.date.today())
            run = _Run(control, plan, directory, program, record.disks, watch=watch)
            with contextlib.ExitStack() as tidied:
                tidied.enter_context(run.tidied())
                try:
                    run.prepare(found, record)
                    run.check(found, health.wait(cancellation.check), accept_warnings)
                    run.start(found)
                except ConnectionFailed:
                    run.give_away()
                    preparation.left(directory)
                    raise
                return run, tidied.pop_all()

        begun = preparation.whole(begin)
        if isinstance(begun, EarlierConversion):
            return _tell(control, plan, begun, program, watch)
        run, tidied = begun
        with tidied:
            run.send_system_data(system_data.wait(cancellation.check))
            return run.finish()


def _tell(
    control: ControlConnection, plan: Plan, earlier: EarlierConversion, program: str, watch: Watch
) -> Converted:
    """What became of a conversion of the same disks that virt-v2v has ended while nobody looked."""
    watch.report(Status(f"Nothing is converted again: the {earlier.in_words} has ended meanwhile"))
    run = _Run(control, plan, earlier.directory, program, earlier.record.disks, watch=watch)
    with run.tidied():
        run.take_over(earlier.record.started, relayed=True)
        return run.finish()


def why_not_gone_on_with(saved: SavedConversion, plan: Plan) -> str:
    """Why the conversion cannot be gone on with, though its disks are those of the plan; empty where it can."""
    disks = tuple(map(record_disk, plan.disks))
    if not saved.same_disks(disks) or not (names := saved.unproved(disks)):
        return ""
    return (
        f"The {saved.in_words}, is not continued: the machine was restarted or somebody has written to "
        f"{', '.join(names)} since, as far as can be told, and the guest would be a mixture of old and new."
    )


def resume(control: ControlConnection, plan: Plan, saved: SavedConversion, watch: Watch) -> Converted:
    """Goes on with a conversion that another process of ours started: its disks are served again, its log is read.

    control: made with the workspace of that process. plan: of `saved.settings`, on the same machine. The log is
    reported from its beginning. A server that cannot be reached is tried for as long as the settings' reconnect says.
    Raises as `convert` does; a conversion that has disappeared is a ConversionFailed, one that was never begun a
    NeverStarted, and disks that may have been written since are a PreflightRefused. Until the server has let us in,
    every failure leaves the conversion as it is, to be gone on with another time.
    """
    control.workspace.keep = True
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
        control.workspace.keep = False
        state = control.shell(watch).run(remote_commands.read_progress(saved.directory, 0, 0)).text
        if state.startswith("unstarted\n"):
            raise NeverStarted(
                f"p2v-tui ended before virt-v2v was started in {saved.directory.path} on the conversion server.",
                "Convert the machine again.",
            )
        run = _Run(control, plan, saved.directory, program, saved.disks, watch=watch)
        with run.tidied():
            run.take_over(saved.started, relayed=saved.relayed)
            return run.finish()


def _set_read_only(plan: Plan, report: Report) -> None:
    """They are served read-only in any case: that the kernel does not do its part is no reason to stop."""
    for failure in set_read_only(plan.disks) if plan.set_read_only else ():
        report(Warned(failure))


def describe(control: ControlConnection, plan: Plan, virt_v2v: VirtV2V) -> str:
    """What `convert` would do: physical.xml and the remote commands, as text. The ports in it are samples.

    Raises SettingsError when the server does not have the output mode, PreflightRefused without an NBD server here.
    """
    directory = RemoteDirectory("/tmp/virt-p2v-YYYYMMDD-XXXXXXXX")
    program = find_program(plan.nbd)
    ports = range(SAMPLE_PORT, SAMPLE_PORT + len(plan.disks))
    storage = plan.output.storage if plan.output.mode.takes_directory else None
    script = _wrapper(directory, plan, virt_v2v, sudo=control.sudo, keeping=virt_v2v.kept_by_sudo, storage=storage)
    relay = remote_commands.start_relay(directory, len(plan.disks), plan.settings.reconnect, many_clients=False)
    commands = (remote_commands.make_directory(directory, "{...}"), relay, remote_commands.start_wrapper(directory))
    return "\n".join(
        [
            "physical.xml (the server chooses the ports):",
            physical_xml(plan.guest_with(ports), GENERATOR),
            "Commands on this machine, one pair for each disk:",
            *(f"{shlex.join(nbd_command(program, disk.device))}" for disk in plan.disks),
            f"ssh {shlex.join(tunnel_options(Path('SOCKET'), directory.tunnel_socket(0, 1)))} ...",
            "",
            "Commands on the conversion server:",
            *commands,
            "",
            f"{directory.wrapper}:",
            script,
        ]
    )


def _wrapper(
    directory: RemoteDirectory,
    plan: Plan,
    virt_v2v: VirtV2V,
    *,
    sudo: bool,
    keeping: Sequence[str],
    storage: str | None,
) -> str:
    """keeping: the variables that sudo passes on. storage: the directory on the server that the guest's files go to,
    where there is one and it is known.
    """
    debug = ["-v", "-x"] if plan.debug else []
    colours = ["--colours"] if virt_v2v.colours else []
    output = plan.output.arguments(virt_v2v, directory.output_password)
    keys = key_arguments(plan.keys, directory, virt_v2v)
    files = plan.output.mode.files(plan.guest.name, len(plan.disks))
    return remote_commands.wrapper_script(
        directory,
        ["virt-v2v", *debug, *colours, "-i", "libvirtxml", *keys, *output, directory.physical_xml],
        sudo=sudo,
        outputs=[f"{storage.rstrip('/')}/{name}" for name in files] if storage else [],
        variables=tuple(plan.output.environment),
        keeping=keeping,
    )


def _secret_files(directory: RemoteDirectory, plan: Plan) -> dict[str, bytes]:
    """What only virt-v2v may read, by its path on the server. It is removed when virt-v2v ends."""
    password = plan.output.password
    files = {directory.output_password: password.reveal().encode()} if password else {}
    if variables := plan.output.environment:
        files[directory.environment] = remote_commands.environment_file(variables)
    return files | key_files(plan.keys, directory)


class _Run:
    """The conversion while it runs: the remote directory with its virt-v2v, and the data connections."""

    def __init__(
        self,
        control: ControlConnection,
        plan: Plan,
        directory: RemoteDirectory,
        program: str,
        disks: tuple[RecordedDisk, ...],
        *,
        watch: Watch,
    ) -> None:
        """disks: as they were before anything was read of them."""
        self._disks = disks
        self._control = control
        self._plan = plan
        self._watch = watch
        self._report = watch.report
        self._cancellation = watch.cancellation
        self._directory = directory
        self._program = program
        self._started = datetime.datetime.now()
        # Whether virt-v2v was started, and whether the remote directory holds anything worth reading by then.
        self._running = False
        self._worth_reading = False
        self._made = False
        self._over = False
        # The directory on the server that the guest's files go to, where it is known.
        self._storage: str | None = None
        # Both are there, or neither.
        self._data: DataPath | None = None
        self._following: Following | None = None

    def prepare(self, virt_v2v: VirtV2V, record: MachineRecord) -> None:
        """Makes the remote directory, and starts to open the data connections."""
        made = self._control.shell(self._watch).run(remote_commands.make_directory(self._directory, record.text))
        if made.status != 0:
            raise cannot_store(self._directory.path, made)
        self._made = True
        self._report(LogDirectory(self._directory.path))
        for disk in self._plan.disks:
            self._report(Status(f"Opening the data connection of {disk.name}"))
        self._data = self._serve(many_clients=not virt_v2v.one_connection)
        self._worth_reading = True
        self._data.open(self._control.shell(self._watch))
        self._worth_reading = False

    def check(self, virt_v2v: VirtV2V, health: Health, accept_warnings: AcceptWarnings) -> None:
        """The preflight, while the data connections log in; then, that each disk can be read through its tunnel."""
        self._report(StageStarted(Stage.CHECKING))
        self._report(Status("Checking the conversion server and the disks"))
        shell, sudo = self._control.shell(self._watch), self._control.sudo
        facts = survey_server(shell, self._plan, sudo=sudo, kept=virt_v2v.kept_by_sudo)
        storage = facts.space.get(Place.STORAGE)
        self._storage = storage.path if storage else None
        checks = judge(facts, virt_v2v, self._plan, health, time.time())
        for check in checks:
            self._report(Checked(check))
        settle(checks, self._plan.settings.accept_warnings, accept_warnings)
        assert self._data and self._following
        self._data.wait_until_open(self._cancellation, self._following.show_events)
        self._worth_reading = True
        self._data.check_reach(self._control.shell(self._watch), self._cancellation, self._following.show_events)
        self._following.show_events()

    def start(self, virt_v2v: VirtV2V) -> None:
        """Sends what virt-v2v needs and starts it, apart from the control connection."""
        self._report(StageStarted(Stage.STARTING))
        self._report(Status("Sending the description of this machine"))
        assert self._data
        guest = self._plan.guest_with(self._data.ports)
        directory, shell = self._directory, self._control.shell(self._watch)
        shell.write_files(
            {
                directory.physical_xml: physical_xml(guest, GENERATOR).encode(),
                directory.file("name"): f"{guest.name}\n".encode(),
                directory.file("p2v-version"): f"{GENERATOR}\n".encode(),
                directory.wrapper: _wrapper(
                    directory,
                    self._plan,
                    virt_v2v,
                    sudo=self._control.sudo,
                    keeping=virt_v2v.kept_by_sudo,
                    storage=self._storage,
                ).encode(),
                **_secret_files(directory, self._plan),
            }
        )
        self._cancellation.check()
        self._record()
        self._report(Status("Starting virt-v2v; from here on the conversion takes minutes to hours"))
        self._running = True
        started = shell.run(remote_commands.start_wrapper(directory))
        if started.status != 0:
            raise PreflightRefused(
                f"virt-v2v could not be started on the conversion server: {started.last_line}.",
                f"Look into {directory.path} there.",
            )
        if self._data.relayed:
            self._report(CanWait())

    def send_system_data(self, data: Mapping[str, bytes]) -> None:
        """What later questions about this machine need. That it cannot be stored is no reason to stop."""
        try:
            shell = self._control.shell(self._watch)
            shell.write_files({self._directory.file(name): text for name, text in data.items()})
        except PreflightRefused as error:
            self._report(Warned(error.message))
        except ConnectionFailed:
            # Whoever reads the log next meets the same, and opens the connection again.
            pass

    def take_over(self, started: datetime.datetime, *, relayed: bool) -> None:
        """Serves the disks again, for the virt-v2v that waits for them."""
        self._made = self._running = True
        self._started = started
        self._data = self._serve()
        self._data.relayed = relayed
        self._report(LogDirectory(self._directory.path))
        self._data.take_over(self._control.shell(self._watch))

    def finish(self) -> Converted:
        """Follows virt-v2v to its end. Raises ConversionFailed unless it succeeded in everything."""
        assert self._following
        state = self._following.to_the_end()
        code = self._exit_code(state)
        # Its wrapper has tidied up behind it.
        self._over = True
        self._report(Status("virt-v2v has ended"))
        # A later start need not tell it again. Where it cannot be marked, one more telling does no harm.
        with contextlib.suppress(P2VError):
            self._control.shell(self._watch.again).run(remote_commands.mark_told(self._directory), cancellable=False)
        outcome = self._outcome(code, self._following)
        self._report(outcome)
        return outcome

    @contextlib.contextmanager
    def tidied(self) -> Iterator[None]:
        """When the context ends, in whatever way, nothing runs any more on either side; but for Detached."""
        try:
            yield
        except Detached as error:
            self._close_data()
            # Without a relay virt-v2v has lost its disks by now.
            if not self._running or (self._data and not self._data.relayed):
                # Whoever ends us does not wait for a server that cannot be reached.
                self._cancellation.again.cancel()
                self._stop()
                raise Cancelled from error
            self._control.workspace.keep = True
            raise Detached(
                "p2v-tui was told to end while the conversion runs.",
                f"virt-v2v waits on the conversion server for {duration_text(self._plan.settings.reconnect)}. Start "
                "p2v-tui again on this machine: it continues where this one ended.",
            ) from error
        except BaseException:
            # First what is here: the disks are at rest at once, even if the server cannot be reached.
            self._close_data()
            self._stop()
            raise
        finally:
            self._close_data()

    def give_away(self) -> None:
        """Leaves the remote directory to somebody else, and only tidies up here."""
        self._made = False

    def _close_data(self) -> None:
        if self._data is not None:
            self._data.close()

    def _serve(self, *, many_clients: bool = False) -> DataPath:
        """The data connections, still to be opened, and who follows what becomes of them."""
        data = DataPath(
            self._plan.disks,
            self._directory,
            ConnectionMaker(
                self._program,
                self._control.login(self._watch),
                self._control.workspace,
                self._plan.settings.reconnect,
            ),
            relay_timeout=self._plan.settings.reconnect,
            many_clients=many_clients,
        )
        self._following = Following(self._control, self._plan, self._directory, data, self._watch)
        return data

    def _record(self) -> None:
        """Leaves what another process needs to go on with this conversion."""
        assert self._data
        saved = SavedConversion(
            settings=self._plan.settings,
            image=self._plan.image,
            directory=self._directory,
            disks=self._disks,
            relayed=self._data.relayed,
            started=self._started,
        )
        try:
            saved.write(self._control.workspace)
        except OSError as error:
            self._report(
                Warned(f"If p2v-tui is killed, it cannot continue this conversion: {error.strerror} (/tmp here).")
            )

    def _exit_code(self, state: str) -> int:
        """virt-v2v's. Raises ConversionFailed where it has none."""
        code = _code_in(state)
        if code is not None:
            return code
        if state == "rebooted":
            raise ConversionFailed(
                "The conversion server was restarted, and virt-v2v with it.",
                f"Convert again. {self._where_the_log_is}",
            )
        if state == "missing":
            raise ConversionFailed(
                f"The conversion is gone from the conversion server: there is no {self._directory.path} any more.",
                "The server was restarted, or its /tmp was cleaned. Convert again.",
            )
        raise self._killed("before it could say why")

    def _killed(self, how: str) -> ConversionFailed:
        return ConversionFailed(
            f"virt-v2v was killed on the conversion server {how}.",
            f"Look for the out-of-memory killer there. {self._where_the_log_is}",
        )

    def _stop(self) -> None:
        """Ends virt-v2v and the relay and removes secrets, as soon as the server can be reached.

        Never raises: it runs when something else is already being raised. What it could not do is reported. A second
        cancellation ends the waiting for the server; one made before this leaves what can be done at once.
        """
        if not self._made or self._over:
            return
        cancellable = not self._cancellation.again.requested
        doing = "Stopping virt-v2v" if self._running else "Tidying up"
        self._report(Status(f"{doing} on the conversion server"))
        try:
            try:
                self._stop_over(cancellable=cancellable)
            except ConnectionFailed as error:
                out_of_reach = self._following is not None and self._following.out_of_reach
                if out_of_reach or error.retry is Retry.NEVER:
                    raise
                self._report(ConnectionLost(CONTROL, error.message, self._plan.settings.reconnect))
                open_again(
                    functools.partial(self._stop_over, cancellable=True),
                    retry_for=self._plan.settings.reconnect,
                    wait=self._cancellation.again.wait,
                    on_failure=lambda failure: self._report(Status(f"Could not stop it yet: {failure.message}")),
                    let_in_before=True,
                )
        except P2VError as error:
            self._report(
                Warned(
                    f"virt-v2v could not be stopped: {error.message} It may still run on the conversion server. "
                    f"Run there: kill -TERM -- -$(cat {self._directory.pid}), and remove {self._directory.path}"
                )
            )

    def _stop_over(self, *, cancellable: bool) -> None:
        shell = self._control.shell(self._watch.again)
        stop(shell, self._directory, sudo=self._control.sudo, cancellable=cancellable)
        if not self._running and not self._worth_reading:
            shell.run(remote_commands.remove_directory(self._directory), cancellable=False)
            self._report(LogDirectoryRemoved())

    @property
    def _where_the_log_is(self) -> str:
        return f"The whole log is {self._directory.log} on the conversion server."

    def _outcome(self, exit_code: int, following: Following) -> Converted:
        """Raises ConversionFailed unless virt-v2v succeeded in everything."""
        assert self._data
        advice = self._where_the_log_is
        if exit_code == 0:
            # virt-v2v does not see it where zeroes were read instead.
            self._data.check_sources()
        else:
            # Without its disks virt-v2v fails too, and says less well why.
            self._data.explain_failure()
            # As the shell says it that runs it.
            if exit_code > 128:
                raise self._killed(f"by signal {exit_code - 128}")
            raise failed(exit_code, following.log.reason, advice, PARENT)
        check_success(
            Evidence(
                disks=[disk.name for disk in self._plan.disks],
                copies=following.log.copies,
                warnings=following.log.warnings,
                relays=following.final_relays(),
                lies=look_at_output(self._control, self._watch, self._plan),
                causes=following.log.causes,
            ),
            advice,
        )
        name = self._plan.guest.name
        seconds = (datetime.datetime.now() - self._started).total_seconds()
        made, left_out = self._plan.output.made(name), losses(following.log.warnings)
        return Converted(name, made, self._directory.path, seconds, left_out, following.log.warnings.count)


def _code_in(state: str) -> int | None:
    word, _, code = state.partition(" ")
    return int(code) if word == "ended" and re.fullmatch("[0-9]{1,3}", code) else None
