"""The thread of one data connection: it owns the NBD server and the tunnels, and keeps them up.

No other thread uses its objects. They send it commands, and it publishes a `ConnectionState` at each look.
"""

from __future__ import annotations

import dataclasses
import queue
import time
from collections.abc import Callable
from typing import Any, Final

from p2v_tui.errors import ConnectionFailed, ConnectionGivenUp, P2VError, PreflightRefused
from p2v_tui.session.data.connection_state import Admit, Command, ConnectionSettings, ConnectionState, Observe
from p2v_tui.session.data.disk_source import DiskSource
from p2v_tui.session.data.nbd_server import NbdServer
from p2v_tui.session.data.tunnel import Tunnel
from p2v_tui.session.data.tunnel_opener import TunnelOpener
from p2v_tui.session.data.tunnel_policy import STALL, Observation, TunnelPolicy
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import ConnectionLost, ConnectionRestored, Happened, StillLost

# How often it looks at the tunnel, the NBD server and the commands, in seconds.
LOOK_INTERVAL: Final = 0.25
# How long an old tunnel stays open beside a new one, in seconds: the relay has to notice the new one.
OVERLAP: Final = 10.0


class ConnectionLoop:
    """A context manager, made and left in its thread: the NBD server dies with the thread that started it.

    source: the disk as it was at the beginning. closing: ends the loop at any point. publish: called with each new
    state.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        source: DiskSource,
        commands: queue.SimpleQueue[Command],
        *,
        closing: Cancellation,
        publish: Callable[[ConnectionState], None],
    ) -> None:
        self._settings = settings
        self._source = source
        self._commands = commands
        self._closing = closing
        self._publish = publish
        self._state = ConnectionState()
        self._opener = TunnelOpener(settings, closing)
        self._policy = TunnelPolicy(settings.disk.name, settings.notify)
        # The newest observation, until it is handled; and whether virt-v2v waited for data in the last handled one.
        self._pending: Observation | None = None
        self._data_wanted = True
        # The present tunnel; the one before it while the relay moves over, and when that one is closed.
        self._tunnel: Tunnel | None = None
        self._leaving: Tunnel | None = None
        self._leaves_at = 0.0
        workspace, number = settings.workspace, settings.number
        self._server = NbdServer(
            settings.program, settings.disk.device, workspace.nbd_socket(number), workspace.nbd_log(number), closing
        )

    def __enter__(self) -> ConnectionLoop:
        return self

    def __exit__(self, *_: object) -> None:
        for tunnel in (self._leaving, self._tunnel):
            if tunnel is not None:
                tunnel.close()
        self._server.close()

    def _show(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self._publish(self._state)

    def run(self, opened: Callable[[], None]) -> None:
        """Opens the connection and keeps it up. opened: called when it is open.

        Raises Cancelled when it is closed, ConversionFailed when the disk has changed, and the errors that are not
        retried: ConnectionFailed, PreflightRefused.
        """
        tunnel = self._use(self._try_to_open(compressed=False))
        opened()
        while True:
            self._look_after(LOOK_INTERVAL)
            if not tunnel.alive:
                tunnel = self._use(self._fall_back(tunnel) or self._open_again(tunnel))
            elif self._leaving is not None:
                # Observations wait until one tunnel is left.
                self._leave_when_moved(self._leaving)
            elif self._pending is not None:
                tunnel = self._use(self._handle(self._pending, tunnel))

    def _use(self, tunnel: Tunnel) -> Tunnel:
        self._tunnel = tunnel
        self._show(port=tunnel.port)
        return tunnel

    def _look_after(self, seconds: float) -> None:
        """Waits, keeps the NBD server running and obeys commands. Raises Cancelled when closed.

        Raises ConversionFailed once the disk has changed.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._source.check()
            self._obey()
            words = self._server.last_words if not self._server.running else ""
            try:
                if self._server.start_again(wanted=self._data_wanted):
                    ended = f"The NBD server of {self._settings.disk.name} ended ({words}); it was started again"
                    self._settings.notify(Happened(ended))
            except P2VError:
                self._source.check()
                raise
            self._show(
                bytes_served=self._server.bytes_served,
                read_error=self._server.read_error,
                waiting=self._opener.waiting_room.waiting,
            )
            left = deadline - time.monotonic()
            self._closing.wait(max(0.0, min(left, LOOK_INTERVAL)))
            if left <= 0:
                return

    def _obey(self) -> None:
        while not self._commands.empty():
            match self._commands.get():
                case Observe(observation):
                    self._pending = observation
                case Admit(clients, last):
                    self._opener.waiting_room.admit(clients)
                    if last and self._tunnel is not None and self._tunnel.gate is not None:
                        self._tunnel.gate.stop_listening()

    def _handle(self, seen: Observation, tunnel: Tunnel) -> Tunnel:
        """Handles what the relay says. Returns the tunnel to use from now on, which may be a new one."""
        self._pending = None
        self._data_wanted = seen.relay.silent > 0
        hangs = seen.relay.stalled > STALL and not self._server.answers()
        self._show(hangs=hangs)
        compressed = self._policy.observe(seen, server_hangs=hangs)
        if compressed is not None and self._settings.directory is not None:
            tunnel = self._replace(tunnel, compressed=compressed)
        self._show(observed=seen)
        return tunnel

    def _leave_when_moved(self, leaving: Tunnel) -> None:
        seen = self._pending
        moved = seen is not None and seen.relay.generation == self._policy.newest
        if moved or time.monotonic() >= self._leaves_at or not leaving.alive:
            leaving.close()
            self._leaving = None

    def _open_again(self, lost: Tunnel) -> Tunnel:
        reason = f"{lost.last_words}."
        lost.close()
        if self._settings.directory is None:
            raise ConnectionFailed(reason, "Check the network between the two machines and convert again.")
        since = time.monotonic()
        self._show(lost=True)
        self._settings.notify(ConnectionLost(self._settings.connection, reason, self._settings.retry_for))
        tunnel = self._try_to_open(compressed=lost.compressed)
        self._show(lost=False, reopened=self._state.reopened + 1)
        self._settings.notify(ConnectionRestored(self._settings.connection, time.monotonic() - since))
        return tunnel

    def _try_to_open(self, *, compressed: bool) -> Tunnel:
        """Tries to open the tunnel until it succeeds. The control connection got in, so a refusal may pass."""
        try:
            return open_again(
                lambda: self._open(compressed=compressed),
                retry_for=self._settings.retry_for,
                wait=self._look_after,
                on_failure=lambda error: self._settings.notify(StillLost(self._settings.connection, error.message)),
                let_in_before=True,
            )
        except ConnectionFailed as error:
            raise ConnectionGivenUp(error.message, error.advice, setting=error.setting) from error

    def _open(self, *, compressed: bool) -> Tunnel:
        tunnel = self._opener.open(compressed=compressed)
        self._policy.opened(self._opener.generation, compressed=compressed)
        return tunnel

    def _replace(self, old: Tunnel, *, compressed: bool) -> Tunnel:
        """Opens another tunnel beside the present one, which stays until the relay has had time to move over.

        If that fails, returns the present one: nothing is lost.
        """
        try:
            new = self._open(compressed=compressed)
        except (ConnectionFailed, PreflightRefused):
            return old
        self._leaving, self._leaves_at = old, time.monotonic() + OVERLAP
        return new

    def _fall_back(self, lost: Tunnel) -> Tunnel | None:
        """The old tunnel, if it is still open when its replacement is lost; else None."""
        old, self._leaving = self._leaving, None
        if old is None:
            return None
        if not old.alive:
            old.close()
            return None
        lost.close()
        return old
