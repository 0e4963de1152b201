"""A data connection and its thread: commands go in, frozen states and one error come out. ssh and NBD are made up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from p2v_tui.errors import ConnectionFailed, ConversionFailed, InternalError, P2VError, PreflightRefused
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data import connection_loop, tunnel_opener
from p2v_tui.session.data.connection import DataConnection
from p2v_tui.session.data.connection_state import ConnectionSettings
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Event
from tests.unit.nbd_relay_lab import wait_until
from tests.unit.test_data_path import MadeUpServer


class MadeUpGate:
    """Lets a test be the client that comes. made: the last one."""

    made: MadeUpGate
    listening = True

    def __init__(self, path: Path, server: Path, admit: Callable[[socket.socket], bool]) -> None:
        del server
        self.path = path
        self.admit = admit
        type(self).made = self

    def stop_listening(self) -> None:
        self.listening = False

    def close(self) -> None:
        self.listening = False


class MadeUpTunnel:
    """A tunnel to port 40001. made: the last one."""

    made: MadeUpTunnel
    port = 40001
    compressed = False
    alive = True
    last_words = "Connection reset"

    def __init__(self, *_: object, **__: object) -> None:
        self.gate: MadeUpGate | None = None
        type(self).made = self

    def close(self) -> None:
        if self.gate is not None:
            self.gate.close()


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataConnection]:
    """One without a relay, not started yet."""
    monkeypatch.setattr(tunnel_opener, "Gate", MadeUpGate)
    monkeypatch.setattr(tunnel_opener, "Tunnel", MadeUpTunnel)
    monkeypatch.setattr(connection_loop, "NbdServer", MadeUpServer)
    monkeypatch.setattr(connection_loop, "LOOK_INTERVAL", 0.001)
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(512))
    events: list[Event] = []
    login: Any = None
    with Workspace() as workspace:
        made = DataConnection(
            ConnectionSettings(
                disk=Disk("sda", image, 512),
                number=0,
                program="nbdkit",
                login=login,
                workspace=workspace,
                directory=None,
                retry_for=10,
                logins=threading.Semaphore(4),
                notify=events.append,
            )
        )
        yield made
        made.close()


def test_who_waits_is_published_and_is_served_when_that_is_told(connection: DataConnection) -> None:
    connection.start()
    connection.wait_until_open(Cancellation())
    assert connection.state.port == 40001
    ours, theirs = socket.socketpair()
    with ours, theirs:
        served: list[bool] = []
        client = threading.Thread(target=lambda: served.append(MadeUpGate.made.admit(ours)))
        client.start()
        wait_until(lambda: ours in connection.state.waiting, "a client")
        connection.admit(frozenset({ours}), last=True)
        client.join()
        assert served == [True]
    wait_until(lambda: not MadeUpGate.made.listening, "the end of listening")


@pytest.mark.parametrize(
    ("raised", "kind"),
    [(PreflightRefused("No NBD server."), PreflightRefused), (RuntimeError("a bug"), InternalError)],
    ids=["refused", "bug"],
)
def test_what_ends_the_thread_at_the_start_is_raised_where_it_is_waited_for(
    raised: Exception, kind: type[P2VError], connection: DataConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(connection_loop, "NbdServer", fail)
    connection.start()
    with pytest.raises(kind) as told:
        connection.wait_until_open(Cancellation())
    assert told.value is connection.state.error


def test_what_ends_it_later_is_the_conversions_failure(connection: DataConnection) -> None:
    connection.start()
    connection.wait_until_open(Cancellation())
    connection.check()
    MadeUpTunnel.made.alive = False
    wait_until(lambda: connection.state.error is not None, "the end")
    assert isinstance(connection.state.error, ConnectionFailed)
    with pytest.raises(ConversionFailed, match="The data connection of sda was lost: Connection reset"):
        connection.check()


def test_being_closed_is_no_error(connection: DataConnection) -> None:
    connection.start()
    connection.wait_until_open(Cancellation())
    before = connection.state
    connection.close()
    connection.check()
    # What was published stays as it was, whatever came after it.
    assert before.error is None
    assert not MadeUpGate.made.listening
