"""The NBD relay: holds virt-v2v's connection to each disk for life, while the tunnels under it come and go.

It runs on the conversion server, alone and as the login user, with whatever Python is there (3.6 or newer, standard
library only). p2v-tui reads this file and uploads it; nothing imports it but tests.

    python3 -I nbd_relay.py DIRECTORY DISKS SECONDS [--many-clients]

DIRECTORY: the remote directory (0700). The tunnel of disk N (from 0) ends there, in disk{N}.{generation}.sock; the
    generation counts up from 1 with each new tunnel. The highest one that answers is used. When a higher one answers
    while the one in use still works, the relay moves over: it lets the old one answer what it was asked.
DISKS: how many disks.
SECONDS: a disk without a working tunnel for so long is given up, so that virt-v2v fails instead of waiting for ever.
--many-clients: for a virt-v2v that makes several connections to a disk; otherwise the first one is the only one.

What passes is read-only, and simple replies only: the relay refuses structured replies in the handshake. It remembers
each request until the whole reply has been passed on, and asks again on the next tunnel. Reading is idempotent, so
that is safe; a reply that was cut off in the middle goes on where it was cut.

It writes DIRECTORY/relay.status, one line of JSON, whenever that changes:

    {"pid": 1234, "disks": [{"port": 40001, "generation": 2, "size": 2147483648, "state": "relaying", "reason": "",
                             "cause": "", "relayed": 1048576, "distinct": 1048576, "reconnects": 1, "silent": 0,
                             "stalled": 0, "failures": 0, "failure": null}]}

port: on this machine's loopback (127.0.0.1 and ::1), for virt-v2v.
generation: the tunnel in use, or the one that answered last before a client came; 0: none now.
size: of the disk, in bytes; null until a tunnel has answered for the first time.
state: "waiting" (no client, no tunnel that answers), "ready" (no client yet, the tunnel answers), "relaying" (a
    client is there, also while there is no tunnel), "done" (the client has come and gone), "given up".
reason: why the disk was given up, or why a client was closed that did wrong; else empty.
cause: what a given up disk lacks: "tunnel" (none worked for SECONDS) or "disk" (another one answers, or it cannot be
    opened any more); else empty.
relayed: bytes of the disk that came through tunnels for clients, all reads together: more than the disk has where
    parts are read twice.
distinct: bytes of the disk that were delivered to clients at least once, rounded up to whole blocks (DiskReads).
reconnects: how often a client's tunnel was replaced by another.
silent: seconds without any part of an answer, though the client waits for one; 0 when it waits for nothing.
stalled: the same, but a greeting on another connection counts as an answer: the tunnel lives, the disk is slow.
failures: how many reads the NBD server has answered with an error.
failure: the first of them: {"offset": bytes, "length": bytes, "error": NBD's error number}; null while there is none.

It says what happens on standard error, a line for each event, and nothing on standard output. SIGTERM ends it, and
what was not done is given up; SIGUSR1 ends it because virt-v2v has ended, and all is done; SIGHUP does nothing. Exit
code: 0 when every disk is done or one of the two signals came, 1 when a disk was given up, 2 when it cannot start.
"""

import contextlib
import errno
import fcntl
import functools
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, NoReturn, Optional, Sequence, Tuple

# NBD's words: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
GREETING = struct.Struct(">8s8sH")
INIT_MAGIC = b"NBDMAGIC"
OPTION_MAGIC = b"IHAVEOPT"
FLAG_FIXED_NEWSTYLE = 1
FLAG_NO_ZEROES = 2
OPTION = struct.Struct(">8sII")
OPT_GREETING = 0  # Ours: stands for "no option, the server's first words" in a recorded handshake.
OPT_EXPORT_NAME = 1
OPT_ABORT = 2
OPT_LIST = 3
OPT_INFO = 6
OPT_GO = 7
OPT_LIST_META_CONTEXT = 9
OPT_SET_META_CONTEXT = 10
OPTIONS_PASSED_ON = (OPT_EXPORT_NAME, OPT_LIST, OPT_INFO, OPT_GO, OPT_LIST_META_CONTEXT, OPT_SET_META_CONTEXT)
ANSWER = struct.Struct(">QIII")
ANSWER_MAGIC = 0x0003E889045565A9
REP_ACK = 1
REP_INFO = 3
REP_ERROR = 1 << 31
REP_ERR_UNSUP = REP_ERROR | 1
INFO_EXPORT = struct.Struct(">HQH")
EXPORT = struct.Struct(">QH")
EXPORT_ZEROES = 124

REQUEST = struct.Struct(">IHHQQI")
REQUEST_MAGIC = 0x25609513
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_CACHE, CMD_WRITE_ZEROES, CMD_BLOCK_STATUS = range(8)
REPLY = struct.Struct(">IIQ")
REPLY_MAGIC = 0x67446698
ESHUTDOWN = 108
MAX_ERRNO = 4095

# What either side may make us keep.
MAX_OPTION_BYTES = 64 * 1024
MAX_OPTIONS = 64
MAX_ANSWER_BYTES = 64 * 1024
MAX_LENGTH = 64 << 20
MAX_OPEN_REQUESTS = 256
REQUESTS_BYTES = 8192
# Twice the window of an ssh channel: more on its way makes nothing faster.
ENOUGH_BYTES = 4 << 20
MAX_CLIENTS = 16
SMALLEST_BLOCK = 64 * 1024
MAX_BLOCKS = 1 << 20
MAX_FAULTS = 5
MAX_REFUSALS_LOGGED = 100

TICK_SECONDS = 0.1
# While there is no tunnel, somebody waits for the next one.
WAITING_TICK_SECONDS = 0.02
STATUS_SECONDS = 0.5
# A slow, busy link may take its time for a few round trips.
HANDSHAKE_SECONDS = 20.0
# The same while nothing else serves the client and there is an older tunnel that could be tried.
IMPATIENT_SECONDS = 5.0
# How long a working tunnel that a newer one replaces may be silent before it counts as stalled.
STALLED_SECONDS = 2.0
# How often the tunnel is tried while no client is there.
IDLE_PROBE_SECONDS = 30.0
# How long an answer may take before the tunnel is asked whether it lives, and how often it is asked then.
PROBE_SECONDS = 5.0
# How long the relay of a conversion whose virt-v2v was never started waits for a tunnel: p2v-tui was killed.
UNSTARTED_SECONDS = 45.0
# The wrapper's process id, once it runs; and that of the shell that started us, which ends with p2v-tui.
WRAPPER_PID = "pid"
CONTROL_PID = "control.pid"
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 2.0

BUFFER_BYTES = 1 << 20
F_SETPIPE_SZ = 1031  # fcntl knows it by name from Python 3.10 on.
SPLICE_F_NONBLOCK = 2
SPLICE_F_MORE = 4
MSG_MORE = int(socket.MSG_MORE)  # In Python 3.6 an enum, which is slow.
POLLRDHUP = 0x2000
TCP_CONGESTION = 13  # socket knows it by name from Python 3.6 on, but not everywhere.

CLOSED = "it was closed"
ANOTHER_DISK = "another disk answers through the tunnel"
LACKS_TUNNEL, LACKS_DISK = "tunnel", "disk"
WAITING, READY, RELAYING, DONE, GIVEN_UP = "waiting", "ready", "relaying", "done", "given up"


class ClientGone(Exception):
    """The client closed its connection, or asked to."""


class ClientFault(Exception):
    """The client cannot be served any longer: why."""


class TunnelLost(Exception):
    """The connection through the tunnel ended: how."""


class TunnelFault(TunnelLost):
    """What came through the tunnel is not what an NBD server says."""


