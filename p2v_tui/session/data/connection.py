"""One disk's way to virt-v2v: a read-only NBD server here, and an ssh tunnel from the conversion server to it.

A thread (`connection_loop.py`) keeps both up: it restarts an NBD server that has died and reopens a lost tunnel. The
relay on the server (`relay/`) hides that from virt-v2v; without a relay the tunnel ends in a port, and the conversion
fails when it is lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from p2v_tui.errors import Cancelled, ConversionFailed, as_failure
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data.connection_loop import LOOK_INTERVAL, ConnectionLoop
from p2v_tui.session.data.connection_state import Admit, Command, ConnectionSettings, ConnectionState, Observe
from p2v_tui.session.data.disk_source import DiskSource
from p2v_tui.session.data.tunnel_policy import Observation
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Event


class DataConnection:
    """The NBD server and the tunnel of one disk, as other threads see them. Call `start`, and `close` at the end.

    state: what the thread published last, replaced as a whole. It includes the error that ended the thread.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.disk = settings.disk
        self.state = ConnectionState()
        self._settings = settings
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._closing = Cancellation()
        # Set when the connection is open, or when opening it has failed for good.
        self._opened = threading.Event()
        self._source = DiskSource(settings.disk.name, settings.disk.device)
        self._thread = threading.Thread(target=self._work, name=f"data connection {settings.number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_until_open(self, cancellation: Cancellation, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Raises what went wrong: PreflightRefused, ConnectionFailed; or Cancelled. meanwhile: called often."""
        while not self._opened.wait(LOOK_INTERVAL):
            cancellation.check()
            meanwhile()
        cancellation.check()
        if (error := self.state.error) is not None:
            raise error

    def wait_until_whole(self, cancellation: Cancellation, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Like `wait_until_open`, for a connection that was open and was lost."""
        while (state := self.state).lost and state.error is None:
            cancellation.wait(LOOK_INTERVAL)
            meanwhile()
        if state.error is not None:
            raise state.error

    def check(self) -> None:
        """Raises ConversionFailed once the connection has been given up, with the reason."""
        error = self.state.error
        if isinstance(error, ConversionFailed):
            raise error
        if error is not None:
            raise ConversionFailed(f"The data connection of {self.disk.name} was lost: {error.message}", error.advice)

    def check_source(self) -> None:
        """Raises ConversionFailed if the disk has changed since the beginning (`disk_source.py`)."""
        self._source.check()

    def observe(self, observation: Observation) -> None:
        """Takes what the relay says."""
        self._commands.put(Observe(observation))

    def admit(self, clients: frozenset[socket.socket], *, last: bool) -> None:
        """Serves the disk to these clients. last: and to no others, ever."""
        self._commands.put(Admit(clients, last))

    def cancel(self) -> None:
        """Asks for the end; `close` waits for it."""
        self._closing.cancel()

    def close(self) -> None:
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join()

    def _publish(self, state: ConnectionState) -> None:
        self.state = state

    def _work(self) -> None:
        with contextlib.ExitStack() as stack:
            try:
                loop = ConnectionLoop(
                    self._settings, self._source, self._commands, closing=self._closing, publish=self._publish
                )
                stack.enter_context(loop).run(self._opened.set)
            except Cancelled:
                pass
            except Exception as error:
                # Published before the tunnels are closed, which may take some seconds.
                self._publish(dataclasses.replace(self.state, error=as_failure(error)))
            finally:
                self._opened.set()


class MakeConnection(Protocol):
    """Makes a data connection that is not open yet: `ConnectionMaker`."""

    def __call__(
        self,
        disk: Disk,
        number: int,
        *,
        directory: RemoteDirectory | None,
        notify: Callable[[Event], None],
        generation: int,
    ) -> DataConnection: ...
