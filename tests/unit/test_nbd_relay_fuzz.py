"""The NBD relay between two sides that say anything: it goes on or ends in order, and never passes on a wrong byte.

What a server sends as data cannot be checked by anyone, so damage is done to everything else: greetings, answers,
headers, the order of replies, and where a connection ends.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p2v_tui.session.data.relay import limits, loop, nbd
from p2v_tui.session.data.relay.errors import ClientFault, TunnelFault, Unrecoverable
from p2v_tui.session.data.relay.handshake import (
    ClientHandshake,
    Exchange,
    Option,
    ServerHandshake,
    accepts_export,
    export_size,
)
from p2v_tui.session.data.relay.limits import MAX_ANSWER_BYTES, MAX_OPTION_BYTES
from p2v_tui.session.data.relay.nbd import (
    CMD_BLOCK_STATUS,
    CMD_DISC,
    CMD_FLUSH,
    CMD_READ,
    CMD_TRIM,
    CMD_WRITE,
    FLAG_FIXED_NEWSTYLE,
    GREETING,
    INFO_EXPORT,
    INIT_MAGIC,
    OPT_EXPORT_NAME,
    OPT_GO,
    OPT_GREETING,
    OPT_INFO,
    OPTION_MAGIC,
    REP_ACK,
    REP_ERR_UNSUP,
    REP_INFO,
    REPLY,
    REPLY_MAGIC,
    REQUEST,
    REQUEST_MAGIC,
    packed_answer,
)
from p2v_tui.session.data.relay.states import DiskState
from p2v_tui.session.data.relay.transmission import Transmission
from tests.unit.nbd_relay_lab import (
    MIB,
    READ_ONLY_FLAGS,
    TIMEOUT,
    Asked,
    ExportRefused,
    RelayClient,
    RunningRelay,
    ScriptedServer,
    ServedConnection,
    wait_until,
)

IMAGE = bytes(os.urandom(256 * 1024))
SIZE = len(IMAGE)

# ---- Damage


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with something changed, left out, doubled, moved, put in or cut off, or with nothing done to them."""
    place = st.integers(0, len(whole))

    def flip(at: int, bit: int) -> bytes:
        changed = bytearray(whole)
        if at < len(changed):
            changed[at] ^= 1 << bit
        return bytes(changed)

    def move(one: int, two: int) -> bytes:
        low, high = sorted((one, two))
        return whole[:low] + whole[high:] + whole[low:high]

    return st.one_of(
        st.just(whole),
        st.builds(flip, place, st.integers(0, 7)),
        st.builds(lambda at: whole[:at], place),
        st.builds(lambda at, put_in: whole[:at] + put_in + whole[at:], place, st.binary(max_size=40)),
        st.builds(move, place, place),
        st.builds(lambda at: whole[:at] + whole, place),
        st.binary(max_size=200),
    )