class Unrecoverable(Exception):
    """The disk has to be given up: why. cause: as in the status."""

    def __init__(self, reason: str, cause: str = "") -> None:
        super().__init__(reason)
        self.cause = cause


# ---- The handshake, without sockets


class Exchange(NamedTuple):
    """What was asked and answered in a handshake. The first one of a handshake is the greeting, which nobody asks."""

    option: int
    question: bytes
    answer: bytes


class Option(NamedTuple):
    """An option as the client sent it."""

    number: int
    data: bytes

    @property
    def packed(self) -> bytes:
        return OPTION.pack(OPTION_MAGIC, self.number, len(self.data)) + self.data


def packed_answer(option: int, kind: int, data: bytes = b"") -> bytes:
    return ANSWER.pack(ANSWER_MAGIC, option, kind, len(data)) + data


def answer_length(option: int, no_zeroes: bool, data: bytearray) -> Optional[int]:
    """The length of the whole answer to `option` that `data` begins with; None when more is needed to tell.

    Raises TunnelFault when it is no answer to that option, or too long.
    """
    if option == OPT_GREETING:
        return GREETING.size
    if option == OPT_EXPORT_NAME:
        return EXPORT.size + (0 if no_zeroes else EXPORT_ZEROES)
    at = 0
    while len(data) >= at + ANSWER.size:
        magic, answered, kind, length = ANSWER.unpack_from(data, at)
        if magic != ANSWER_MAGIC or answered != option:
            raise TunnelFault("the answer to an option is not one")
        at += ANSWER.size + length
        if at > MAX_ANSWER_BYTES:
            raise TunnelFault("the answer to an option is too long")
        if kind == REP_ACK or kind & REP_ERROR:
            return int(at)
    return None


def accepts_export(exchange: Exchange) -> bool:
    """Whether the handshake ends with this exchange, and requests may come."""
    if exchange.option == OPT_EXPORT_NAME:
        return True
    at = 0
    kind = 0
    if exchange.option == OPT_GO:
        while at < len(exchange.answer):
            _, _, kind, length = ANSWER.unpack_from(exchange.answer, at)
            at += ANSWER.size + length
    return kind == REP_ACK


def export_size(exchange: Exchange) -> Optional[int]:
    """The bytes of the export, where the answer says them."""
    if exchange.option == OPT_EXPORT_NAME:
        return int(EXPORT.unpack_from(exchange.answer)[0])
    at = 0
    while exchange.option in (OPT_INFO, OPT_GO) and at < len(exchange.answer):
        _, _, kind, length = ANSWER.unpack_from(exchange.answer, at)
        at += ANSWER.size
        if kind == REP_INFO and length == INFO_EXPORT.size:
            information, size, _ = INFO_EXPORT.unpack_from(exchange.answer, at)
            if information == 0:
                return int(size)
        at += length
    return None


class ClientHandshake:
    """Takes the client's part of the handshake apart: its flags, then one option after the other.

    Raises ClientFault on what no client says, and on more than a client needs.
    """

    def __init__(self) -> None:
        self.flags: Optional[bytes] = None
        self._options = 0

    @property
    def no_zeroes(self) -> bool:
        return self.flags is not None and bool(self.flags[3] & FLAG_NO_ZEROES)

    def next_option(self, data: bytearray) -> Optional[Option]:
        """The next whole option, taken out of `data`; None when it is not there yet."""
        if self.flags is None:
            if len(data) < 4:
                return None
            self.flags = bytes(data[:4])
            del data[:4]
            if int.from_bytes(self.flags, "big") & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES):
                raise ClientFault("the client's handshake flags are unknown")
        if len(data) < OPTION.size:
            return None
        magic, number, length = OPTION.unpack_from(data)
        if magic != OPTION_MAGIC:
            raise ClientFault("the client does not speak NBD")
        if length > MAX_OPTION_BYTES:
            raise ClientFault("the client sent an option that is too long")
        if len(data) < OPTION.size + length:
            return None
        self._options += 1
        if self._options > MAX_OPTIONS:
            raise ClientFault("the client sent too many options")
        if number == OPT_EXPORT_NAME and length:
            # A server that does not know the name only hangs up, and we would ask again for ever.
            raise ClientFault("the client asked for an export by its name")
        option = Option(number, bytes(data[OPTION.size : OPTION.size + length]))
        del data[: OPTION.size + length]
        return option


class ServerHandshake:
    """The handshake with an NBD server as its client: what was recorded first, then what is asked anew.

    record: the exchanges of a former handshake, which are asked again and must be answered the same, byte for byte.
    It may grow meanwhile. `outgoing` is what is to be sent.
    """

    def __init__(self, record: Sequence[Exchange]) -> None:
        self.outgoing = bytearray()
        self._record = record
        self._replayed = 0
        # What is being answered when the record is at its end; the greeting comes without a question.
        self._asked: Optional[Tuple[int, bytes, bool]] = (OPT_GREETING, b"", True)
        self._incoming = bytearray()

    @property
    def caught_up(self) -> bool:
        """Whether the server is where the record ends."""
        return 0 < self._replayed >= len(self._record)

    def ask(self, option: int, question: bytes, no_zeroes: bool) -> None:
        """Ask an option that is not in the record. Only when caught up, and nothing else is being asked."""
        self._asked = (option, question, no_zeroes)
        self.outgoing += question

    def receive(self, data: bytes) -> Optional[Exchange]:
        """Take what the server said. Returns the exchange that this completes, if it is none of the record's.

        Raises Unrecoverable when an answer differs from the record, TunnelFault when it is none.
        """
        incoming = self._incoming
        incoming += data
        while self._replayed < len(self._record):
            expected = self._record[self._replayed].answer
            if incoming[: len(expected)] != expected[: len(incoming)]:
                raise Unrecoverable(ANOTHER_DISK, LACKS_DISK)
            if len(incoming) < len(expected):
                return None
            del incoming[: len(expected)]
            self._asked = None
            self._replayed += 1
            if self._replayed < len(self._record):
                self.outgoing += self._record[self._replayed].question
        if self._asked is None:
            if incoming:
                raise TunnelFault("the server speaks without being asked")
            return None
        return self._answered(*self._asked)

    def _answered(self, option: int, question: bytes, no_zeroes: bool) -> Optional[Exchange]:
        if option == OPT_GREETING and len(self._incoming) >= GREETING.size:
            self._check_greeting()
        length = answer_length(option, no_zeroes, self._incoming)
        if length is None or len(self._incoming) < length:
            if len(self._incoming) > MAX_ANSWER_BYTES:
                raise TunnelFault("the answer to an option is too long")
            return None
        if len(self._incoming) > length:
            raise TunnelFault("the server speaks without being asked")
        exchange = Exchange(option, question, bytes(self._incoming))
        self._incoming.clear()
        self._asked = None
        self._replayed += 1
        return exchange

    def _check_greeting(self) -> None:
        magic, style, flags = GREETING.unpack_from(self._incoming)
        if (magic, style) != (INIT_MAGIC, OPTION_MAGIC) or not flags & FLAG_FIXED_NEWSTYLE:
            raise TunnelFault("no NBD server answers through the tunnel")


# ---- The requests and replies, without sockets


class Request(NamedTuple):
    packed: bytes
    command: int
    flags: int
    cookie: int
    offset: int
    length: int


class FailedRead(NamedTuple):
    """A read that the NBD server answered with an error. error: NBD's number, which is the errno of Linux."""

    offset: int
    length: int
    error: int


