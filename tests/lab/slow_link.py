"""A long, slow or broken way to the conversion server: a TCP proxy on loopback whose port is given as the server's.

    with SlowLink(server.port, delay=0.010, rate=12_500_000) as link:  # 20 ms there and back, 100 Mbit/s
        ... p2v.port={link.port} ...
        link.drop(); link.hold(); link.release(); link.refuse(); link.accept()

It simulates what a network does to whole connections: delay, rate, reset, silence, refusal, half-closed ends. It does
not simulate what happens to single packets (loss, reordering): TCP hides that from programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar, cast

from tests.lab.commands import LabFailure

LOOPBACK: Final = "127.0.0.1"
# How much may be in flight before the sender has to wait: a router's queue, in seconds at the link's rate; without a
# rate more than any program here sends in one delay.
QUEUE_SECONDS: Final = 0.05
QUEUE_BYTES: Final = 64 << 20
# The kernel's own queues on both sides come on top, and would hold seconds of a slow link.
_SOCKET_BUFFER: Final = 128 << 10
# Small, so that on a slow link nothing waits long behind a piece of another connection.
_PACKET: Final = 16 << 10
_BACKLOG: Final = 100
_CALL_SECONDS: Final = 20.0
# On, 0 seconds: a close then sends a reset and drops unsent data.
_LINGER: Final = struct.pack("ii", 1, 0)

T = TypeVar("T")


class Lane:
    """One direction of the link, shared by all connections. delay: in seconds. rate: bytes a second, or None."""

    def __init__(self, delay: float, rate: float | None) -> None:
        self.delay = delay
        self.rate = rate
        self.passed = 0
        self._free = 0.0

    @property
    def queue(self) -> int:
        """How many bytes of a connection may be in flight."""
        return QUEUE_BYTES if self.rate is None else int(self.rate * (QUEUE_SECONDS + self.delay))

    def arrival(self, sent: float, size: int) -> float:
        """When a piece sent at that time arrives completely. It occupies the lane as long as the rate requires."""
        self.passed += size
        if self.rate is not None:
            sent = self._free = max(sent, self._free) + size / self.rate
        return sent + self.delay


class SlowLink:
    """A context manager. port: where to connect instead of to `target_port` on loopback.

    delay: seconds in each direction; a connection takes a round trip to open, as it does on a network. rate: bytes a
    second in each direction, None for no limit. All methods may be called from any thread.
    """

    def __init__(self, target_port: int, *, delay: float = 0.0, rate: float | None = None) -> None:
        self.port = 0
        self._target_port = target_port
        self._there, self._back = Lane(delay, rate), Lane(delay, rate)
        self._held = False
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        # Bound, but never listening: it keeps the port for us while nothing listens there.
        self._reserved = _socket()
        self._reserved.bind((LOOPBACK, 0))
        self.port = self._reserved.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow link", daemon=True)
        self._thread.start()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_SECONDS)
        self._loop.close()
        self._reserved.close()

    def connections(self) -> int:
        """How many are open now."""

        async def count() -> int:
            return len(self._connections)

        return self._do(count())

    def passed(self) -> tuple[int, int]:
        """Bytes received so far: for the server, and from it."""

        async def count() -> tuple[int, int]:
            return self._there.passed, self._back.passed

        return self._do(count())

    def drop(self) -> int:
        """Ends every connection at once with a reset to both sides; returns how many."""
        return self._do(self._drop())

    def hold(self) -> None:
        """Silence: nothing passes and nothing is closed. New connections get no answer until `release`."""
        self._do(self._set_held(True))

    def release(self) -> None:
        """Ends the silence: delayed data arrives, complete and in order."""
        self._do(self._set_held(False))

    def refuse(self) -> None:
        """Refuses new connections; the present ones continue."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Takes new connections again."""
        self._do(self._accept())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_SECONDS)
        except TimeoutError as error:
            raise LabFailure("The slow link hangs.") from error

    async def _accept(self) -> None:
        if self._server is None:
            listener = _socket()
            listener.bind((LOOPBACK, self.port))
            if self._there.rate is not None:
                _limit_buffers(listener)
            self._server = await self._loop.create_server(self._connect, sock=listener, backlog=_BACKLOG)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _set_held(self, held: bool) -> None:
        self._held = held
        for connection in self._connections:
            connection.hold(held)

    async def _drop(self) -> int:
        dropped = list(self._connections)
        for connection in dropped:
            connection.reset()
        # A transport closes in the loop's next turn.
        await asyncio.sleep(0)
        return len(dropped)

    async def _end(self) -> None:
        await self._refuse()
        await self._drop()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def _connect(self) -> _End:
        connection = _Connection(self._target_port, self._there, self._back, self._held, self._connections)
        self._connections.add(connection)
        return connection.client


