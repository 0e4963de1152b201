"""What the tests of the NBD relay stand on: the relay as the process it is in life, and the two ends beside it.

`RunningRelay` is the relay, `ScriptedServer` an NBD server that does what a test tells it to, `RealServer` nbdkit or
qemu-nbd, `Tunnel` a tunnel that can be cut after so many bytes, `RelayClient` a client that can do wrong.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from p2v_tui.session.data import relay_program
from p2v_tui.session.data.relay import handshake, nbd
from tests.lab.waiting import happens

# The Python that runs the relay; another one can be named.
PYTHON = os.environ.get("P2V_RELAY_PYTHON", sys.executable)
TIMEOUT = 20.0
READ_ONLY_FLAGS = 0b11
MIB = 1 << 20


@functools.cache
def relay_file() -> Path:
    """The relay as it is sent to a server."""
    directory = tempfile.TemporaryDirectory(prefix="relay-")
    atexit.register(directory.cleanup)
    file = Path(directory.name) / "nbd_relay.pyz"
    file.write_bytes(relay_program.zipapp())
    return file


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait for something of another process that has no event for us. Fails after TIMEOUT seconds."""
    assert happens(true, TIMEOUT), f"not within {TIMEOUT:.0f} s: {what}"


@dataclass(frozen=True)
class DiskStatus:
    """One disk of relay.status."""

    port: int
    generation: int
    size: int | None
    state: str
    reason: str
    cause: str
    relayed: int
    distinct: int
    reconnects: int
    silent: int
    stalled: int
    failures: int
    failure: dict[str, int] | None


# With root and directory: what is mounted goes with the process.
_INSIDE = """mount --rbind /proc "$1/proc"; mount --bind "$2" "$1/mnt"; root=$1; shift 2
exec chroot "$root" sh -c 'cd /mnt && exec python3 -I "$0" "$@"' "$0" "$@" """