class DiskReads:
    """Which parts of a disk were delivered, and which could not be read.

    A disk is counted in blocks, so that what is remembered does not grow, whoever reads it: of 64 KiB, and of more
    where that would be more than a million.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.failure: Optional[FailedRead] = None
        self._size = 0
        self._block = SMALLEST_BLOCK
        # One byte for each, and how many of them are set.
        self._blocks = bytearray()
        self._delivered = 0

    @property
    def distinct(self) -> int:
        """Bytes that were delivered at least once, rounded up to whole blocks; at most the size of the disk."""
        return min(self._delivered * self._block, self._size)

    def set_size(self, size: int) -> None:
        """size: of the disk, in bytes. Nothing is counted before it is known."""
        if size == self._size:
            return
        while size // self._block >= MAX_BLOCKS:
            self._block *= 2
        self._size = size
        self._blocks = bytearray(-(-size // self._block))
        self._delivered = 0

    def delivered(self, offset: int, length: int) -> None:
        end = min(offset + length, self._size)
        if offset < end:
            first, after = offset // self._block, -(-end // self._block)
            self._delivered += self._blocks.count(0, first, after)
            self._blocks[first:after] = b"\1" * (after - first)

    def failed(self, offset: int, length: int, error: int) -> None:
        self.failures += 1
        if self.failure is None:
            self.failure = FailedRead(offset, length, min(error, MAX_ERRNO))


class Transmission:
    """What the client has asked for and not got yet, and where in a reply we are.

    A request waits until it can be sent; then it counts as sent until the last byte of its reply has been passed on.
    left: bytes that are still to come of the reply that is being passed on.
    resuming: the rest of that reply was asked for on another connection, and its header has not come yet.
    own: replies of the relay itself, to be sent to the client when no reply is half passed on.
    disconnecting: the client wants to go when it has its answers.
    held: nothing more is asked on the present connection.
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
        # A write that is refused as soon as its data has been read.
        self._written: Optional[Request] = None
        self._skip = 0
        self._outgoing = bytearray()

    @property
    def open_requests(self) -> int:
        return len(self._sent) + len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the client has asked for enough."""
        return self.open_requests + len(self.own) // REPLY.size >= MAX_OPEN_REQUESTS

    @property
    def unanswered(self) -> bool:
        """Whether the present connection owes an answer."""
        return bool(self._sent)

    @property
    def enough(self) -> bool:
        """Whether the server has so much to do that further requests can wait: it is woken for many at once then."""
        return self._asked >= ENOUGH_BYTES or self.full

    @property
    def special(self) -> bool:
        """Whether more is going on than requests and whole replies."""
        cut = self._reading is not None and bool(self._waiting)
        return cut or bool(self.own) or self.disconnecting or self.held

    def take_requests(self, data: bytearray) -> None:
        """Take the whole requests out of `data`, unless there are enough. Raises ClientFault on what is none."""
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
            # It may be followed by data of unknown length.
            raise ClientFault("the client sent an unknown request")

    def _skip_written(self, available: int) -> int:
        """Read over the data of a write. Returns how many bytes that are."""
        skipped = min(self._skip, available)
        self._skip -= skipped
        if not self._skip and self._written is not None:
            self._refuse(self._written, errno.EPERM)
            self._written = None
        return skipped

    def _refuse(self, request: Request, error: int) -> None:
        self.own += REPLY.pack(REPLY_MAGIC, error, request.cookie)

    def to_send(self) -> bytes:
        """What is to be sent to the server next."""
        if not self._outgoing:
            return b""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def reply(self, header: bytes) -> bytes:
        """Take the header of a reply and return what the client gets of it; `left` bytes follow.

        Raises TunnelFault when nobody asked for it, TunnelLost when the server is going, ClientFault when the rest of
        a cut reply cannot be had.
        """
        magic, error, cookie = REPLY.unpack(header)
        if magic != REPLY_MAGIC:
            raise TunnelFault("the server sent something that is not a reply")
        if error == ESHUTDOWN:
            # Whoever ends the server means no harm to the client: another server will answer.
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
        """Ask again, on a new connection: the rest of the reply that was cut first, and alone."""
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


# ---- Sockets


class CopiedData:
    """The data of replies on its way from the tunnel to the client, through a buffer of ours."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = 0
        self._end = 0

    @property
    def pending(self) -> int:
        """How many bytes are on their way."""
        return self._end - self._start

    @property
    def room(self) -> bool:
        """Whether more can be taken before this is given to the client."""
        return self._end < BUFFER_BYTES // 2

    def fill(self, tunnel: socket.socket, limit: int) -> int:
        """Take up to `limit` bytes from the tunnel. Returns how many; 0 at its end. Only while there is `room`.

        Raises OSError, BlockingIOError when there is nothing now.
        """
        count = tunnel.recv_into(self._buffer[self._end :], min(limit, BUFFER_BYTES - self._end))
        self._end += count
        return count

    def drain(self, client: socket.socket, more: bool) -> None:
        """Give what is pending to the client; more: it is not the end of a reply.

        Raises OSError, BlockingIOError when it takes nothing now.
        """
        while self._start < self._end:
            flags = MSG_MORE if more else 0
            self._start += client.send(self._buffer[self._start : self._end], flags)
        self._start = self._end = 0

    def close(self) -> None:
        self._buffer.release()


class SplicedData:
    """The same without copying: the kernel moves the pages through a pipe. Raises OSError where it cannot."""

    def __init__(self) -> None:
        self.pending = 0
        self._splice = os.splice
        self._outlet, self._inlet = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._size = 65536
        with contextlib.suppress(OSError):
            self._size = fcntl.fcntl(self._inlet, F_SETPIPE_SZ, BUFFER_BYTES)

    def fill(self, tunnel: socket.socket, limit: int) -> int:
        count = self._splice(tunnel.fileno(), self._inlet, min(limit, self._size), flags=SPLICE_F_NONBLOCK)
        self.pending += count
        return count

    @property
    def room(self) -> bool:
        return self.pending < self._size // 2

    def drain(self, client: socket.socket, more: bool) -> None:
        flags = SPLICE_F_NONBLOCK | SPLICE_F_MORE if more else SPLICE_F_NONBLOCK
        while self.pending:
            self.pending -= self._splice(self._outlet, client.fileno(), self.pending, flags=flags)

    def close(self) -> None:
        os.close(self._outlet)
        os.close(self._inlet)


