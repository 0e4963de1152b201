"""One disk's way to virt-v2v: a read-only NBD server here, and an ssh tunnel from the conversion server to it.

Both are kept up by a thread of their own: the NBD server is started again when it dies, the tunnel is opened again
when it is lost. What makes that invisible for virt-v2v is the relay on the server (`relay/`); without one the
tunnel ends in a port, and its loss is the conversion's.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pexpect

from p2v_tui.errors import (
    Cancelled,
    ConnectionFailed,
    ConnectionGivenUp,
    ConversionFailed,
    P2VError,
    PreflightRefused,
    as_failure,
)
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data.disk_source import DiskSource
from p2v_tui.session.data.gate import Gate, Password, WaitingRoom
from p2v_tui.session.data.nbd_server import NbdServer
from p2v_tui.session.data.tunnel_policy import STALL, Observation, TunnelPolicy
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.remote.result import last_lines
from p2v_tui.session.ssh.login import Login
from p2v_tui.session.ssh.login_dialogue import LOGIN_TIMEOUT
from p2v_tui.session.ssh.openssh import close_connection, matched_text, open_connection, send
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import ConnectionLost, ConnectionRestored, Event, Happened, Status

# How often the tunnel and the NBD server are looked at, in seconds.
LOOK_INTERVAL: Final = 0.25
# How long two tunnels of one disk stand side by side, in seconds: the relay has to notice the new one.
OVERLAP: Final = 10.0
# What is kept of an ssh that complains for hours, in bytes.
_MAX_WORDS: Final = 4096

# "localhost" and no address: sshd then listens on 127.0.0.1 and ::1, and virt-v2v may try either.
_ALLOCATED: Final = rb"Allocated port (\d+) for remote forward"


@dataclass(frozen=True)
class ConnectionSettings:
    """How data connections are kept up. directory: where tunnels end; None where no relay can take a new one over.

    retry_for: for how many seconds a lost tunnel is tried again. logins: so many at once; sshd's MaxStartups refuses
    a crowd. tell: told of outages, from the connection's thread.
    """

    directory: RemoteDirectory | None
    retry_for: float
    logins: threading.Semaphore
    tell: Callable[[Event], None]


class Tunnel:
    """ssh, forwarding a place on the server to our socket. port: on the server's loopback, where it ends in a port.

    end: the path of a Unix socket there; None for a port that the server chooses. port_file: where the relay is told
    of that port, and of the password that our gate wants. Raises ConnectionFailed, PreflightRefused (forwarding is
    forbidden) or Cancelled.
    """

    def __init__(
        self,
        login: Login,
        socket: Path,
        end: str | None,
        cancellation: Cancellation,
        *,
        compressed: bool = False,
        port_file: str | None = None,
        password: Password | None = None,
    ) -> None:
        self.port: int | None = None
        self.gate: Gate | None = None
        self.end = end
        self.compressed = compressed
        options = tunnel_options(socket, end, compressed=compressed, held=port_file is not None)
        if port_file is not None and password is not None:
            token = secrets.token_hex(12)
            hold = remote_commands.hold_port_tunnel(token, port_file)
            self._ssh = open_connection(login, options, hold, _ALLOCATED, cancellation)
            self.port = int(matched_text(self._ssh))
            try:
                line = f"{self.port} {password.question} {password.answer}\n".encode()
                send(self._ssh, line, cancellation.check)
                self._wait_for(rb"\n" + token.encode() + rb"\r?\n", cancellation)
            except BaseException:
                close_connection(self._ssh)
                raise
        elif end is None:
            self._ssh = open_connection(login, options, None, _ALLOCATED, cancellation)
            self.port = int(matched_text(self._ssh))
        else:
            token = secrets.token_hex(12)
            ready = rb"\n" + token.encode() + rb"\r?\n"
            self._ssh = open_connection(login, options, remote_commands.hold_tunnel(token), ready, cancellation)

    def _wait_for(self, ready: bytes, cancellation: Cancellation) -> None:
        deadline = time.monotonic() + LOGIN_TIMEOUT
        while (matched := self._ssh.expect([ready, pexpect.EOF, pexpect.TIMEOUT], timeout=LOOK_INTERVAL)) != 0:
            cancellation.check()
            if matched == 1 or time.monotonic() > deadline:
                raise ConnectionFailed(f"{self.last_words}.", "Check the network between the two machines.")

    @property
    def alive(self) -> bool:
        # Its complaints are read as they come: ssh would block on a terminal that is full of them.
        self._ssh.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0)
        if self._ssh.isalive():
            self._ssh.buffer = self._ssh.buffer[-_MAX_WORDS:]
            return True
        return False

    @property
    def last_words(self) -> str:
        said = (self._ssh.before or b"").decode(errors="replace")
        return " / ".join(last_lines(said, 2)) or "ssh said nothing"

    def close(self) -> None:
        close_connection(self._ssh)
        if self.gate is not None:
            self.gate.close()


def tunnel_options(socket: Path, end: str | None, *, compressed: bool = False, held: bool = False) -> list[str]:
    """ssh's options for the tunnel from `end` (a port that the server chooses where it is None) to our socket."""
    forwarding = ["-T", "-o", "ExitOnForwardFailure=yes", "-R", f"{end or 'localhost:0'}:{socket}"]
    # With a port to be told about, ssh says when it is ready; else, or where it is held, a command over there does.
    return [*(["-N"] if end is None and not held else []), *(["-C"] if compressed else []), *forwarding]


