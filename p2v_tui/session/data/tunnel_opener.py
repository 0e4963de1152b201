"""Opens the tunnels of one data connection, each with a new generation, in the way that the server allows.

To a Unix socket where the relay waits; to a port behind a gate where the server forwards no Unix sockets; to a port
for virt-v2v itself where no relay can run.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from p2v_tui.errors import PreflightRefused
from p2v_tui.session.data.connection_state import ConnectionSettings
from p2v_tui.session.data.gate import Gate, Password, WaitingRoom
from p2v_tui.session.data.tunnel import Tunnel
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Status

# How often a wait for a login slot checks for a cancellation, in seconds.
LOOK_INTERVAL: Final = 0.25


class TunnelOpener:
    """Belongs to the thread of one data connection. generation: of the last attempt.

    closing: ends a login. waiting_room: holds virt-v2v and strangers that connect to a port without a relay.
    """

    def __init__(self, settings: ConnectionSettings, closing: Cancellation) -> None:
        self.waiting_room = WaitingRoom()
        self.generation = settings.generation
        self._settings = settings
        self._closing = closing
        self._next = settings.generation
        # Whether the server forwards only ports, no Unix sockets.
        self._by_port = False

    def open(self, *, compressed: bool) -> Tunnel:
        """Raises ConnectionFailed, PreflightRefused (forwarding is forbidden) or Cancelled."""
        self.generation = self._next
        if self._settings.directory is not None:
            # Also after a failure: a login that failed half-way may have left its socket there.
            self._next += 1
        logins: threading.Semaphore = self._settings.logins
        while not logins.acquire(timeout=LOOK_INTERVAL):
            self._closing.check()
        try:
            return self._open(self._settings.directory, compressed=compressed)
        finally:
            logins.release()

    def _open(self, directory: RemoteDirectory | None, *, compressed: bool) -> Tunnel:
        if directory is None:
            return self._open_for_virt_v2v(compressed=compressed)
        if self._by_port:
            return self._open_to_port(directory, compressed=compressed)
        end = directory.tunnel_socket(self._settings.number, self.generation)
        try:
            return Tunnel(self._settings.login, self._socket, end, self._closing, compressed=compressed)
        except PreflightRefused as refused:
            try:
                tunnel = self._open_to_port(directory, compressed=compressed)
            except PreflightRefused:
                raise refused from None
            self._by_port = True
            name = self._settings.disk.name
            self._settings.notify(
                Status(f"{name}: the server forwards no Unix sockets; a port of its loopback is used")
            )
            return tunnel

    @property
    def _socket(self) -> Path:
        return self._settings.workspace.nbd_socket(self._settings.number)

    @property
    def _gate_socket(self) -> Path:
        return self._settings.workspace.gate_socket(self._settings.number, self.generation)

    def _open_for_virt_v2v(self, *, compressed: bool) -> Tunnel:
        """For a server without Python: virt-v2v connects to the port itself, as any user there may."""
        gate = Gate(self._gate_socket, self._socket, self.waiting_room)
        try:
            tunnel = Tunnel(self._settings.login, gate.path, None, self._closing, compressed=compressed)
        except BaseException:
            gate.close()
            raise
        tunnel.gate = gate
        return tunnel

    def _open_to_port(self, directory: RemoteDirectory, *, compressed: bool) -> Tunnel:
        """For a server that forwards no Unix sockets (AllowStreamLocalForwarding no, OpenSSH before 6.7)."""
        password = Password()
        gate = Gate(self._gate_socket, self._socket, password)
        try:
            tunnel = Tunnel(
                self._settings.login,
                gate.path,
                None,
                self._closing,
                compressed=compressed,
                port_file=directory.tunnel_port(self._settings.number, self.generation),
                password=password,
            )
        except BaseException:
            gate.close()
            raise
        tunnel.gate = gate
        return tunnel
