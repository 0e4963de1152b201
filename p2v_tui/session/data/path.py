"""All data connections of one conversion, and the relay on the server that hides their loss from virt-v2v.

On a server without Python no relay can run: virt-v2v then reads from the tunnels' own ports, as with virt-p2v, and a
lost tunnel ends the conversion.
"""

from __future__ import annotations

import functools
import queue
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from p2v_tui.errors import PreflightRefused
from p2v_tui.hwprobe.answers import Answer
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data import read_errors, relay_failures, relay_program, relay_status
from p2v_tui.session.data.connection import MakeConnection
from p2v_tui.session.data.connection_loop import LOOK_INTERVAL
from p2v_tui.session.data.relay.states import DiskState
from p2v_tui.session.data.relay_status import FailedRead, RelayStatus
from p2v_tui.session.data.tunnel_policy import Observation
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.shell import RemoteShell
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Event, Report, Warned

# How long the relay may take to reach a disk through an open tunnel, in seconds.
REACH_TIMEOUT: Final = 30
# How long an attempt may last that begins just before the timeout, in seconds: the relay must not give up before us.
GRACE: Final = 10
# How long the failure waits until the unreadable sector was located, in seconds.
LOCATE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class PathSettings:
    """What a data path is made from. directory: the conversion's on the server.

    relay_timeout: for how many seconds the relay waits for a lost tunnel. many_clients: virt-v2v opens more than one
    connection to a disk.
    """

    disks: tuple[Disk, ...]
    directory: RemoteDirectory
    make_connection: MakeConnection
    relay_timeout: int
    many_clients: bool = False