class DataConnection:
    """The NBD server and the tunnel of one disk. `start`, `wait_until_open`, and at the end `close`.

    number: the disk's, from 0. program: the NBD server's. generation: of the first tunnel.

    Server, tunnels and what is thought of them belong to its thread. Others give it what the relay says (`observe`),
    and read what it publishes.
    """

    def __init__(
        self,
        disk: Disk,
        number: int,
        *,
        program: str,
        login: Login,
        workspace: Workspace,
        settings: ConnectionSettings,
        generation: int = 1,
    ) -> None:
        self.disk = disk
        self.name = f"the data connection of {disk.name}"
        self._number = number
        self._program = program
        self._login = login
        self._workspace = workspace
        self._settings = settings
        self._next_generation = generation
        self._closing = Cancellation()
        self._opened = threading.Event()
        # Set while a tunnel that was open is missing; counted: how many were opened in place of such a one.
        self._lost = threading.Event()
        self._reopened = 0
        self._error: P2VError | None = None
        self._server: NbdServer | None = None
        self._tunnel: Tunnel | None = None
        # The one before it, while the relay moves over, and until when.
        self._leaving: Tunnel | None = None
        self._leaves_at = 0.0
        self._source = DiskSource(disk.name, disk.device)
        self._policy = TunnelPolicy(disk.name, settings.tell)
        self._bytes_served = 0
        # What was said last and not looked at yet, and whether virt-v2v waits for data by the last that was.
        self._observation: Observation | None = None
        self._data_wanted = True
        self._server_hangs = False
        # Where virt-v2v and strangers wait, when they come to a port of the server without a relay there.
        self._waiting_room = WaitingRoom()
        # Whether the server forwards no Unix sockets, but ports.
        self._by_port = False
        # The NBD server dies with the thread that started it: this one, which lives as long as it is needed.
        self._thread = threading.Thread(target=self._work, name=f"data connection {number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_until_open(self, cancellation: Cancellation, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Raises what went wrong: PreflightRefused, ConnectionFailed; or Cancelled. meanwhile: called often."""
        while not self._opened.wait(LOOK_INTERVAL):
            cancellation.check()
            meanwhile()
        cancellation.check()
        if self._error is not None:
            raise self._error

    @property
    def whole(self) -> int | None:
        """How often it was lost and opened again so far; None while it is lost."""
        return None if self._lost.is_set() else self._reopened

    def wait_until_whole(self, cancellation: Cancellation, meanwhile: Callable[[], None] = lambda: None) -> None:
        """As `wait_until_open`, where it was open and was lost."""
        while self._lost.is_set() and self._error is None:
            cancellation.wait(LOOK_INTERVAL)
            meanwhile()
        if self._error is not None:
            raise self._error

    @property
    def port(self) -> int | None:
        """On the conversion server's loopback, chosen there; None with a relay, which has ports of its own."""
        return self._tunnel.port if self._tunnel else None

    @property
    def waiting(self) -> frozenset[socket.socket]:
        """Who has come to that port and was not admitted yet."""
        return self._waiting_room.waiting

    def admit(self, clients: frozenset[socket.socket], *, last: bool) -> None:
        """Serves the disk to them. last: to nobody else, ever."""
        self._waiting_room.admit(clients)
        if last and self._tunnel is not None and self._tunnel.gate is not None:
            self._tunnel.gate.stop_listening()

    @property
    def bytes_served(self) -> int:
        return self._bytes_served

    @property
    def server_hangs(self) -> bool:
        """Whether our own NBD server did not answer either when the tunnel did not: it hangs on its disk."""
        return self._server_hangs

    @property
    def read_error(self) -> str | None:
        """What the NBD server said of a read that failed."""
        return self._server.read_error if self._server else None

    def check_source(self) -> None:
        """Raises ConversionFailed when the disk is not what it was at the beginning."""
        self._source.check()

    def check(self) -> None:
        """Raises ConversionFailed once the connection has been given up, with the reason."""
        if isinstance(self._error, ConversionFailed):
            raise self._error
        if self._error is not None:
            raise ConversionFailed(
                f"{self.name[0].upper()}{self.name[1:]} was lost: {self._error.message}", self._error.advice
            )

    def observe(self, observation: Observation) -> None:
        """What the relay says. Another tunnel is opened when that calls for one, and the present one left for it."""
        self._observation = observation

    def cancel(self) -> None:
        """Asks for the end; `close` waits for it."""
        self._closing.cancel()

    def close(self) -> None:
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        try:
            self._server = NbdServer(
                self._program,
                self.disk.device,
                self._workspace.nbd_socket(self._number),
                self._workspace.nbd_log(self._number),
                self._closing,
            )
            self._tunnel = self._try_to_open(self._server, compressed=False)
            self._opened.set()
            self._keep_up(self._server, self._tunnel)
        except Cancelled:
            pass
        except Exception as error:
            self._error = as_failure(error)
        finally:
            self._opened.set()
            for tunnel in (self._leaving, self._tunnel):
                if tunnel is not None:
                    tunnel.close()
            if self._server is not None:
                self._server.close()

    def _keep_up(self, server: NbdServer, tunnel: Tunnel) -> None:
        while True:
            self._look_after(server, LOOK_INTERVAL)
            if not tunnel.alive:
                tunnel = self._tunnel = self._fall_back(tunnel) or self._open_again(server, tunnel)
            elif self._leaving is not None:
                # What the relay says waits until there is only one.
                seen = self._observation
                moved = seen is not None and seen.relay.generation == self._policy.newest
                if moved or time.monotonic() >= self._leaves_at or not self._leaving.alive:
                    self._leaving.close()
                    self._leaving = None
            elif self._observation is not None:
                seen = self._observation
                self._data_wanted = seen.relay.silent > 0
                self._server_hangs = seen.relay.stalled > STALL and not server.answers()
                compressed = self._policy.observe(seen, server_hangs=self._server_hangs)
                if compressed is not None and self._settings.directory is not None:
                    tunnel = self._replace(tunnel, compressed=compressed)
                if self._observation is seen:
                    self._observation = None

    def _look_after(self, server: NbdServer, seconds: float) -> None:
        """Lets the time pass, with the NBD server kept running. Raises Cancelled when we are closed.

        Raises ConversionFailed once the disk is not what it was.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._source.check()
            words = server.last_words if not server.running else ""
            try:
                if server.start_again(wanted=self._data_wanted):
                    ended = f"The NBD server of {self.disk.name} ended ({words}); it was started again"
                    self._settings.tell(Happened(ended))
            except P2VError:
                self._source.check()
                raise
            self._bytes_served = server.bytes_served
            left = deadline - time.monotonic()
            self._closing.wait(max(0.0, min(left, LOOK_INTERVAL)))
            if left <= 0:
                return

    def _open_again(self, server: NbdServer, lost: Tunnel) -> Tunnel:
        reason = f"{lost.last_words}."
        lost.close()
        if self._settings.directory is None:
            raise ConnectionFailed(reason, "Check the network between the two machines and convert again.")
        since = time.monotonic()
        self._lost.set()
        self._settings.tell(ConnectionLost(self.name, reason, self._settings.retry_for))
        tunnel = self._try_to_open(server, compressed=lost.compressed)
        self._reopened += 1
        self._lost.clear()
        self._settings.tell(ConnectionRestored(self.name, time.monotonic() - since))
        return tunnel

    def _try_to_open(self, server: NbdServer, *, compressed: bool) -> Tunnel:
        """Opens the tunnel, as often as it takes. The control connection was let in: a refusal may pass."""
        try:
            return open_again(
                lambda: self._open_tunnel(compressed=compressed),
                retry_for=self._settings.retry_for,
                wait=lambda seconds: self._look_after(server, seconds),
                on_failure=lambda error: self._settings.tell(Status(f"Still without {self.name}: {error.message}")),
                let_in_before=True,
            )
        except ConnectionFailed as error:
            raise ConnectionGivenUp(error.message, error.advice, setting=error.setting) from error

    def _replace(self, old: Tunnel, *, compressed: bool) -> Tunnel:
        """Another tunnel beside the present one, which stays until the relay has had time to move over.

        Where none can be opened the present one is all there is, and that is no loss.
        """
        try:
            self._tunnel = self._open_tunnel(compressed=compressed)
        except (ConnectionFailed, PreflightRefused):
            return old
        self._leaving, self._leaves_at = old, time.monotonic() + OVERLAP
        return self._tunnel

    def _fall_back(self, lost: Tunnel) -> Tunnel | None:
        """The tunnel that was being left, when the one in its place is lost so soon; None where there is none."""
        old, self._leaving = self._leaving, None
        if old is None:
            return None
        if not old.alive:
            old.close()
            return None
        lost.close()
        return old

    def _open_tunnel(self, *, compressed: bool) -> Tunnel:
        directory = self._settings.directory
        end = None
        generation = self._next_generation
        if directory is not None:
            end = directory.tunnel_socket(self._number, generation)
            # Counted up whether it opens or not: of a login that failed half-way the socket may be there.
            self._next_generation += 1
        while not self._settings.logins.acquire(timeout=LOOK_INTERVAL):
            self._closing.check()
        try:
            tunnel = self._tunnel_of(generation, end, compressed=compressed)
            self._policy.opened(generation, compressed=compressed)
            return tunnel
        finally:
            self._settings.logins.release()

    def _tunnel_of(self, generation: int, end: str | None, *, compressed: bool) -> Tunnel:
        if self._by_port:
            return self._open_port_tunnel(generation, compressed=compressed)
        if end is None:
            return self._open_watched_tunnel(generation, compressed=compressed)
        try:
            return Tunnel(self._login, self._socket, end, self._closing, compressed=compressed)
        except PreflightRefused as refused:
            try:
                tunnel = self._open_port_tunnel(generation, compressed=compressed)
            except PreflightRefused:
                raise refused from None
            self._by_port = True
            words = f"{self.disk.name}: the server forwards no Unix sockets; a port of its loopback is used"
            self._settings.tell(Status(words))
            return tunnel

    @property
    def _socket(self) -> Path:
        return self._workspace.nbd_socket(self._number)

    def _open_watched_tunnel(self, generation: int, *, compressed: bool) -> Tunnel:
        """For a server without Python: virt-v2v comes itself, to a port that any user there may connect to."""
        gate = Gate(self._workspace.gate_socket(self._number, generation), self._socket, self._waiting_room)
        try:
            tunnel = Tunnel(self._login, gate.path, None, self._closing, compressed=compressed)
        except BaseException:
            gate.close()
            raise
        tunnel.gate = gate
        return tunnel

    def _open_port_tunnel(self, generation: int, *, compressed: bool) -> Tunnel:
        """For a server that forwards no Unix sockets (AllowStreamLocalForwarding no, OpenSSH before 6.7)."""
        assert self._settings.directory
        password = Password()
        gate = Gate(self._workspace.gate_socket(self._number, generation), self._socket, password)
        try:
            tunnel = Tunnel(
                self._login,
                gate.path,
                None,
                self._closing,
                compressed=compressed,
                port_file=self._settings.directory.tunnel_port(self._number, generation),
                password=password,
            )
        except BaseException:
            gate.close()
            raise
        tunnel.gate = gate
        return tunnel
