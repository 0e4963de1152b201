"""Requests and replies: what the client has asked for and not yet received. No sockets: bytes in, bytes out."""

import errno
from typing import Dict, NamedTuple, Optional

from .errors import ClientFault, TunnelFault, TunnelLost
from .limits import ENOUGH_BYTES, MAX_LENGTH, MAX_OPEN_REQUESTS
from .nbd import (
    CMD_BLOCK_STATUS,
    CMD_CACHE,
    CMD_DISC,
    CMD_FLUSH,
    CMD_READ,
    CMD_TRIM,
    CMD_WRITE,
    CMD_WRITE_ZEROES,
    ESHUTDOWN,
    REPLY,
    REPLY_MAGIC,
    REQUEST,
    REQUEST_MAGIC,
)
from .reads import DiskReads


class Request(NamedTuple):
    packed: bytes
    command: int
    flags: int
    cookie: int
    offset: int
    length: int


class Transmission:
    """What the client has asked for and not yet received, and the position in the present reply.

    A request waits until it can be sent; then it counts as sent until the last byte of its reply has been passed on.
    left: bytes that are missing of the reply that is being passed on.
    resuming: the rest of that reply was requested on another connection, and its header has not come yet.
    own: replies of the relay itself, to be sent to the client between other replies.
    disconnecting: the client leaves when it has its answers.
    held: no more requests are sent on the present connection.
    reads: told what was read.
    """

    def __init__(self, reads: Optional[DiskReads] = None) -> None:
        self.left = 0
        self._reads = reads or DiskReads()
        self.resuming = False
        self.own = bytearray()
        self.disconnecting = False
        self.held = False
        self._connected = False
        self._sent: Dict[int, Request] = {}
        self._waiting: Dict[int, Request] = {}
        self._reading: Optional[Request] = None
        self._asked = 0
        # A write, which is refused once its data was read.
        self._written: Optional[Request] = None
        self._skip = 0
        self._outgoing = bytearray()

    @property
    def open_requests(self) -> int:
        return len(self._sent) + len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the client has as many open requests as it may."""
        return self.open_requests + len(self.own) // REPLY.size >= MAX_OPEN_REQUESTS

    @property
    def unanswered(self) -> bool:
        """Whether the present connection owes an answer."""
        return bool(self._sent)

    @property
    def enough(self) -> bool:
        """Whether the server has enough to do. Further requests then wait, so that it is woken once for many."""
        return self._asked >= ENOUGH_BYTES or self.full

    @property
    def special(self) -> bool:
        """Whether anything but requests and whole replies has to be handled."""
        cut = self._reading is not None and bool(self._waiting)
        return cut or bool(self.own) or self.disconnecting or self.held

    def take_requests(self, data: bytearray) -> None:
        """Take complete requests out of `data`, until there are enough. Raises ClientFault on anything else."""
        at = 0
        end = len(data)
        while True:
            if self._written is not None:
                at += self._skip_written(end - at)
            if self.disconnecting:
                at = end
            if end - at < REQUEST.size or self._written is not None or self.full:
                break
            magic, flags, command, cookie, offset, length = REQUEST.unpack_from(data, at)
            if magic != REQUEST_MAGIC:
                raise ClientFault("the client sent something that is not a request")
            packed = bytes(data[at : at + REQUEST.size])
            at += REQUEST.size
            self._take(Request(packed, command, flags, cookie, offset, length))
        del data[:at]

    def _take(self, request: Request) -> None:
        command = request.command
        if command == CMD_DISC:
            self.disconnecting = True
        elif command == CMD_WRITE:
            if request.length > MAX_LENGTH:
                raise ClientFault("the client sent a write that is too long")
            self._written = request
            self._skip = request.length
        elif command in (CMD_TRIM, CMD_WRITE_ZEROES):
            self._refuse(request, errno.EPERM)
        elif command == CMD_BLOCK_STATUS or (command in (CMD_READ, CMD_CACHE) and request.length > MAX_LENGTH):
            self._refuse(request, errno.EINVAL)
        elif command in (CMD_READ, CMD_FLUSH, CMD_CACHE):
            if request.cookie in self._sent or request.cookie in self._waiting:
                raise ClientFault("the client sent a cookie that is in use")
            if self._connected and not self.held and not self.resuming:
                self._sent[request.cookie] = request
                self._outgoing += request.packed
            else:
                self._waiting[request.cookie] = request
            if command == CMD_READ:
                self._asked += request.length
        else:
            # Data of unknown length may follow it.
            raise ClientFault("the client sent an unknown request")

    def _skip_written(self, available: int) -> int:
        """Skip the data of a write. Returns how many bytes were skipped."""
        skipped = min(self._skip, available)
        self._skip -= skipped
        if not self._skip and self._written is not None:
            self._refuse(self._written, errno.EPERM)
            self._written = None
        return skipped

    def _refuse(self, request: Request, error: int) -> None:
        self.own += REPLY.pack(REPLY_MAGIC, error, request.cookie)

    def to_send(self) -> bytes:
        """The bytes to send to the server next."""
        if not self._outgoing:
            return b""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def reply(self, header: bytes) -> bytes:
        """Take the header of a reply and return what the client gets of it; `left` bytes follow.

        Raises TunnelFault if it was not asked for, TunnelLost if the server is shutting down, ClientFault if the rest
        of a cut reply cannot be read.
        """
        magic, error, cookie = REPLY.unpack(header)
        if magic != REPLY_MAGIC:
            raise TunnelFault("the server sent something that is not a reply")
        if error == ESHUTDOWN:
            # The client does not fail when somebody ends the server: another one will answer.
            raise TunnelLost("the server is shutting down")
        if self._reading is not None:
            if cookie != self._reading.cookie:
                raise TunnelFault("the server answered what it was not asked")
            if error:
                cut = self._reading
                self._reads.failed(cut.offset + cut.length - self.left, self.left, error)
                raise ClientFault(f"the rest of an interrupted read failed with error {error}")
            self.resuming = False
            return b""
        request = self._sent.get(cookie)
        if request is None:
            raise TunnelFault("the server answered what it was not asked")
        if request.command == CMD_READ and not error and request.length:
            self._reading = request
            self.left = request.length
        else:
            if request.command == CMD_READ and error:
                self._reads.failed(request.offset, request.length, error)
            self._done(request)
        return header

    def passed_on(self, count: int) -> None:
        """So many bytes of the reply's data were passed on."""
        self.left -= count
        if not self.left and self._reading is not None:
            self._reads.delivered(self._reading.offset, self._reading.length)
            self._done(self._reading)
            self._reading = None
            if self._waiting and not self.held:
                self._send_waiting()

    def _done(self, request: Request) -> None:
        del self._sent[request.cookie]
        if request.command == CMD_READ:
            self._asked -= request.length

    def unhold(self) -> None:
        self.held = False
        if self._connected and not self.resuming:
            self._send_waiting()

    def disconnected(self) -> None:
        """The connection to the server is gone."""
        self._connected = False
        self._outgoing.clear()
        again = {cookie: request for cookie, request in self._sent.items() if request is not self._reading}
        again.update(self._waiting)
        self._waiting = again
        self._sent = {} if self._reading is None else {self._reading.cookie: self._reading}
        self.resuming = self._reading is not None

    def connected(self) -> None:
        """Repeat the requests on a new connection: first, and alone, the rest of the reply that was cut."""
        self._connected = True
        self.held = False
        cut = self._reading
        if cut is None:
            self._send_waiting()
        else:
            done = cut.length - self.left
            self._outgoing += REQUEST.pack(
                REQUEST_MAGIC, cut.flags, CMD_READ, cut.cookie, cut.offset + done, self.left
            )

    def _send_waiting(self) -> None:
        for request in self._waiting.values():
            self._outgoing += request.packed
        self._sent.update(self._waiting)
        self._waiting.clear()
