"""Guards an NBD server here whose tunnel ends in a port over there, which any local user may connect to.

A client gets not one byte of the disk before it is admitted. The relay says a secret and hears another one, which
exposes a stranger who listens on the port after the tunnel is lost. For virt-v2v itself, the conversion server is
asked which user holds the other end.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

_SECRET_BYTES: Final = 16
# How long a client may take to say the secret, in seconds; and how many may try at once.
_SECRET_SECONDS: Final = 10.0
_MAX_CLIENTS: Final = 32
_BUFFER: Final = 256 * 1024
_LOOK_SECONDS: Final = 0.5

Admission = Callable[[socket.socket], bool]


class Gate:
    """Listens on the Unix socket `path`, and connects admitted clients to the one at `server`."""

    def __init__(self, path: Path, server: Path, admit: Admission) -> None:
        self.path = path
        self._server = server
        self._admit = admit
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            path.unlink(missing_ok=True)
            self._listener.bind(str(path))
            self._listener.listen(_MAX_CLIENTS)
        except OSError:
            self._listener.close()
            raise
        threading.Thread(target=self._accept, name="gate", daemon=True).start()

    def stop_listening(self) -> None:
        """Refuses new clients; present ones stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self.stop_listening()
        for each in list(self._open):
            _hang_up(each)

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            if len(self._open) >= 2 * _MAX_CLIENTS or not self._keep(client):
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), name="gate client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            if self._admit(client) and self._keep(server):
                server.connect(str(self._server))
                back = threading.Thread(target=_pump, args=(server, client), name="gate replies", daemon=True)
                back.start()
                _pump(client, server)
                back.join()
        except OSError:
            pass  # One side has hung up; the other notices.
        finally:
            with self._lock:
                self._open -= {client, server}
            client.close()
            server.close()

    def _keep(self, each: socket.socket) -> bool:
        with self._lock:
            if not self._closed:
                self._open.add(each)
            return not self._closed


class Password:
    """Admits a client that says `question`; the `answer` proves to it that we heard it."""

    def __init__(self) -> None:
        self.question = secrets.token_hex(_SECRET_BYTES)
        self.answer = secrets.token_hex(_SECRET_BYTES)

    def __call__(self, client: socket.socket) -> bool:
        client.settimeout(_SECRET_SECONDS)
        said = b""
        while len(said) < len(self.question):
            more = client.recv(len(self.question) - len(said))
            if not more:
                return False
            said += more
        if not hmac.compare_digest(said, self.question.encode()):
            return False
        client.sendall(self.answer.encode())
        client.settimeout(None)
        return True


class WaitingRoom:
    """Holds clients until `admit` is called for them; until then they are told nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, threading.Event] = {}

    def __call__(self, client: socket.socket) -> bool:
        admitted = threading.Event()
        with self._lock:
            self._waiting[client] = admitted
        try:
            while not admitted.wait(_LOOK_SECONDS):
                if _has_gone(client):
                    return False
            return True
        finally:
            with self._lock:
                self._waiting.pop(client, None)

    @property
    def waiting(self) -> frozenset[socket.socket]:
        """Those who wait now, without those who come later."""
        with self._lock:
            return frozenset(self._waiting)

    def admit(self, clients: frozenset[socket.socket]) -> None:
        with self._lock:
            for client in clients & self._waiting.keys():
                self._waiting[client].set()


def _has_gone(client: socket.socket) -> bool:
    readable, _, _ = select.select([client], [], [], 0)
    # In NBD the server speaks first, so a client that speaks now is not worth waiting for.
    return bool(readable) and not client.recv(1, socket.MSG_PEEK)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(_BUFFER):
            sink.sendall(data)
    except OSError:
        pass  # As good as an end.
    finally:
        _hang_up(sink)
        _hang_up(source)


def _hang_up(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
