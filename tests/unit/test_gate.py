"""The gate before an NBD server: who gets through, and that nobody else gets a byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.session.data import gate as gate_module
from p2v_tui.session.data.gate import Gate, Password, WaitingRoom

GREETING = b"NBDMAGICIHAVEOPT"
SECONDS = 20


class Echo:
    """Stands for the NBD server: speaks first, then says what it hears."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clients = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self.clients += 1
            with client:
                client.sendall(GREETING)
                while data := client.recv(65536):
                    client.sendall(data)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Echo]:
    made = Echo(tmp_path / "nbd.sock")
    yield made
    made.close()


def connect(gate: Gate) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS)
    try:
        client.connect(str(gate.path))
    except OSError:
        client.close()
        raise
    return client


def receive(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := client.recv(count - len(data))):
        data += more
    return data


def test_a_client_that_knows_the_password_is_answered_and_served(tmp_path: Path, server: Echo) -> None:
    password = Password()
    gate = Gate(tmp_path / "gate.sock", server.path, password)
    with connect(gate) as client:
        client.sendall(password.question.encode())
        assert receive(client, len(password.answer)) == password.answer.encode()
        assert receive(client, len(GREETING)) == GREETING
        sent = bytes(range(256)) * 4096
        threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
        assert receive(client, len(sent)) == sent
    gate.close()


@pytest.mark.parametrize("said", [b"", b"x", b"x" * 32, b"IHAVEOPT" * 100])
def test_a_stranger_gets_no_byte(tmp_path: Path, server: Echo, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "_SECRET_SECONDS", 0.2)
    gate = Gate(tmp_path / "gate.sock", server.path, Password())
    with connect(gate) as client:
        client.sendall(said)
        # It is a reset where not all that he said was read.
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert server.clients == 0
    gate.close()


def test_a_waiting_client_is_sent_nothing_until_it_is_admitted(tmp_path: Path, server: Echo) -> None:
    room = WaitingRoom()
    gate = Gate(tmp_path / "gate.sock", server.path, room)
    with connect(gate) as first:
        while not room.waiting:
            pass
        looked_at = room.waiting
        with connect(gate) as second:
            while len(room.waiting) < 2:
                pass
            room.admit(looked_at)
            assert receive(first, len(GREETING)) == GREETING
            assert len(room.waiting) == 1
            second.settimeout(0.2)
            with pytest.raises(TimeoutError):
                second.recv(1)
        # Who goes waits no more.
        while room.waiting:
            pass
    gate.close()


def test_an_admitted_client_stays_connected_when_no_others_are_admitted(tmp_path: Path, server: Echo) -> None:
    password = Password()
    gate = Gate(tmp_path / "gate.sock", server.path, password)
    with connect(gate) as client:
        client.sendall(password.question.encode())
        receive(client, len(password.answer) + len(GREETING))
        gate.stop_listening()
        with pytest.raises(OSError):
            connect(gate)
        client.sendall(b"ping")
        assert receive(client, 4) == b"ping"
        gate.close()
        assert receive(client, 1) == b""