class RunningRelay:
    """The relay as a process of its own, in a directory of the test's. Ended on leaving, if it has not ended itself.

    splice: whether it finds os.splice, as Python 3.10 and later have it.
    root: of another system, whose Python runs it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        disks: int = 1,
        seconds: float = 60,
        many_clients: bool = False,
        splice: bool = True,
        root: Path | None = None,
    ) -> None:
        self.directory = directory
        arguments = [str(directory), str(disks), f"{seconds:g}", *(["--many-clients"] if many_clients else [])]
        command = [PYTHON, "-I", str(relay_file()), *arguments]
        if root is not None:
            (directory / relay_file().name).write_bytes(relay_file().read_bytes())
            arguments[0] = "."
            command = ["unshare", "--mount", "sh", "-ec", _INSIDE, relay_file().name, str(root), str(directory)]
            command += arguments
        if not splice:
            script = (
                "import os, runpy, sys; vars(os).pop('splice', None); sys.argv = sys.argv[1:];"
                "runpy.run_path(sys.argv[0], run_name='__main__')"
            )
            command = [PYTHON, "-I", "-c", script, str(relay_file()), *arguments]
        self._log = directory / "relay.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, umask=0o022
            )
        wait_until(lambda: self.status_file.exists() or self.process.poll() is not None, "a first status")

    @property
    def status_file(self) -> Path:
        return self.directory / "relay.status"

    @property
    def status(self) -> DiskStatus:
        return self.status_of(0)

    def status_of(self, disk: int) -> DiskStatus:
        entries: list[dict[str, Any]] = json.loads(self.status_file.read_text())["disks"]
        return DiskStatus(**entries[disk])

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def port(self) -> int:
        return self.status.port

    def wait_for(self, true: Callable[[DiskStatus], object]) -> DiskStatus:
        """Wait until the status of the first disk is so."""
        try:
            wait_until(lambda: true(self.status), "a change of the status")
        except AssertionError as error:
            error.add_note(f"{self.status}\n{self.log}")
            raise
        return self.status

    def wait_for_end(self) -> int:
        """The exit code; nothing may have been printed."""
        code = self.process.wait(TIMEOUT)
        assert self.process.stdout is not None
        assert self.process.stdout.read() == b""
        return code

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait_for_end()

    def socket(self, generation: int, disk: int = 0) -> Path:
        """Where the tunnel of this generation ends."""
        return self.directory / f"disk{disk}.{generation}.sock"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


# ---- The server's end


@dataclass(frozen=True)
class Asked:
    """A request as the server got it."""

    command: int
    cookie: int
    offset: int
    length: int


class ServedConnection:
    """A connection to ScriptedServer, for the script: it knows the image, and how a good server speaks."""

    def __init__(self, connection: socket.socket, image: bytes) -> None:
        self.socket = connection
        self.image = image

    def receive(self, count: int) -> bytes:
        """Exactly so many bytes. Raises ConnectionError when the other side goes."""
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def greet(self) -> None:
        self.socket.sendall(nbd.GREETING.pack(nbd.INIT_MAGIC, nbd.OPTION_MAGIC, nbd.FLAG_FIXED_NEWSTYLE | 2))
        self.receive(4)

    def shake_hands(self) -> None:
        """Up to the point where requests come."""
        self.greet()
        while True:
            _, option, length = nbd.OPTION.unpack(self.receive(nbd.OPTION.size))
            self.receive(length)
            if option == nbd.OPT_EXPORT_NAME:
                self.socket.sendall(nbd.EXPORT.pack(len(self.image), READ_ONLY_FLAGS))
                return
            if option == nbd.OPT_GO:
                information = nbd.INFO_EXPORT.pack(0, len(self.image), READ_ONLY_FLAGS)
                self.socket.sendall(
                    nbd.packed_answer(option, nbd.REP_INFO, information) + nbd.packed_answer(option, nbd.REP_ACK)
                )
                return
            self.socket.sendall(nbd.packed_answer(option, nbd.REP_ERR_UNSUP))

    def asked(self) -> Asked:
        """The next request. Raises ConnectionError at the end, or when the client says goodbye."""
        _, _, command, cookie, offset, length = nbd.REQUEST.unpack(self.receive(nbd.REQUEST.size))
        if command == nbd.CMD_DISC:
            raise Goodbye
        return Asked(command, cookie, offset, length)

    def reply(self, asked: Asked, *, error: int = 0, cut: int | None = None) -> None:
        """Answer; cut: only so many bytes of the data."""
        header = nbd.REPLY.pack(nbd.REPLY_MAGIC, error, asked.cookie)
        data = b""
        if asked.command == nbd.CMD_READ and not error:
            data = self.image[asked.offset : asked.offset + asked.length]
        self.socket.sendall(header + data[:cut])

    def serve(self) -> None:
        """Answer all requests that come."""
        while True:
            self.reply(self.asked())


class Goodbye(ConnectionError):
    """The client took its leave as it should."""


Script = Callable[[ServedConnection], None]


def well_behaved(connection: ServedConnection) -> None:
    connection.shake_hands()
    connection.serve()


class ScriptedServer:
    """An NBD server on a Unix socket that follows the script on each connection, then closes it.

    goodbyes: how many clients took their leave in order.
    """

    def __init__(self, path: Path, image: bytes, script: Script = well_behaved) -> None:
        self.goodbyes = 0
        self._image = image
        self._script = script
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        # Made elsewhere and moved: the relay would be refused between bind and listen, and pause.
        made = path.with_suffix(".new")
        self._listener.bind(str(made))
        self._listener.listen()
        made.rename(path)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._follow, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _follow(self, connection: socket.socket) -> None:
        try:
            self._script(ServedConnection(connection, self._image))
        except Goodbye:
            self.goodbyes += 1
        except OSError:
            pass
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End all connections; the socket's file stays, as after a tunnel that died."""
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT)
        for one in (self._listener, *self._connections):
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RealServer:
    """nbdkit or qemu-nbd with an image on a Unix socket."""

    def __init__(self, program: str, image: Path, path: Path) -> None:
        if program == "nbdkit":
            command = ["nbdkit", "--foreground", "--readonly", "--threads=16", f"--unix={path}", "file", str(image)]
        else:
            command = ["qemu-nbd", "--read-only", "--persistent", "--shared=0", "--format=raw"]
            command += [f"--socket={path}", str(image)]
        self.path = path
        # Their complaints are what the tests are about.
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self._answers, f"{program} on {path}")

    def _answers(self) -> bool:
        assert self._process.poll() is None
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            if client.recv(nbd.GREETING.size).startswith(nbd.INIT_MAGIC):
                # nbdkit 1.32 may die of a client that leaves without a word.
                client.sendall(struct.pack(">I", 3) + handshake.Option(nbd.OPT_ABORT, b"").packed)
                client.recv(nbd.ANSWER.size)
                return True
        return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Tunnels:
    """Tunnels that die one after the other: each after so many bytes, together with the real server behind it.

    cuts: bytes from the server after which each dies; then comes the next generation, and the last one stays.
    """

    def __init__(self, relay: RunningRelay, program: str, image: Path, cuts: Sequence[int]) -> None:
        self._relay = relay
        self._program = program
        self._image = image
        self._cuts = list(cuts)
        self._generation = 0
        self._open = contextlib.ExitStack()
        self._over = threading.Event()
        self._next()

    def _cut(self) -> None:
        self._next()
        # nbdkit dies with the thread that started it.
        self._over.wait()

    def _next(self) -> None:
        self._generation += 1
        path = self._relay.directory / f"server.{self._generation}"
        server = self._open.enter_context(RealServer(self._program, self._image, path))
        if not self._cuts:
            path.rename(self._relay.socket(self._generation))
            return
        cut = self._cuts.pop(0)
        self._open.enter_context(
            contextlib.closing(_Tunnel(self._relay.socket(self._generation), server, cut, self._cut))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._open.close()


class _Tunnel:
    """Passes bytes from the relay's side to a server and back, until it is cut; then `after` is called."""

    def __init__(self, path: Path, server: RealServer, cut: int, after: Callable[[], None]) -> None:
        self._server = server
        self._left = cut
        self._after = after
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        made = path.with_suffix(".new")
        self._listener.bind(str(made))
        self._listener.listen()
        made.rename(path)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(str(self._server.path))
                self._sockets += [here, there]
                threading.Thread(target=self._forward, args=(here, there), daemon=True).start()
                threading.Thread(target=self._back, args=(there, here), daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _back(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    cut = 0 < self._left <= len(data)
                    passed = data[: self._left]
                    self._left -= len(passed)
                sink.sendall(passed)
                if cut:
                    self.close()
                    self._server.kill()
                    self._after()
                    return
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


# ---- The client's end


class ExportRefused(Exception):
    """The server, or the relay in its place, does not let the client have the disk."""


class RelayClient:
    """A client of the relay that says what it is told to. size: bytes, once it has shaken hands."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.size = 0
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT)

    def receive(self, count: int) -> bytes:
        """Exactly so many bytes. Raises ConnectionError when the relay hangs up."""
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(min(MIB, count - len(data)))
            if not part:
                raise ConnectionError("the relay closed the connection")
            data += part
        return bytes(data)

    def hangs_up(self) -> bool:
        """Whether the relay closes the connection without another word."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def greet(self) -> None:
        assert self.receive(nbd.GREETING.size).startswith(nbd.INIT_MAGIC)
        self.socket.sendall(struct.pack(">I", 3))

    def option(self, number: int, data: bytes = b"") -> int:
        """Ask for an option. Returns the type of the answer's last part."""
        self.socket.sendall(handshake.Option(number, data).packed)
        while True:
            magic, answered, kind, length = nbd.ANSWER.unpack(self.receive(nbd.ANSWER.size))
            assert (magic, answered) == (nbd.ANSWER_MAGIC, number)
            information = self.receive(length)
            if kind == nbd.REP_INFO and length == nbd.INFO_EXPORT.size:
                self.size = nbd.INFO_EXPORT.unpack(information)[1]
            if kind == nbd.REP_ACK or kind & nbd.REP_ERROR:
                return int(kind)

    def shake_hands(self) -> Self:
        self.greet()
        if self.option(nbd.OPT_GO, struct.pack(">IH", 0, 0)) != nbd.REP_ACK:
            raise ExportRefused
        return self

    def request(self, command: int, cookie: int, offset: int = 0, length: int = 0, data: bytes = b"") -> None:
        self.socket.sendall(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, command, cookie, offset, length) + data)

    def reply(self) -> tuple[int, int]:
        """The error and the cookie of the next reply."""
        magic, error, cookie = nbd.REPLY.unpack(self.receive(nbd.REPLY.size))
        assert magic == nbd.REPLY_MAGIC
        return error, cookie

    def read(self, offset: int, length: int, cookie: int = 7) -> bytes:
        self.request(nbd.CMD_READ, cookie, offset, length)
        assert self.reply() == (0, cookie)
        return self.receive(length)

    def refused(self, command: int, length: int = 4096, data: bytes = b"") -> int:
        """The error that a request is answered with."""
        self.request(command, 9, 0, length, data)
        error, cookie = self.reply()
        assert cookie == 9
        return error

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def virt_v2v_reader(port: int, directory: Path) -> Iterator[str]:
    """What virt-v2v 2.x reads a disk through; the URI for nbdcopy."""
    path = directory / "in"
    command = ["nbdkit", "--foreground", f"--unix={path}", "--threads=16", "--filter=cow"]
    command += ["nbd", "hostname=localhost", f"port={port}", "shared=true"]
    with subprocess.Popen(command) as nbdkit:
        try:
            wait_until(path.exists, "nbdkit")
            yield f"nbd+unix:///?socket={path}"
        finally:
            nbdkit.terminate()


def random_image(path: Path, size: int) -> bytes:
    data = os.urandom(size)
    path.write_bytes(data)
    return data