class Poller:
    """Calls back for sockets that have something to say. A socket that is closed must be forgotten first."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: Dict[int, Tuple[int, Callable[[int], None]]] = {}

    def watch(self, watched: socket.socket, mask: int, callback: Callable[[int], None]) -> None:
        """mask: the events; 0: none, not even that the other side has gone."""
        number = watched.fileno()
        if not mask:
            self.forget(watched)
        elif self._watched.get(number) != (mask, callback):
            self._watched[number] = (mask, callback)
            self._poll.register(number, mask)

    def forget(self, watched: socket.socket) -> None:
        if self._watched.pop(watched.fileno(), None):
            self._poll.unregister(watched.fileno())

    def wait(self, seconds: float) -> None:
        for number, events in self._poll.poll(int(seconds * 1000) + 1):
            entry = self._watched.get(number)
            if entry:
                entry[1](events)


class TunnelPort(NamedTuple):
    """Where a tunnel ends in a port: what to say there, and what has to be heard before anything is believed."""

    number: int
    question: bytes
    answer: bytes


def port_in(file: str) -> Optional[TunnelPort]:
    """What p2v-tui has stored for us; None where the tunnel ends in a socket. Raises OSError."""
    try:
        words = Path(file).read_bytes().split()
    except FileNotFoundError:
        return None
    if len(words) != 3 or not words[0].isdigit() or not 0 < int(words[0]) < 65536:
        raise OSError(errno.EINVAL, file + " is damaged")
    return TunnelPort(int(words[0]), words[1], words[2])


class Tunnel:
    """A connection to the NBD server through the tunnel of one generation.

    Raises TunnelLost when it cannot be made.
    """

    def __init__(self, disk: int, generation: int, record: Sequence[Exchange], now: float) -> None:
        self.generation = generation
        self.handshake = ServerHandshake(record)
        self.outgoing = bytearray()
        self.heard_at = now
        self.useful = False
        # What the other end has to say first, where the tunnel ends in a port, on which a stranger might listen.
        self._proof = b""
        place = f"disk{disk}.{generation}"
        try:
            port = port_in(place + ".port")
            self.socket = socket.socket(socket.AF_INET if port else socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise TunnelLost(reason_of(error)) from None
        try:
            self.socket.setblocking(False)
            if port:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.outgoing += port.question
                self._proof = port.answer
                with contextlib.suppress(BlockingIOError):
                    self.socket.connect(("127.0.0.1", port.number))
            else:
                # Relative, as a Unix socket's path may have only 107 bytes.
                self.socket.connect(place + ".sock")
        except OSError as error:
            self.socket.close()
            raise TunnelLost(reason_of(error)) from None

    def receive(self, count: int) -> bytes:
        """What has come, at most `count` bytes; empty when nothing has. Raises TunnelLost at its end."""
        try:
            data = self.socket.recv(count)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise TunnelLost(reason_of(error)) from None
        if not data:
            raise TunnelLost(CLOSED)
        if self._proof:
            said = data[: len(self._proof)]
            if not self._proof.startswith(said):
                raise TunnelLost("somebody else listens on its port")
            self._proof = self._proof[len(said) :]
            data = data[len(said) :]
        return data

    def shake_hands(self, now: float) -> Optional[Exchange]:
        """Go on with the handshake. Returns the exchange that is complete now and is not in the record."""
        data = self.receive(65536)
        if data:
            self.heard_at = now
        exchange = self.handshake.receive(data)
        self.send(b"")
        return exchange

    def ask(self, option: int, question: bytes, no_zeroes: bool) -> None:
        self.handshake.ask(option, question, no_zeroes)
        self.send(b"")

    def send(self, data: bytes) -> None:
        """Send it as soon as the tunnel takes it."""
        self.outgoing += self.handshake.outgoing
        self.handshake.outgoing.clear()
        self.outgoing += data
        try:
            while self.outgoing:
                del self.outgoing[: self.socket.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError as error:
            raise TunnelLost(reason_of(error)) from None

    @property
    def mask(self) -> int:
        return select.POLLIN | select.POLLOUT if self.outgoing else select.POLLIN

    def close(self) -> None:
        self.socket.close()


class Probe(Tunnel):
    """A handshake that only shows whether a tunnel answers, and for which disk.

    Raises TunnelLost when it cannot be made.
    """

    def __init__(self, disk: int, generation: int, now: float) -> None:
        super().__init__(disk, generation, (), now)

    def hear(self, now: float) -> Optional[Exchange]:
        """Go on. Returns what it answers to a client that wants the default export and nothing special."""
        exchange = self.shake_hands(now)
        if exchange and exchange.option == OPT_GREETING:
            flags = FLAG_FIXED_NEWSTYLE | (exchange.answer[17] & FLAG_NO_ZEROES)
            self.ask(OPT_GO, struct.pack(">I", flags) + Option(OPT_GO, struct.pack(">IH", 0, 0)).packed, True)
            return None
        return exchange

    def say_goodbye(self) -> None:
        with contextlib.suppress(TunnelLost):
            self.send(REQUEST.pack(REQUEST_MAGIC, 0, CMD_DISC, 0, 0, 0))


class Knock(Tunnel):
    """Only asks whether an NBD server is there, and leaves: the disk is not touched, which may be what hangs.

    nbdkit opens it for a client that wants it, and a disk in the middle of its error recovery cannot be opened.
    Raises TunnelLost when it cannot be made.
    """

    def __init__(self, disk: int, generation: int, now: float) -> None:
        super().__init__(disk, generation, (), now)
        self.answered = False

    def hear(self, now: float) -> bool:
        """Go on. Returns whether it is over. Raises TunnelLost."""
        exchange = self.shake_hands(now)
        if exchange and exchange.option == OPT_GREETING:
            self.answered = True
            flags = FLAG_FIXED_NEWSTYLE | (exchange.answer[17] & FLAG_NO_ZEROES)
            # A client that says goodbye leaves no complaint in the server's log.
            self.ask(OPT_ABORT, struct.pack(">I", flags) + Option(OPT_ABORT, b"").packed, True)
            return False
        return exchange is not None


class Generations:
    """The tunnels that there are for a disk, and when each may be tried again."""

    def __init__(self, disk: int) -> None:
        self._pattern = re.compile(rf"disk{disk}\.([1-9][0-9]{{0,8}})\.(?:sock|port)")
        self._there: List[int] = []
        self._retry: Dict[int, Tuple[float, float]] = {}

    def look(self) -> None:
        names: List[str] = []
        # Without a directory there is no tunnel.
        with contextlib.suppress(OSError):
            names = os.listdir(".")  # noqa: PTH208 - iterdir() makes a Path of each.
        matches = map(self._pattern.fullmatch, names)
        self._there = sorted((int(match.group(1)) for match in matches if match), reverse=True)
        for gone in set(self._retry).difference(self._there):
            del self._retry[gone]

    def to_try(self, above: int, now: float) -> List[int]:
        """The generations above this one that may be tried now, the highest first."""
        return [
            generation
            for generation in self._there
            if generation > above and self._retry.get(generation, (0.0, 0.0))[0] <= now
        ]

    def patience(self, generation: int, now: float) -> float:
        """The seconds that this one may take for an answer when there is no other tunnel."""
        others = [other for other in self.to_try(0, now) if other != generation]
        return IMPATIENT_SECONDS if others else HANDSHAKE_SECONDS

    def failed(self, generation: int, now: float) -> None:
        """It did not answer, or stopped to without having been of use: try it later."""
        pause = self._retry.get(generation, (0.0, FIRST_RETRY_SECONDS))[1]
        self._retry[generation] = (now + pause, min(2 * pause, LAST_RETRY_SECONDS))

    def worked(self, generation: int) -> None:
        self._retry.pop(generation, None)


def reason_of(error: OSError) -> str:
    """The kernel's words for it, without names of files."""
    return os.strerror(error.errno) if error.errno else "it failed"


def listen_on_loopback() -> List[socket.socket]:
    """Listen on a free port of 127.0.0.1, and on the same of ::1 so that nobody else can. Raises OSError."""
    for _ in range(64):
        made: List[socket.socket] = []
        try:
            made.append(listening(socket.AF_INET, "127.0.0.1", 0))
            with contextlib.suppress(NoSuchFamily):
                made.append(listening(socket.AF_INET6, "::1", made[0].getsockname()[1]))
        except OSError as error:
            for one in made:
                one.close()
            if not made or error.errno != errno.EADDRINUSE:
                raise
        else:
            return made
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


class NoSuchFamily(Exception):
    """This machine has no such addresses."""


def listening(family: int, address: str, port: int) -> socket.socket:
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise NoSuchFamily from error
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # On a server set to BBR, pacing the loopback costs half of the relay's CPU. What accepts inherits it.
        with contextlib.suppress(OSError):
            made.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, b"reno")
        made.bind((address, port))
        made.listen(16)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise NoSuchFamily from error
        raise
    return made