class _Connection:
    """One client's connection to the target. `all_connections`: it removes itself from there at its end."""

    def __init__(
        self, target_port: int, there: Lane, back: Lane, held: bool, all_connections: set[_Connection]
    ) -> None:
        self._port = target_port
        self._rate = there.rate
        self._all = all_connections
        self._held = held
        self._released = asyncio.Event()
        now = asyncio.get_running_loop().time()
        # SYN, its answer, and only then the client's first byte; sshd accepts when that ACK arrives.
        self._opening = asyncio.create_task(self._open(3 * there.delay))
        self.client, self._target = _End(self), _End(self)
        self._pipes = (
            _Pipe(there, self.client, self._target, not_before=now + 2 * there.delay),
            _Pipe(back, self._target, self.client, not_before=now),
        )
        self.hold(held)

    def hold(self, held: bool) -> None:
        if held:
            self._released.clear()
        else:
            self._released.set()
        for pipe in self._pipes:
            pipe.hold(held)

    def reset(self) -> None:
        """Resets it, even if it has ended already."""
        self._all.discard(self)
        self._opening.cancel()
        for pipe in self._pipes:
            pipe.stop()
        for end in (self.client, self._target):
            end.reset()

    def ended(self) -> None:
        """Called by each pipe that has passed on the end of its stream."""
        if all(pipe.ended for pipe in self._pipes):
            self._all.discard(self)
            for end in (self.client, self._target):
                end.close()

    async def _open(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._released.wait()
        target = _socket()
        target.setblocking(False)
        if self._rate is not None:
            _limit_buffers(target)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(target, (LOOPBACK, self._port))
            await loop.create_connection(lambda: self._target, sock=target)
        except OSError:
            target.close()
            self.reset()
        except asyncio.CancelledError:
            target.close()
            raise


class _Pipe:
    """One direction of one connection: pieces in order, each written when it is due."""

    def __init__(self, lane: Lane, source: _End, sink: _End, *, not_before: float) -> None:
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self._lane = lane
        self._source = source
        self._sink = sink
        self._not_before = not_before
        # The empty piece is the end of the stream.
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._waiting = 0
        self._held = False
        self._timer: asyncio.TimerHandle | None = None
        source.outgoing = sink.incoming = self

    def put(self, data: bytes) -> None:
        """data: empty for the end of the stream."""
        sent = max(self._loop.time(), self._not_before)
        size = len(data) if self._lane.rate is None else _PACKET
        for start in range(0, len(data) or 1, size or 1):
            piece = data[start : start + size]
            self._pieces.append((self._lane.arrival(sent, len(piece)), piece))
        self._waiting += len(data)
        self.pass_on()

    def hold(self, held: bool) -> None:
        self._held = held
        self.pass_on()

    def stop(self) -> None:
        self._pieces.clear()
        if self._timer is not None:
            self._timer.cancel()

    def pass_on(self) -> None:
        """Writes what is due, unless the sink is full or not open yet; continues later with the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._pieces and self._sink.writable and not self._held:
            due, piece = self._pieces[0]
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self.pass_on)
                break
            self._pieces.popleft()
            self._waiting -= len(piece)
            if piece:
                self._sink.write(piece)
            else:
                self.ended = True
                self._sink.write_end()
        self._source.read(not self._held and self._waiting <= self._lane.queue)


class _End(asyncio.Protocol):
    """The proxy's socket to one side. outgoing: the pipe that it fills; incoming: the one that it drains."""

    outgoing: _Pipe
    incoming: _Pipe

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self.writable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.writable = True
        # Pass on what has come meanwhile, and apply a silence that lasts.
        self.incoming.pass_on()
        self.outgoing.pass_on()

    def data_received(self, data: bytes) -> None:
        self.outgoing.put(data)

    def eof_received(self) -> bool:
        self.outgoing.put(b"")
        # The other direction goes on.
        return True

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.incoming.pass_on()

    def connection_lost(self, error: Exception | None) -> None:
        self.writable = False
        if error is not None:
            self._connection.reset()

    def read(self, wanted: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def write_end(self) -> None:
        assert self._transport is not None
        # If the other side has reset the connection, the next read notices.
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        self._connection.ended()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None:
            with contextlib.suppress(OSError):
                connected = self._transport.get_extra_info("socket")
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self._transport.abort()


def _socket() -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _limit_buffers(limited: socket.socket) -> None:
    # Accepted sockets inherit these from the listening one.
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        limited.setsockopt(socket.SOL_SOCKET, buffer, _SOCKET_BUFFER)