def pieces(whole: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """The same bytes as they may arrive."""
    before = 0
    for cut in sorted(min(cut, len(whole)) for cut in cuts):
        yield whole[before:cut]
        before = cut
    yield whole[before:]


GREETED = GREETING.pack(INIT_MAGIC, OPTION_MAGIC, 3)
GONE = packed_answer(OPT_GO, REP_INFO, INFO_EXPORT.pack(0, SIZE, READ_ONLY_FLAGS)) + packed_answer(OPT_GO, REP_ACK)
GO = struct.pack(">I", 3) + Option(OPT_GO, bytes(6)).packed
RECORD = (
    Exchange(OPT_GREETING, b"", GREETED),
    Exchange(OPT_INFO, Option(OPT_INFO, bytes(6)).packed, packed_answer(OPT_INFO, REP_ERR_UNSUP)),
    Exchange(OPT_GO, GO, GONE),
)
CUTS = st.lists(st.integers(0, 200), max_size=6)


# ---- The handshake, without sockets


@given(damaged(GREETED + GONE), CUTS)
def test_a_handshake_is_what_a_server_says_or_it_is_refused(said: bytes, cuts: list[int]) -> None:
    handshake = ServerHandshake(())
    answers = b""
    try:
        for piece in pieces(said, cuts):
            # No server says more than it is asked for, and it is asked for one thing at a time.
            before, after = piece[: max(0, 18 - len(answers))], piece[max(0, 18 - len(answers)) :]
            for part in (before, after):
                exchange = handshake.receive(part) if part else None
                if exchange and exchange.option == OPT_GREETING:
                    assert exchange.answer.startswith(INIT_MAGIC + OPTION_MAGIC)
                    assert exchange.answer[17] & FLAG_FIXED_NEWSTYLE
                    handshake.ask(OPT_GO, GO, True)
                elif exchange:
                    assert export_size(exchange) in {None, SIZE} or said != GREETED + GONE
                    assert accepts_export(exchange) in {True, False}
            answers += piece
    except TunnelFault:
        assert said != GREETED + GONE


@given(st.binary(max_size=300), st.sampled_from([OPT_GO, OPT_INFO, OPT_EXPORT_NAME, 9, 3]), st.booleans())
def test_an_answer_of_any_bytes_is_whole_or_refused(said: bytes, option: int, no_zeroes: bool) -> None:
    for answer in (said, packed_answer(option, REP_INFO, said) + packed_answer(option, REP_ACK)):
        handshake = ServerHandshake(())
        handshake.receive(GREETED)
        handshake.ask(option, b"", no_zeroes)
        try:
            exchange = handshake.receive(answer)
        except TunnelFault:
            continue
        if exchange:
            assert exchange.answer == answer
            export_size(exchange)
            accepts_export(exchange)


def test_an_answer_without_an_end_is_refused() -> None:
    for kind in (REP_INFO, 2):
        handshake = ServerHandshake(())
        handshake.receive(GREETED)
        handshake.ask(OPT_GO, b"", True)
        with pytest.raises(TunnelFault):
            for _ in range(2 + MAX_ANSWER_BYTES // 1000):
                handshake.receive(packed_answer(OPT_GO, kind, bytes(1000)))


@given(damaged(GREETED + RECORD[1].answer + GONE), CUTS)
def test_a_replayed_handshake_is_the_same_or_it_is_refused(said: bytes, cuts: list[int]) -> None:
    handshake = ServerHandshake(RECORD)
    try:
        for piece in pieces(said, cuts):
            assert handshake.receive(piece) is None
    except (TunnelFault, Unrecoverable):
        assert said != GREETED + RECORD[1].answer + GONE
    else:
        # Less than the whole is no end.
        assert handshake.caught_up == (said == GREETED + RECORD[1].answer + GONE)


@given(
    damaged(
        struct.pack(">I", 3) + Option(OPT_INFO, b"").packed + Option(8, b"").packed + Option(OPT_GO, bytes(6)).packed
    ),
    CUTS,
)
def test_the_clients_handshake_is_taken_apart_or_refused(said: bytes, cuts: list[int]) -> None:
    handshake = ClientHandshake()
    incoming = bytearray()
    taken = b""
    try:
        for piece in pieces(said, cuts):
            incoming += piece
            while option := handshake.next_option(incoming):
                taken += option.packed
    except ClientFault:
        return
    # Nothing is lost, invented or reordered.
    assert ((handshake.flags or b"") + taken + incoming) == said


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
@example(OPT_GO, MAX_OPTION_BYTES + 1)
def test_no_option_may_be_long(number: int, length: int) -> None:
    handshake = ClientHandshake()
    incoming = bytearray(struct.pack(">I", 3) + nbd.OPTION.pack(OPTION_MAGIC, number, length))
    if length > MAX_OPTION_BYTES:
        with pytest.raises(ClientFault):
            handshake.next_option(incoming)


# ---- Requests and replies, without sockets


class RepliesOverTunnels(RuleBasedStateMachine):
    """A client that asks, a server that answers in any order and in pieces, tunnels that die and are replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.transmission = Transmission()
        self.connected = False
        self.held = False
        self.cookies = 0
        self.asked: dict[int, Asked] = {}
        self.refused: set[int] = set()
        self.to_client = bytearray()
        self.at_server: list[Asked] = []
        # What the server is in the middle of, and how much of it was sent.
        self.answering: tuple[Asked, int] | None = None

    def send(self) -> None:
        requests = self.transmission.to_send()
        assert len(requests) % REQUEST.size == 0
        for _, _, command, cookie, offset, length in REQUEST.iter_unpack(requests):
            self.at_server.append(Asked(command, cookie, offset, length))
        if self.transmission.own and not self.transmission.left:
            self.to_client += self.transmission.own
            self.transmission.own.clear()

    def take(self, data: bytes) -> None:
        incoming = bytearray(data)
        self.transmission.take_requests(incoming)
        assert not incoming
        self.send()

    @rule(offset=st.integers(0, SIZE - 5000), length=st.integers(0, 5000))
    @precondition(lambda self: not self.transmission.full)
    def client_reads(self, offset: int, length: int) -> None:
        self.cookies += 1
        self.asked[self.cookies] = Asked(CMD_READ, self.cookies, offset, length)
        self.take(REQUEST.pack(REQUEST_MAGIC, 0, CMD_READ, self.cookies, offset, length))

    @rule(command=st.sampled_from([CMD_TRIM, CMD_WRITE, CMD_BLOCK_STATUS]), length=st.integers(0, 2000))
    @precondition(lambda self: not self.transmission.full)
    def client_asks_for_what_it_must_not(self, command: int, length: int) -> None:
        self.cookies += 1
        self.refused.add(self.cookies)
        data = bytes(length) if command == CMD_WRITE else b""
        self.take(REQUEST.pack(REQUEST_MAGIC, 0, command, self.cookies, 0, length) + data)

    @rule()
    @precondition(lambda self: not self.connected)
    def tunnel_comes(self) -> None:
        self.connected = True
        self.held = False
        self.transmission.connected()
        self.send()

    @rule()
    @precondition(lambda self: self.connected)
    def tunnel_dies(self) -> None:
        self.connected = False
        self.transmission.disconnected()
        self.at_server.clear()
        self.answering = None

    @rule()
    @precondition(lambda self: self.connected)
    def newer_tunnel_is_waited_for_or_not(self) -> None:
        self.held = not self.held
        if self.held:
            self.transmission.held = True
        else:
            self.transmission.unhold()
        self.send()

    @rule(which=st.integers(0, 300), count=st.integers(1, 6000), error=st.sampled_from([0, 0, 0, 5]))
    @precondition(lambda self: self.at_server or self.answering)
    def server_answers(self, which: int, count: int, error: int) -> None:
        if self.answering is None:
            asked = self.at_server.pop(which % len(self.at_server))
            if self.transmission.resuming:
                error = 0  # That ends the client, and is tested elsewhere.
            self.to_client += self.transmission.reply(REPLY.pack(REPLY_MAGIC, error, asked.cookie))
            if not error and asked.length:
                self.answering = (asked, 0)
            assert bool(self.transmission.left) == (self.answering is not None)
        if self.answering is not None:
            asked, sent = self.answering
            count = min(count, self.transmission.left)
            self.to_client += IMAGE[asked.offset + sent : asked.offset + sent + count]
            self.transmission.passed_on(count)
            self.answering = (asked, sent + count) if self.transmission.left else None
        self.send()

    @invariant()
    def the_client_got_whole_right_replies(self) -> None:
        self.replies()

    def replies(self) -> dict[int, int]:
        """The errors by cookie of the replies that the client has got so far."""
        got: dict[int, int] = {}
        at = 0
        while len(self.to_client) >= at + REPLY.size:
            magic, error, cookie = REPLY.unpack_from(self.to_client, at)
            at += REPLY.size
            assert magic == REPLY_MAGIC
            assert cookie not in got
            got[cookie] = error
            if cookie in self.refused:
                assert error
            elif not error:
                asked = self.asked[cookie]
                data = self.to_client[at : at + asked.length]
                assert IMAGE[asked.offset :].startswith(data)
                at += len(data)
        return got

    def teardown(self) -> None:
        if self.connected:
            self.tunnel_dies()
        self.tunnel_comes()
        while self.at_server or self.answering:
            self.server_answers(0, 6000, 0)
        assert set(self.replies()) == set(self.asked) | self.refused
        assert self.transmission.open_requests == 0
        assert not self.transmission.unanswered


RepliesOverTunnels.TestCase.settings = settings(max_examples=settings().max_examples * 3 // 5, stateful_step_count=40)
TestRepliesOverTunnels = RepliesOverTunnels.TestCase


@given(st.binary(max_size=400), CUTS)
def test_requests_of_any_bytes_are_taken_or_refused(said: bytes, cuts: list[int]) -> None:
    transmission = Transmission()
    transmission.connected()
    incoming = bytearray()
    try:
        for piece in pieces(REQUEST.pack(REQUEST_MAGIC, 0, CMD_FLUSH, 1, 0, 0) + said, cuts):
            incoming += piece
            transmission.take_requests(incoming)
            assert len(incoming) < REQUEST.size
    except ClientFault:
        pass


@given(st.binary(min_size=16, max_size=16))
def test_a_reply_of_any_bytes_is_refused(header: bytes) -> None:
    transmission = Transmission()
    transmission.connected()
    transmission.take_requests(bytearray(REQUEST.pack(REQUEST_MAGIC, 0, CMD_READ, 1, 0, 512)))
    if header != REPLY.pack(REPLY_MAGIC, 0, 1):
        with pytest.raises(TunnelFault):
            transmission.reply(header)
    assert transmission.left == 0


# ---- The whole relay of a disk, with sockets


@dataclass(frozen=True)
class Connection:
    """What a server does on one connection: says this in the handshake, then answers so many requests, and an end.

    order: in which the requests that it has got are answered. end: what comes after those.
    """

    handshake: bytes
    answers: int
    order: int
    end: str
    cut: int


ENDS = ["close", "cut reply", "cut header", "unknown cookie", "bad magic", "twice", "garbage", "error"]
CONNECTIONS = st.lists(
    st.builds(
        Connection,
        damaged(GREETED + GONE) | st.just(GREETED + GONE),
        st.integers(0, 6),
        st.integers(0, 1000),
        st.sampled_from(ENDS),
        st.integers(0, 9000),
    ),
    max_size=4,
)
READS = st.lists(st.tuples(st.integers(0, SIZE - 9000), st.integers(1, 9000)), min_size=1, max_size=12)


def follow(plan: Connection, connection: ServedConnection) -> None:
    """Do to the relay what the plan says, and hang up when it has nothing to say to that."""
    connection.socket.settimeout(0.05)
    # It is said at once, asked or not: whoever listens only when it expects something is caught by that.
    greeting, rest = plan.handshake[: len(GREETED)], plan.handshake[len(GREETED) :]
    connection.socket.sendall(greeting)
    if plan.handshake.startswith(GREETED):
        connection.receive(len(GO))
    connection.socket.sendall(rest)
    if plan.handshake != GREETED + GONE:
        return
    for number in range(plan.answers):
        waiting = [connection.asked()]
        if plan.order & (1 << number):
            waiting.append(connection.asked())
        for asked in reversed(waiting):
            connection.reply(asked)
    asked = connection.asked()
    match plan.end:
        case "cut reply":
            connection.reply(asked, cut=min(plan.cut, asked.length - 1))
        case "cut header":
            connection.socket.sendall(REPLY.pack(REPLY_MAGIC, 0, asked.cookie)[: plan.cut % REPLY.size])
        case "unknown cookie":
            connection.socket.sendall(REPLY.pack(REPLY_MAGIC, 0, asked.cookie + 1000) + bytes(asked.length))
        case "bad magic":
            connection.socket.sendall(REPLY.pack(REPLY_MAGIC ^ 1, 0, asked.cookie))
        case "twice":
            connection.reply(asked)
            connection.reply(asked)
        case "garbage":
            connection.socket.sendall(bytes(plan.cut))
        case "error":
            connection.reply(asked, error=5)
            connection.serve()


@pytest.fixture
def hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory of its own, where a pause is none and a reply larger than what the relay takes at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limits, "BUFFER_BYTES", 4096)
    for pause in ("FIRST_RETRY_SECONDS", "LAST_RETRY_SECONDS", "WAITING_TICK_SECONDS"):
        monkeypatch.setattr(limits, pause, 0.001)


class InThread:
    """A disk's relay in a thread of ours. Disks have numbers, so that a directory serves for all examples."""

    numbers = iter(range(1 << 30))

    def __init__(self) -> None:
        self.number = next(self.numbers)
        self.said: list[str] = []
        self.disk = loop.DiskLoop(self.number, 60, False, self.said.append, lambda: None)
        self.thread = threading.Thread(target=self.disk.run, daemon=True)
        self.disk.splice.works = self.number % 2 == 0
        self.socket = Path(f"disk{self.number}.1.sock")

    def start(self) -> RelayClient:
        self.thread.start()
        return RelayClient(self.disk.port)

    def ends(self) -> None:
        """It ends, and not by a mistake of its own."""
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive()
        assert self.disk.report.reason != "internal error", "\n".join(self.said)


@pytest.mark.usefixtures("hurried")
@settings(max_examples=settings().max_examples * 3 // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONNECTIONS, READS)
def test_whatever_the_servers_say_the_client_gets_right_bytes_or_none(
    plans: list[Connection], reads: list[tuple[int, int]]
) -> None:
    relay = InThread()
    left = list(plans)

    def script(connection: ServedConnection) -> None:
        if left:
            follow(left.pop(0), connection)
        else:
            connection.shake_hands()
            connection.serve()

    with ScriptedServer(relay.socket, IMAGE, script), relay.start() as client:
        try:
            client.shake_hands()
            for cookie, (offset, length) in enumerate(reads):
                client.request(CMD_READ, cookie, offset, length)
            for _ in reads:
                error, cookie = client.reply()
                offset, length = reads[cookie]
                if not error:
                    assert client.receive(length) == IMAGE[offset : offset + length]
        except ExportRefused:
            # It was told so; and no byte of the disk.
            pass
        except (ConnectionError, AssertionError) as error:
            # It gave up, which it may after what it was told; a wrong byte it may not pass on.
            if isinstance(error, AssertionError) and relay.disk.report.state is not DiskState.GIVEN_UP:
                raise
            relay.ends()
            assert relay.disk.report.reason
        client.close()
        relay.ends()


SANE = st.builds(
    lambda command, offset, length: (command, offset, length),
    st.sampled_from([CMD_READ, CMD_READ, CMD_READ, CMD_FLUSH, CMD_TRIM, CMD_BLOCK_STATUS, 5, 6]),
    st.integers(0, SIZE - 3000) | st.integers(0, (1 << 64) - 1),
    st.integers(0, 3000) | st.integers(0, (1 << 32) - 1),
)


@pytest.mark.usefixtures("hurried")
@settings(max_examples=settings().max_examples * 3 // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damaged(GO) | st.just(GO),
    st.lists(SANE, max_size=12),
    st.sampled_from([CMD_DISC, CMD_WRITE, 77]) | st.binary(max_size=60),
    CUTS,
)
def test_whatever_the_client_says_it_gets_right_bytes_or_none(
    handshake: bytes, requests: list[tuple[int, int, int]], end: int | bytes, cuts: list[int]
) -> None:
    relay = InThread()
    said = handshake
    for cookie, (command, offset, length) in enumerate(requests):
        said += REQUEST.pack(REQUEST_MAGIC, 0, command, cookie, offset, length)
    said += REQUEST.pack(REQUEST_MAGIC, 0, end, 99, 0, 1 << 31) if isinstance(end, int) else end
    orderly = handshake == GO and end == CMD_DISC
    if not orderly:
        # More than anything that could still be waited for.
        said += b"\xff" * (MAX_OPTION_BYTES + 100)

    def script(connection: ServedConnection) -> None:
        connection.shake_hands()
        while True:
            asked = connection.asked()
            sound = asked.command != CMD_READ or asked.offset + asked.length <= SIZE
            connection.reply(asked, error=0 if sound else 22)

    with ScriptedServer(relay.socket, IMAGE, script), relay.start() as client:
        got = b""
        with contextlib.suppress(ConnectionError):
            for piece in pieces(said, cuts):
                client.socket.sendall(piece)
        with contextlib.suppress(ConnectionError):
            while part := client.socket.recv(65536):
                got += part
        if handshake == GO and len(got) > len(GREETED + GONE):
            assert got.startswith(GREETED + GONE)
            answered = check_replies(got[len(GREETED + GONE) :], requests)
            assert not orderly or answered == set(range(len(requests)))
        client.close()
        relay.ends()


def check_replies(got: bytes, requests: list[tuple[int, int, int]]) -> set[int]:
    """The requests that were answered, with the image's bytes; the last answer may be cut off."""
    at = 0
    answered = set()
    while len(got) >= at + REPLY.size:
        magic, error, cookie = REPLY.unpack_from(got, at)
        at += REPLY.size
        command, offset, length = requests[cookie]
        assert magic == REPLY_MAGIC
        if command == CMD_READ and not error:
            data = got[at : at + length]
            assert data == IMAGE[offset : offset + len(data)]
            at += len(data)
        answered.add(cookie)
    return answered


# ---- The process


def test_neither_side_can_make_it_take_memory(tmp_path: Path) -> None:
    """Megabytes of the worst from each side; and then it still works."""

    def flood(connection: ServedConnection) -> None:
        connection.shake_hands()
        data = bytes(MIB)
        for _ in range(64):
            connection.socket.sendall(data)

    with RunningRelay(tmp_path, many_clients=True, seconds=60) as relay:
        process = psutil.Process(relay.process.pid)
        with ScriptedServer(relay.socket(1), IMAGE) as good:
            relay.wait_for(lambda disk: disk.state == "ready")
            # It has its buffers by then.
            with RelayClient(relay.port) as client:
                client.shake_hands().read(0, 4096)
            before = process.memory_info().rss
            request = REQUEST.pack(REQUEST_MAGIC, 0, CMD_READ, 1, 0, SIZE)
            floods = [
                struct.pack(">I", 3) + Option(OPT_INFO, bytes(60_000)).packed * 200,
                struct.pack(">I", 3) + nbd.OPTION.pack(OPTION_MAGIC, OPT_GO, 0xFFFFFFFF) + bytes(4 * MIB),
                GO + b"".join(request[:8] + struct.pack(">Q", cookie) + request[16:] for cookie in range(100_000)),
                GO + REQUEST.pack(REQUEST_MAGIC, 0, CMD_WRITE, 1, 0, 32 * MIB) * 3 + bytes(8 * MIB),
                GO + b"".join(REQUEST.pack(REQUEST_MAGIC, 0, CMD_TRIM, cookie, 0, 0) for cookie in range(100_000)),
            ]
            largest = before
            for flooded in floods:
                with RelayClient(relay.port) as client:
                    client.socket.settimeout(0.5)
                    with contextlib.suppress(TimeoutError, ConnectionError):
                        # What comes back is not read before all is sent, and not to its end.
                        client.socket.sendall(flooded)
                        client.receive(len(flooded))
                    largest = max(largest, process.memory_info().rss)
            wait_until(lambda: relay.status.state == "ready", "the flood's end")
        assert good is not None
        with ScriptedServer(relay.socket(2), IMAGE, flood), RelayClient(relay.port) as client:
            # The flood may be there before the answer to the handshake: then that is where it ends.
            with contextlib.suppress(ConnectionError):
                client.shake_hands().request(CMD_READ, 1, 0, 4096)
                assert client.hangs_up()
            largest = max(largest, process.memory_info().rss)
        assert largest - before < 16 * MIB