def user_of_client(accepted: socket.socket) -> Optional[int]:
    """The user id of the process at the other end of a connection over loopback; None when it cannot be told.

    From /proc/net/tcp (proc(5)). Only of an established connection that belongs to a process: of others the kernel
    says that they are root's.
    """
    theirs, ours = accepted.getpeername()[:2], accepted.getsockname()[:2]
    wanted = {(proc_address(theirs, False), proc_address(ours, False))}
    tables = ["/proc/net/tcp"]
    if accepted.family == socket.AF_INET6:
        tables = ["/proc/net/tcp6"]
    else:
        # A client may use an IPv6 socket for an IPv4 address.
        wanted.add((proc_address(theirs, True), proc_address(ours, True)))
        tables.append("/proc/net/tcp6")
    for table in tables:
        with contextlib.suppress(OSError), Path(table).open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                fields = line.split()
                if len(fields) > 9 and (fields[1], fields[2]) in wanted and fields[3] == "01" and fields[9] != "0":
                    return int(fields[7])
    return None


def proc_address(address: Tuple[str, int], mapped: bool) -> str:
    """The address as /proc/net/tcp writes it: words of 32 bits in the byte order of the machine, then the port."""
    host, port = address
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    if mapped:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


# ---- A client and a disk


class ClientConnection:
    """A client of a disk, and the tunnel that serves it now."""

    def __init__(self, disk: "DiskRelay", client: socket.socket, now: float) -> None:
        self._disk = disk
        self._poller = disk.poller
        self._client = client
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._handshake = ClientHandshake()
        self._record: List[Exchange] = []
        self._asked: Optional[Tuple[int, bytes]] = None
        self._transmission: Optional[Transmission] = None
        self._header = bytearray()
        self._data = disk.new_data()
        self._tunnel: Optional[Tunnel] = None
        self._candidate: Optional[Tunnel] = None
        # Beside a request that is not answered: whether the tunnel lives, and when that was asked and answered.
        self._knock: Optional[Knock] = None
        self._knocked_at = now
        self._lives_at = now
        self._tunnels = 0
        # Whether replies and requests come and go, and nothing else is to be done.
        self._plain = False
        # Whether the client takes nothing at present.
        self._client_is_full = False
        # Whether what the client says is read at present.
        self._hears = True
        self._heard_at = now
        self.worked_at = now
        self._watch()

    # What the disk wants to know

    @property
    def generation(self) -> int:
        return self._tunnel.generation if self._tunnel else 0

    def silent(self, now: float) -> float:
        return now - self._heard_at if self._waits_for_answer else 0.0

    def stalled(self, now: float) -> float:
        return now - max(self._heard_at, self._lives_at) if self._waits_for_answer else 0.0

    @property
    def _waits_for_answer(self) -> bool:
        if self._transmission is not None:
            return self._transmission.open_requests > 0
        return self._asked is not None or not self._record

    # Events

    def tick(self, now: float) -> None:
        """Look after the tunnels. Raises what ends the client."""
        if not self._waits_for_answer or self._client_is_full:
            self._heard_at = now
            if self._tunnel:
                self.worked_at = now
        self._ask_whether_it_lives(now)
        candidate = self._candidate
        if candidate and not candidate.handshake.caught_up:
            patience = HANDSHAKE_SECONDS
            if self._tunnel is None:
                patience = self._disk.generations.patience(candidate.generation, now)
            if now - candidate.heard_at > patience:
                self._drop_candidate("it does not answer", now)
        above = self.generation
        if self._candidate:
            above = max(above, self._candidate.generation)
        for generation in self._disk.generations.to_try(above, now):
            try:
                tunnel = Tunnel(self._disk.number, generation, self._record, now)
            except TunnelLost:
                self._disk.generations.failed(generation, now)
                continue
            if self._candidate:
                self._drop_candidate("there is a newer one", now)
            self._candidate = tunnel
            break
        self._go_on(self._nothing, 0)

    def _ask_whether_it_lives(self, now: float) -> None:
        """Knock beside a request that is not answered: a disk may take as long as it likes, a tunnel not."""
        tunnel, knock = self._tunnel, self._knock
        silent = now - self._heard_at >= PROBE_SECONDS
        gone = knock and (not tunnel or knock.generation != tunnel.generation or not silent)
        # Its goodbye may wait for an answer as long as it likes.
        if knock and (gone or now - knock.heard_at > (PROBE_SECONDS if knock.answered else HANDSHAKE_SECONDS)):
            self._drop_knock()
        if tunnel and silent and not self._knock and now - self._knocked_at >= PROBE_SECONDS:
            self._knocked_at = now
            # A tunnel that cannot be reached is what `stalled` shows.
            with contextlib.suppress(TunnelLost):
                self._knock = Knock(self._disk.number, tunnel.generation, now)
                self._poller.watch(self._knock.socket, self._knock.mask, self._on_knock)

    def _on_knock(self, events: int) -> None:
        del events
        knock = self._knock
        if knock is None:
            return
        now = self._disk.now()
        over = True
        with contextlib.suppress(TunnelLost):
            over = knock.hear(now)
        if knock.answered and knock.heard_at == now:
            self._lives_at = self.worked_at = now
        if over:
            self._drop_knock()
        else:
            self._poller.watch(knock.socket, knock.mask, self._on_knock)

    def _drop_knock(self) -> None:
        if self._knock:
            self._poller.forget(self._knock.socket)
            self._knock.close()
            self._knock = None

    def _on_client(self, events: int) -> None:
        self._disk.serve(self, self._go_on, self._hear_client, events)

    def _on_tunnel(self, events: int) -> None:
        self._disk.serve(self, self._go_on, self._hear_tunnel, events)

    def _on_candidate(self, events: int) -> None:
        self._disk.serve(self, self._go_on, self._hear_candidate, events)

    def _go_on(self, step: Callable[[int], bool], events: int) -> None:
        """Do the step and what follows from it, on another tunnel when the present one is lost by it.

        The step returns whether anything follows.
        """
        while True:
            try:
                if not step(events):
                    return
                self._settle()
                break
            except TunnelLost as lost:
                self._lose_tunnel(lost, self._disk.now())
            step = self._nothing
        self._watch()

    @staticmethod
    def _nothing(_: int) -> bool:
        return True

    def _hear_client(self, events: int) -> bool:
        if events & select.POLLOUT:
            self._flush()
        if events & ~select.POLLOUT:
            self._receive(events)
        return True

    def _hear_tunnel(self, events: int) -> bool:
        tunnel = self._tunnel
        if tunnel is None:
            return True
        if events & select.POLLOUT:
            tunnel.send(b"")
        if self._client_is_full:
            # What it still says would find no place; it is asked again.
            if events & (select.POLLHUP | select.POLLERR):
                raise TunnelLost(CLOSED)
            return True
        if events & ~select.POLLOUT:
            if self._transmission is not None:
                return self._pass_on(tunnel, self._transmission) or bool(events & select.POLLOUT)
            exchange = tunnel.shake_hands(self._disk.now())
            if exchange:
                self._take_answer(exchange)
        return True

    def _hear_candidate(self, events: int) -> bool:
        candidate = self._candidate
        if candidate is None:
            return True
        try:
            if events & select.POLLOUT:
                candidate.send(b"")
            if events & ~select.POLLOUT:
                exchange = candidate.shake_hands(self._disk.now())
                if exchange:
                    # The greeting of the client's first tunnel: nothing was recorded before it.
                    self._record.append(exchange)
                    self._outgoing += exchange.answer
        except TunnelLost as lost:
            self._drop_candidate(str(lost), self._disk.now())
            if isinstance(lost, TunnelFault) and self._tunnel is None:
                self._disk.count_fault(lost)
        return True

    def _settle(self) -> None:
        """Do what can be done now with what both sides have said."""
        self._adopt_candidate()
        transmission = self._transmission
        if transmission is None:
            self._take_options()
            transmission = self._transmission
        if transmission is not None:
            if self._incoming:
                transmission.take_requests(self._incoming)
            if transmission.own and not transmission.left and not self._data.pending:
                self._outgoing += transmission.own
                transmission.own.clear()
            data = transmission.to_send()
            if data and self._tunnel:
                self._tunnel.send(data)
            if transmission.disconnecting and not transmission.open_requests:
                self._flush()
                if not self._client_is_full:
                    raise ClientGone
        self._flush()

    # The client's side

    def _receive(self, events: int) -> None:
        if not self._hears:
            # Nothing is read now, but we are told when the client has gone.
            if events & (POLLRDHUP | select.POLLHUP | select.POLLERR):
                raise ClientGone
            return
        try:
            data = self._client.recv(REQUESTS_BYTES if self._transmission is not None else MAX_OPTION_BYTES)
        except BlockingIOError:
            return
        except OSError:
            raise ClientGone from None
        if not data:
            raise ClientGone
        self._incoming += data

    @property
    def _wants_to_hear(self) -> bool:
        if self._transmission is not None:
            return not self._transmission.enough
        return len(self._incoming) <= MAX_OPTION_BYTES and not self._client_is_full

    def _flush(self, whole: bool = True) -> None:
        """Give the client what there is for it, as far as it takes it.

        whole: a reply that is not complete yet may wait, if there is room: the client is then woken once for it.
        """
        more = self._transmission is not None and self._transmission.left > 0
        if more and whole and self._data.room and not self._client_is_full:
            return
        try:
            while self._outgoing:
                del self._outgoing[: self._client.send(self._outgoing, MSG_MORE if more else 0)]
            if self._data.pending:
                self._data.drain(self._client, more)
            self._client_is_full = False
        except BlockingIOError:
            self._client_is_full = True
        except OSError:
            raise ClientGone from None

    def _take_options(self) -> None:
        while self._transmission is None and self._record and self._asked is None and not self._outgoing:
            option = self._handshake.next_option(self._incoming)
            if option is None:
                return
            if option.number == OPT_ABORT:
                self._outgoing += packed_answer(OPT_ABORT, REP_ACK)
                self._flush()
                raise ClientGone
            if option.number in OPTIONS_PASSED_ON:
                # The client's flags go before the first option that the server sees.
                flags = (self._handshake.flags or b"") if len(self._record) == 1 else b""
                self._asked = (option.number, flags + option.packed)
                self._ask()
            else:
                # Structured replies and extended headers could not be asked for again in part; TLS would make us
                # blind; and what we do not know we cannot record.
                self._outgoing += packed_answer(option.number, REP_ERR_UNSUP)
                self._flush()

    def _ask(self) -> None:
        if self._tunnel and self._asked:
            number, question = self._asked
            no_zeroes = self._handshake.no_zeroes and bool(self._record[0].answer[17] & FLAG_NO_ZEROES)
            self._tunnel.ask(number, question, no_zeroes)

    def _take_answer(self, exchange: Exchange) -> None:
        self._asked = None
        self._record.append(exchange)
        self._outgoing += exchange.answer
        self._answered()
        size = export_size(exchange)
        if size is not None:
            self._disk.check_size(size)
        if accepts_export(exchange):
            self._transmission = Transmission(self._disk.reads)
            self._transmission.connected()

    # The tunnel's side

    def _pass_on(self, tunnel: Tunnel, transmission: Transmission) -> bool:
        """Pass replies on while there are some, the client takes them, and the client's requests can wait.

        Returns whether anything but the next reply follows from it. This is where the time goes: it is called several
        times for each megabyte.
        """
        for _ in range(16):
            if transmission.left and not transmission.resuming:
                more = self._pass_data_on(tunnel, transmission)
            else:
                more = self._pass_header_on(tunnel, transmission)
            if not more:
                break
        return not self._plain or self._client_is_full or self._hears != self._wants_to_hear

    def _pass_data_on(self, tunnel: Tunnel, transmission: Transmission) -> bool:
        """Returns whether there may be more, for a client that takes it."""
        wanted = transmission.left
        try:
            count = self._data.fill(tunnel.socket, wanted)
        except BlockingIOError:
            if not self._data.pending:
                return False
            # Small pieces fill a pipe too.
            self._flush(whole=False)
            return not self._client_is_full
        except OSError as error:
            if self._data_works_otherwise(error):
                return True
            raise TunnelLost(reason_of(error)) from None
        if not count:
            raise TunnelLost(CLOSED)
        transmission.passed_on(count)
        self._disk.relayed += count
        self._heard_at = self.worked_at = self._disk.now()
        tunnel.useful = True
        if count == wanted:
            self._answered()
        self._flush()
        return count == wanted and not self._client_is_full

    def _pass_header_on(self, tunnel: Tunnel, transmission: Transmission) -> bool:
        """Returns whether there may be more, for a client that takes it."""
        self._header += tunnel.receive(REPLY.size - len(self._header))
        if len(self._header) < REPLY.size:
            return False
        header = bytes(self._header)
        self._header.clear()
        self._outgoing += transmission.reply(header)
        if transmission.left:
            # The client gets it together with the data.
            return True
        self._answered()
        self._flush()
        return not self._client_is_full

    def _data_works_otherwise(self, error: OSError) -> bool:
        """Whether only the way without copying does not work here: then the other one is taken from now on."""
        unable = error.errno in (errno.EINVAL, errno.ENOSYS, errno.EPERM)
        if not unable or self._data.pending or isinstance(self._data, CopiedData):
            return False
        self._disk.log("data is copied, because splice fails: " + reason_of(error))
        self._data.close()
        self._disk.splice = False
        self._data = self._disk.new_data()
        return True

    def _answered(self) -> None:
        """The tunnel has answered what it was asked."""
        self._heard_at = self.worked_at = self._disk.now()
        self._disk.faults = 0
        if self._tunnel:
            self._tunnel.useful = True

    def _adopt_candidate(self) -> None:
        """Move over to the candidate when it is ready, and the present tunnel has answered all or stalls."""
        candidate = self._candidate
        if candidate is None or not candidate.handshake.caught_up:
            return
        transmission = self._transmission
        if self._tunnel:
            if transmission is not None and transmission.unanswered:
                if not transmission.held:
                    self._disk.log(
                        f"tunnel {candidate.generation} is there, tunnel {self._tunnel.generation} finishes"
                    )
                # nbdkit 1.32 aborts when a connection ends that it is answering on.
                transmission.held = True
                if self._client_is_full or self._disk.now() - self._heard_at <= STALLED_SECONDS:
                    return
            self._disk.log(f"moves from tunnel {self._tunnel.generation} to {candidate.generation}")
            self._close_tunnel()
        else:
            self._disk.log(f"uses tunnel {candidate.generation}")
        self._tunnel = candidate
        self._candidate = None
        self._poller.forget(candidate.socket)
        self._header.clear()
        self._tunnels += 1
        if self._tunnels > 1:
            self._disk.reconnects += 1
        if transmission is None:
            self._ask()
        else:
            transmission.connected()

    def _close_tunnel(self) -> None:
        tunnel = self._tunnel
        if tunnel is None:
            return
        transmission = self._transmission
        if transmission is not None:
            if not transmission.unanswered and not tunnel.outgoing:
                with contextlib.suppress(TunnelLost):
                    tunnel.send(REQUEST.pack(REQUEST_MAGIC, 0, CMD_DISC, 0, 0, 0))
            transmission.disconnected()
        self._poller.forget(tunnel.socket)
        tunnel.close()
        self._tunnel = None

    def _lose_tunnel(self, lost: TunnelLost, now: float) -> None:
        tunnel = self._tunnel
        if tunnel is None:
            return
        self._disk.log(f"tunnel {tunnel.generation} is lost: {lost}")
        if tunnel.useful:
            self._disk.generations.worked(tunnel.generation)
        else:
            self._disk.generations.failed(tunnel.generation, now)
        self._poller.forget(tunnel.socket)
        tunnel.close()
        self._tunnel = None
        if self._transmission is not None:
            self._transmission.disconnected()
        if isinstance(lost, TunnelFault):
            self._disk.count_fault(lost)

    def _drop_candidate(self, why: str, now: float) -> None:
        candidate = self._candidate
        if candidate is None:
            return
        self._disk.log(f"tunnel {candidate.generation} is not used: {why}")
        self._disk.generations.failed(candidate.generation, now)
        self._poller.forget(candidate.socket)
        candidate.close()
        self._candidate = None
        if self._transmission is not None:
            self._transmission.unhold()

    # Both

    def _watch(self) -> None:
        full = self._client_is_full
        transmission = self._transmission
        self._plain = not full and not self._candidate and not self._incoming and transmission is not None
        if transmission is not None and transmission.special:
            self._plain = False
        self._hears = self._wants_to_hear
        mask = select.POLLIN if self._hears else POLLRDHUP
        self._poller.watch(self._client, mask | (select.POLLOUT if full else 0), self._on_client)
        tunnel = self._tunnel
        if tunnel:
            mask = tunnel.mask
            if full:
                # Nothing is taken from it that the client does not take. Its end would wake us in vain meanwhile.
                mask &= ~select.POLLIN
            self._poller.watch(tunnel.socket, mask, self._on_tunnel)
        if self._candidate:
            self._poller.watch(self._candidate.socket, self._candidate.mask, self._on_candidate)

    def close(self) -> None:
        self._close_tunnel()
        if self._candidate:
            self._poller.forget(self._candidate.socket)
            self._candidate.close()
        self._drop_knock()
        self._poller.forget(self._client)
        self._client.close()
        self._data.close()