class DataPath:
    """The data connections log in from the beginning, and `wait_until_open` waits for them; `close` at the end.

    `open` and `take_over` return one. relayed: whether the connections end in a relay. generations: of the first
    tunnel of each disk. clock: seconds, monotonic.
    """

    def __init__(
        self,
        settings: PathSettings,
        *,
        relayed: bool,
        generations: Sequence[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.relayed = relayed
        self.status: RelayStatus | None = None
        self._disks = settings.disks
        self._directory = settings.directory
        self._many_clients = settings.many_clients
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._clock = clock
        # The disks with a stranger at their port that was reported.
        self._strangers: set[str] = set()
        # By disk number: the exact place of its first failed read.
        self._unreadable: dict[int, Answer[FailedRead]] = {}
        directory = settings.directory if relayed else None
        self._connections = [
            settings.make_connection(
                disk, number, directory=directory, notify=self._events.put, generation=generation
            )
            for number, (disk, generation) in enumerate(zip(self._disks, generations, strict=True))
        ]
        try:
            for connection in self._connections:
                connection.start()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, settings: PathSettings, shell: RemoteShell) -> DataPath:
        """Starts all data connections, and the relay while they log in. Raises ConnectionFailed, PreflightRefused."""
        generations = [1] * len(settings.disks)
        path = cls(settings, relayed=True, generations=generations)
        try:
            path.status = _start_relay(settings, shell)
        except BaseException:
            path.close()
            raise
        if path.status is not None:
            return path
        # Then the tunnels end in ports of the server, as virt-p2v's do.
        path.close()
        path = cls(settings, relayed=False, generations=generations)
        path._events.put(
            Warned(
                "The conversion server has no python3, so nothing there can bridge the loss of a data connection: if "
                "one is lost, so is the conversion. Each disk comes out at a port of the server's loopback that all "
                "its local users can connect to: who is not the login user or root gets nothing, but can delay it."
            )
        )
        return path

    @classmethod
    def take_over(cls, settings: PathSettings, shell: RemoteShell, *, relayed: bool) -> DataPath:
        """Opens new tunnels to the relay that runs there. relayed: whether one does. Raises ConnectionFailed."""
        listed = shell.run(remote_commands.tunnel_sockets(settings.directory)).text
        generations = [1] * len(settings.disks)
        for disk, used in re.findall(r"^disk(\d{1,4})\.(\d{1,9})\.(?:sock|port)$", listed, re.MULTILINE):
            if int(disk) < len(generations):
                generations[int(disk)] = max(generations[int(disk)], int(used) + 1)
        return cls(settings, relayed=relayed, generations=generations)

    def wait_until_open(self, cancellation: Cancellation, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Raises the error of a data connection: ConnectionFailed, PreflightRefused; or Cancelled. meanwhile: called
        often, as the wait may be long.
        """
        for connection in self._connections:
            connection.wait_until_open(cancellation, meanwhile)

    def check_reach(
        self, shell: RemoteShell, cancellation: Cancellation, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Checks that the server can read every disk. Raises PreflightRefused if not.

        If a connection is lost meanwhile, waits for it, as `wait_until_open` does, and checks again.
        """
        if not self.relayed:
            return
        while True:
            before = [connection.state.whole for connection in self._connections]
            try:
                self._look_whether_all_answer(shell)
                return
            except PreflightRefused:
                for connection in self._connections:
                    connection.wait_until_whole(cancellation, meanwhile)
                if None not in before and before == [connection.state.whole for connection in self._connections]:
                    raise

    def _look_whether_all_answer(self, shell: RemoteShell) -> None:
        said = shell.run(remote_commands.wait_for_relay(self._directory, REACH_TIMEOUT, DiskState.WAITING.value))
        self.status = relay_status.parse(said.text, len(self._disks), alive=True)
        if self.status is None:
            raise PreflightRefused(
                "The relay for the data connections ended on the conversion server.",
                f"Look into {self._directory.relay_log} there.",
            )
        for disk, relay in zip(self._disks, self.status.disks, strict=True):
            if relay.size != disk.size:
                seen = relay.reason or ("nothing answers" if relay.size is None else f"it has {relay.size} bytes")
                raise PreflightRefused(
                    f"The disk {disk.name} ({disk.size} bytes) cannot be read through its tunnel from the conversion "
                    f"server: {seen}.",
                    "Check whether its sshd forwards Unix sockets (AllowStreamLocalForwarding), and look into "
                    f"{self._directory.relay_log} there.",
                )

    @property
    def ports(self) -> list[int]:
        """One for each disk, on the conversion server's loopback."""
        if self.status is not None:
            return [disk.port for disk in self.status.disks]
        return [connection.state.port or 0 for connection in self._connections]

    @property
    def bytes_served(self) -> list[int]:
        return [connection.state.bytes_served for connection in self._connections]

    def events(self) -> list[Event]:
        """What has happened to the connections since the last call."""
        found = []
        while not self._events.empty():
            found.append(self._events.get())
        return found

    def report_events(self, report: Report) -> None:
        """Reports what has happened to the connections since the last call."""
        for event in self.events():
            report(event)

    def check(self) -> None:
        """Raises ConversionFailed once a data connection has been given up."""
        for connection in self._connections:
            connection.check()

    def check_sources(self) -> None:
        """Raises ConversionFailed if a disk was removed, exchanged or resized since the beginning. The data may then
        be wrong although no read failed.
        """
        for connection in self._connections:
            connection.check_source()

    def follow(self, status: RelayStatus | None, *, copying: Sequence[bool]) -> None:
        """Passes on what the relay says: stalled tunnels are replaced, and compression is tried on a slow line.

        copying: for each disk, whether virt-v2v copies it and will for some time, so that the line limits it. Raises
        ConversionFailed when the relay has died or given up a disk.
        """
        if not self.relayed or status is None:
            return
        self.status = status
        self.check_relay()
        now = self._clock()
        for number, (connection, relay) in enumerate(zip(self._connections, status.disks, strict=True)):
            connection.observe(Observation(now, relay, copying[number]))
            if relay.failure is not None and number not in self._unreadable:
                self._locate(number, relay.failure)
                # virt-v2v decides whether it needs that data.
                failed = read_errors.failed_read(connection.disk, relay.failure)
                self._events.put(Warned(f"{failed.message} {failed.advice}"))

    def _locate(self, number: int, read: FailedRead) -> Answer[FailedRead]:
        """Locates the exact place where it failed."""
        if number not in self._unreadable:
            self._unreadable[number] = Answer(functools.partial(read_errors.locate, self._disks[number], read))
        return self._unreadable[number]

    def admit(self, ask: Callable[[str], str]) -> None:
        """Without a relay: serves virt-v2v once the server says that no client is a stranger.

        ask: runs a command on the server and returns its output; empty if the server cannot be reached.
        """
        if self.relayed:
            return
        for connection in self._connections:
            # Only those who came before the server was asked: a later one may be a stranger.
            state = connection.state
            if not state.waiting or state.port is None:
                continue
            users = ask(remote_commands.clients_of(state.port)).split()
            strangers = sorted(set(users[1:]) - {users[0], "0"}) if users else []
            if len(users) > 1 and not strangers:
                connection.admit(state.waiting, last=not self._many_clients)
            elif strangers and connection.disk.name not in self._strangers:
                self._strangers.add(connection.disk.name)
                self._events.put(
                    Warned(
                        f"Another user of the conversion server ({', '.join(strangers)}) has connected to the port "
                        f"of {connection.disk.name}. The disk is served to nobody until that user has gone: look "
                        f"there with ss -tnp 'dport = :{state.port}'"
                    )
                )

    def explain_failure(self) -> None:
        """Raises ConversionFailed if virt-v2v failed because it lost a disk."""
        if not self.relayed:
            # virt-v2v may end before a connection's thread notices that its tunnel is lost.
            time.sleep(2 * LOOK_INTERVAL)
        self.check()
        self.check_sources()
        self._check_reads()
        self.check_relay()

    def _check_reads(self) -> None:
        """Raises ConversionFailed if some read of a disk failed."""
        for number, relay in enumerate(self.status.disks if self.status else ()):
            if relay.failure is not None:
                located = self._locate(number, relay.failure).by(time.monotonic() + LOCATE_SECONDS) or relay.failure
                raise read_errors.failed_read(self._disks[number], located)
        if not self.relayed:
            for connection in self._connections:
                if (words := connection.state.read_error) is not None:
                    raise read_errors.failed_somewhere(connection.disk, words)

    def check_relay(self) -> None:
        """Raises ConversionFailed if the relay died or gave up a disk. `status`: the last one received."""
        if not self.relayed or self.status is None:
            return
        for number, (disk, relay) in enumerate(zip(self._disks, self.status.disks, strict=True)):
            if relay.state is DiskState.GIVEN_UP:
                self.check_sources()
                self._check_reads()
                raise relay_failures.given_up(disk, relay, hangs=self._connections[number].state.hangs)
        if self.status.lost:
            raise relay_failures.killed(self._directory.relay_log)

    def close(self) -> None:
        for connection in self._connections:
            connection.cancel()
        for connection in self._connections:
            connection.close()


def _start_relay(settings: PathSettings, shell: RemoteShell) -> RelayStatus | None:
    """What the relay says at its start; None where the server has no Python. Raises PreflightRefused, too."""
    directory, disks = settings.directory, len(settings.disks)
    shell.write_files({directory.relay: relay_program.zipapp()})
    timeout = settings.relay_timeout + GRACE
    started = shell.run(remote_commands.start_relay(directory, disks, timeout, many_clients=settings.many_clients))
    if started.status == remote_commands.NO_PYTHON:
        return None
    status = relay_status.parse(started.text, disks, alive=True)
    if started.status != 0 or status is None:
        raise PreflightRefused(
            f"The relay for the data connections does not start on the conversion server: {started.last_line}.",
            f"Look into {directory.relay_log} there, and whether its loopback interface is up.",
        )
    return status