def control_lives() -> bool:
    """Whether p2v-tui is there, as far as the server knows: its logins may take their time."""
    try:
        os.kill(int(Path(CONTROL_PID).read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


class DiskRelay:
    """A disk: the port for its clients, its clients, and what the status says of it. `run()` is its thread."""

    def __init__(
        self,
        number: int,
        seconds: float,
        many_clients: bool,
        log: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.number = number
        self.state = WAITING
        self.reason = ""
        self.cause = ""
        self.size: Optional[int] = None
        self.reads = DiskReads()
        self.relayed = 0
        self.reconnects = 0
        self.faults = 0
        self.splice = hasattr(os, "splice")
        self.poller = Poller()
        self.generations = Generations(number)
        self.now = time.monotonic
        self._generation = 0
        self._silent = 0.0
        self._stalled = 0.0
        self._seconds = seconds
        self._started = False
        # Nobody has come for it, and virt-v2v was never started.
        self.abandoned = False
        self._many_clients = many_clients
        self._log = log
        self._changed = changed
        self._refusals = 0
        self._clients: List[ClientConnection] = []
        self._probe: Optional[Probe] = None
        self._probed_at = 0.0
        self._worked_at = self.now()
        self._listeners = listen_on_loopback()
        self.port = self._listeners[0].getsockname()[1]

    @property
    def status(self) -> Dict[str, object]:
        return {
            "port": self.port,
            "generation": self._generation,
            "size": self.size,
            "state": self.state,
            "reason": self.reason,
            "cause": self.cause,
            "relayed": self.relayed,
            "distinct": self.reads.distinct,
            "reconnects": self.reconnects,
            "silent": int(self._silent),
            "stalled": int(self._stalled),
            "failures": self.reads.failures,
            "failure": self.reads.failure._asdict() if self.reads.failure else None,
        }

    @property
    def ended(self) -> bool:
        return self.state in (DONE, GIVEN_UP)

    def log(self, text: str) -> None:
        self._log(f"disk {self.number}: {text}")

    def run(self) -> None:
        """Serve until the client has gone or the disk is given up; never raises."""
        try:
            self.log(f"listens on port {self.port}")
            for listener in self._listeners:
                self.poller.watch(listener, select.POLLIN, functools.partial(self._accept, listener))
            next_tick = pause = 0.0
            while not self.ended:
                now = self.now()
                if now >= next_tick:
                    self._tick(now)
                    pause = TICK_SECONDS if self._generation else WAITING_TICK_SECONDS
                    next_tick = now + pause
                self.poller.wait(pause)
        except Unrecoverable as error:
            self.give_up(str(error), error.cause)
        except Exception:  # A bug in one disk's thread must not end the others.
            self.log("internal error: " + " / ".join(traceback.format_exc().split("\n")))
            self.give_up("internal error")
        finally:
            self._close()

    def give_up(self, reason: str, cause: str = "") -> None:
        self.state = GIVEN_UP
        self.reason = reason
        self.cause = cause
        self.log("given up: " + reason)
        self._changed()

    # What clients need

    def new_data(self) -> "CopiedData | SplicedData":
        if self.splice:
            with contextlib.suppress(OSError):
                return SplicedData()
        return CopiedData()

    def serve(self, client: ClientConnection, step: Callable[..., None], *arguments: object) -> None:
        """Do something for a client, and end it when it has gone or cannot go on."""
        try:
            step(*arguments)
        except ClientGone:
            self._end(client, "")
        except ClientFault as fault:
            self._end(client, str(fault))

    def check_size(self, size: int) -> None:
        if self.size is not None and self.size != size:
            raise Unrecoverable(ANOTHER_DISK, LACKS_DISK)
        self.size = size
        self.reads.set_size(size)

    def count_fault(self, fault: TunnelFault) -> None:
        self.faults += 1
        if self.faults >= MAX_FAULTS:
            raise Unrecoverable(str(fault))

    # Clients come and go

    def _accept(self, listener: socket.socket, _: int) -> None:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        try:
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            user = user_of_client(client)
        except OSError:
            client.close()
            return
        if user not in (0, os.getuid()):
            client.close()
            self._refuse("a client of " + ("an unknown user" if user is None else f"user {user}"))
            return
        if len(self._clients) >= MAX_CLIENTS:
            client.close()
            self._refuse(f"more than {MAX_CLIENTS} clients")
            return
        self.log("a client came")
        if not self._many_clients:
            self._stop_listening()
        self._drop_probe()
        self.state = RELAYING
        self._generation = 0
        connection = ClientConnection(self, client, self.now())
        self._clients.append(connection)
        self.serve(connection, connection.tick, self.now())
        self._changed()

    def _refuse(self, who: str) -> None:
        self._refusals += 1
        if self._refusals <= MAX_REFUSALS_LOGGED:
            last = "; further ones are not logged" if self._refusals == MAX_REFUSALS_LOGGED else ""
            self.log("refused " + who + last)

    def _end(self, client: ClientConnection, fault: str) -> None:
        if client not in self._clients:
            return
        self._clients.remove(client)
        self._worked_at = max(self._worked_at, client.worked_at)
        client.close()
        self.log("the client was closed: " + fault if fault else "the client has gone")
        if fault:
            self.reason = fault
        if not self._many_clients:
            self.state = GIVEN_UP if fault else DONE
            self._changed()
        elif not self._clients:
            self.state = WAITING
            self._generation = 0
            self._silent = self._stalled = 0.0

    # Tunnels come and go

    def _tick(self, now: float) -> None:
        self.generations.look()
        if self._clients:
            for client in list(self._clients):
                self.serve(client, client.tick, now)
        if self._clients:
            self._generation = max(client.generation for client in self._clients)
            self._silent = max(client.silent(now) for client in self._clients)
            self._stalled = max(client.stalled(now) for client in self._clients)
            worked_at = min(client.worked_at for client in self._clients)
        else:
            self._look_for_tunnel(now)
            worked_at = self._worked_at
        seconds = self._patience
        if now - worked_at > seconds and not self.ended:
            self.abandoned = seconds < self._seconds
            raise Unrecoverable(f"no working tunnel for {seconds:g} s", LACKS_TUNNEL)

    @property
    def _patience(self) -> float:
        """Seconds without a tunnel. It may be long for the sake of a conversion that runs only."""
        if not self._started and not self._clients:
            self._started = Path(WRAPPER_PID).exists()
            if not self._started and not control_lives():
                return min(self._seconds, UNSTARTED_SECONDS)
        return self._seconds

    def _look_for_tunnel(self, now: float) -> None:
        """Without a client: find out which tunnel answers, and now and then whether it still does."""
        probe = self._probe
        if probe and now - probe.heard_at > self.generations.patience(probe.generation, now):
            self._probe_failed(probe, "it does not answer")
        overdue = now - self._probed_at > min(IDLE_PROBE_SECONDS, self._patience / 3)
        above = 0 if overdue else self._generation
        if self._probe:
            above = max(above, self._probe.generation)
        for generation in self.generations.to_try(above, now):
            try:
                probe = Probe(self.number, generation, now)
            except TunnelLost:
                self._generation_failed(generation)
                continue
            self._drop_probe()
            self._probe = probe
            self.poller.watch(probe.socket, probe.mask, self._on_probe)
            return

    def _on_probe(self, events: int) -> None:
        del events
        probe = self._probe
        if probe is None:
            return
        try:
            exchange = probe.hear(self.now())
            if exchange:
                self._probed(probe, exchange)
                return
            self.poller.watch(probe.socket, probe.mask, self._on_probe)
        except TunnelLost as lost:
            self._probe_failed(probe, str(lost))
            if isinstance(lost, TunnelFault):
                self.count_fault(lost)

    def _probed(self, probe: Probe, exchange: Exchange) -> None:
        size = export_size(exchange)
        if not accepts_export(exchange) or size is None:
            raise TunnelFault("the server has no default export")
        self.check_size(size)
        probe.say_goodbye()
        self._drop_probe()
        self.faults = 0
        if self._generation != probe.generation:
            self.log(f"tunnel {probe.generation} answers: {size} bytes")
        self._generation = probe.generation
        self.generations.worked(probe.generation)
        self._probed_at = self._worked_at = self.now()
        self.state = READY
        self._changed()

    def _probe_failed(self, probe: Probe, why: str) -> None:
        self.log(f"tunnel {probe.generation} does not answer: {why}")
        self._drop_probe()
        self._generation_failed(probe.generation)

    def _generation_failed(self, generation: int) -> None:
        self.generations.failed(generation, self.now())
        if generation == self._generation:
            self._generation = 0
            self.state = WAITING

    def _drop_probe(self) -> None:
        if self._probe:
            self.poller.forget(self._probe.socket)
            self._probe.close()
            self._probe = None

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            self.poller.forget(listener)
            listener.close()
        self._listeners = []

    def _close(self) -> None:
        self._stop_listening()
        self._drop_probe()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.close()
        self._clients = []
        self._generation = 0
        self._silent = self._stalled = 0.0


# ---- The program


class StatusFile:
    """relay.status and how it is replaced: nobody ever reads half of it."""

    def __init__(self, disks: Sequence[DiskRelay]) -> None:
        self._disks = disks
        self._last = ""

    def write(self) -> None:
        """Write it if it has changed. Raises OSError."""
        text = json.dumps({"pid": os.getpid(), "disks": [disk.status for disk in self._disks]}) + "\n"
        if text == self._last:
            return
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            number = os.open("relay.status.new", flags | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(number, "w") as file:
                file.write(text)
            Path("relay.status.new").replace("relay.status")
        except OSError:
            # A full disk has no room for a second file. The first one has its room.
            with os.fdopen(os.open("relay.status", flags), "w") as file:
                file.write(text.ljust(len(self._last)))
        self._last = text


def log(text: str) -> None:
    """One line on standard error, with the time. A full disk must not end the relay."""
    line = time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime()) + text + "\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode("ascii", "replace"))


def relay(disks: int, seconds: float, many_clients: bool) -> int:
    """Relay the disks of the working directory. Returns the exit code. Raises OSError when it cannot start."""
    wake_up, ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    told: List[int] = []

    def changed() -> None:
        # A pipe that is full wakes us too.
        with contextlib.suppress(OSError):
            os.write(ring, b"\0")

    def end(number: int, _: object) -> None:
        told.append(number)
        changed()

    # Without it no client could be told from a stranger's; better to know that now.
    Path("/proc/net/tcp").open().close()
    relays = [DiskRelay(number, seconds, many_clients, log, changed) for number in range(disks)]
    status = StatusFile(relays)
    status.write()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGUSR1, end)
    signal.signal(signal.SIGINT, end)
    threads = [threading.Thread(target=one.run, daemon=True) for one in relays]
    for thread in threads:
        thread.start()
    waiting = select.poll()
    waiting.register(wake_up, select.POLLIN)
    written = True
    while not told and any(thread.is_alive() for thread in threads):
        if waiting.poll(int(STATUS_SECONDS * 1000)):
            os.read(wake_up, 4096)
        written = write_status(status, written)
    for one in relays:
        if one.ended:
            continue
        if signal.SIGUSR1 in told:
            one.state = DONE
        else:
            one.give_up("the relay was told to end")
    write_status(status, written)
    if not told and all(one.abandoned for one in relays):
        # Nobody comes back to a conversion that never began: nothing of it may stay.
        log("virt-v2v was never started: the directory is removed")
        shutil.rmtree(str(Path.cwd()), ignore_errors=True)
    return 0 if told or all(one.state == DONE for one in relays) else 1


def write_status(status: StatusFile, written: bool) -> bool:
    """Write the status if that is possible, and complain once while it is not. Returns whether it was."""
    try:
        status.write()
    except OSError as error:
        if written:
            log("relay.status cannot be written: " + reason_of(error))
        return False
    return True


def main(arguments: Sequence[str]) -> int:
    many_clients = "--many-clients" in arguments
    rest = [argument for argument in arguments if argument != "--many-clients"]
    try:
        directory, disks, seconds = rest[0], int(rest[1]), float(rest[2])
        if len(rest) != 3 or not 0 < disks <= 256 or not 0 < seconds < 1e9:
            raise ValueError
    except (ValueError, IndexError):
        log("usage: nbd_relay.py DIRECTORY DISKS SECONDS [--many-clients]")
        return 2
    os.umask(0o077)
    try:
        os.chdir(directory)
        return relay(disks, seconds, many_clients)
    except OSError as error:
        log("the relay cannot start: " + (f"{error.filename}: " if error.filename else "") + reason_of(error))
        return 2


def run() -> NoReturn:
    # At once: the threads of the disks need no goodbye, and the kernel closes what they have open.
    os._exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
