"""The relay's decisions, by bytes and ticks alone: tunnels are lost in the middle of everything, and none is needed.

`Lab` stands in for the loop and both sides: a client that reads, a server that answers as it should, tunnels that
open, break and stall when the test says so, and a clock.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2v_tui.session.data.relay import limits, states
from p2v_tui.session.data.relay.disk import Disk
from p2v_tui.session.data.relay.errors import Unrecoverable
from p2v_tui.session.data.relay.handshake import Option
from p2v_tui.session.data.relay.links import Close, EndClient, Link, Open, StopListening
from p2v_tui.session.data.relay.nbd import (
    CMD_DISC,
    CMD_READ,
    CMD_TRIM,
    FLAG_FIXED_NEWSTYLE,
    FLAG_NO_ZEROES,
    GREETING,
    INFO_EXPORT,
    INIT_MAGIC,
    OPT_ABORT,
    OPT_GO,
    OPTION,
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
from p2v_tui.session.data.relay.session import Session
from p2v_tui.session.data.relay.states import Cause, DiskState, Phase, SupplyState

IMAGE = os.urandom(32 * 1024)
SECONDS = 60.0
FLAGS = struct.pack(">I", FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)
GREETED = GREETING.pack(INIT_MAGIC, OPTION_MAGIC, FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)
GO = FLAGS + Option(OPT_GO, bytes(6)).packed


def agreed(size: int) -> bytes:
    return packed_answer(OPT_GO, REP_INFO, INFO_EXPORT.pack(0, size, 3)) + packed_answer(OPT_GO, REP_ACK)


def read(cookie: int, offset: int, length: int) -> bytes:
    return REQUEST.pack(REQUEST_MAGIC, 0, CMD_READ, cookie, offset, length)


class Server:
    """A good NBD server at the other end of a link. unsent: what it has said and the tunnel has not delivered."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.unsent = bytearray(GREETED)
        self.heard = bytearray()
        self.requests: list[tuple[int, int, int]] = []
        self.left = False
        self._flags = False
        self._agreed = False

    def receive(self, data: bytes) -> None:
        self.heard += data
        while self._take():
            pass

    def _take(self) -> bool:
        if not self._flags:
            self._flags = len(self.heard) >= len(FLAGS)
            del self.heard[: len(FLAGS) if self._flags else 0]
            return self._flags
        if not self._agreed:
            if len(self.heard) < OPTION.size:
                return False
            _, number, length = OPTION.unpack_from(self.heard)
            del self.heard[: OPTION.size + length]
            self._agreed = number == OPT_GO
            self.left = number == OPT_ABORT
            self.unsent += agreed(len(self.image)) if self._agreed else packed_answer(number, REP_ERR_UNSUP)
            return True
        if len(self.heard) < REQUEST.size:
            return False
        magic, _, command, cookie, offset, length = REQUEST.unpack_from(self.heard)
        assert magic == REQUEST_MAGIC
        del self.heard[: REQUEST.size]
        if command == CMD_DISC:
            self.left = True
        else:
            assert command == CMD_READ
            self.requests.append((cookie, offset, length))
            self.unsent += REPLY.pack(REPLY_MAGIC, 0, cookie) + self.image[offset : offset + length]
        return True


class Lab:
    """What `loop` is otherwise, with nothing behind it.

    links: the open ones, with the server behind each. got: what the client has got. tried: when a link was wanted.
    reachable: the tunnels whose socket somebody listens at, with the disk behind each.
    """

    def __init__(self, *, many_clients: bool = False) -> None:
        self.now = 1000.0
        self.said: list[str] = []
        self.disk = Disk(0, SECONDS, many_clients, self.said.append, self.now)
        self.reachable: dict[int, bytes] = {}
        self.there: list[int] = []
        self.links: dict[Link, Server] = {}
        self.got = bytearray()
        self.full = False
        self.closed: list[Session] = []
        self.listens = True
        self.tried: list[float] = []

    # Tunnels

    def tunnel(self, generation: int, image: bytes = IMAGE) -> None:
        self.there.append(generation)
        self.reachable[generation] = image

    def break_tunnel(self, generation: int) -> None:
        del self.reachable[generation]
        for link in [link for link in self.links if link.generation == generation]:
            link.owner.lost(link, "it was closed", self.now)
        self.perform()

    def server(self, generation: int) -> Server:
        return next(server for link, server in self.links.items() if link.generation == generation)

    # What the loop does

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.disk.tick(self.there, self.now)
        self.perform()

    def perform(self) -> None:
        while (action := self.disk.next_action()) is not None:
            if isinstance(action, Open):
                self.tried.append(self.now)
            match action:
                case Open(link) if link.generation in self.reachable:
                    self.links[link] = Server(self.reachable[link.generation])
                    link.owner.opened(link, self.now)
                case Open(link):
                    link.owner.refused(link, self.now)
                case Close(link):
                    if server := self.links.pop(link, None):
                        server.receive(bytes(link.outgoing))
                case EndClient(session):
                    assert isinstance(session, Session)
                    self.closed.append(session)
                case StopListening():
                    self.listens = False
        for link, server in self.links.items():
            server.receive(bytes(link.outgoing))
            link.outgoing.clear()

    def client(self) -> Session:
        session = self.disk.client_came(0, True, self.now)
        assert session is not None
        self.perform()
        return session

    def say(self, session: Session, data: bytes) -> None:
        session.client_sent(data, self.now)
        self.send_pending(session)

    def send_pending(self, session: Session) -> None:
        if not self.full:
            self.got += session.to_client
            session.to_client.clear()
        session.sent_to_client(full=self.full, everything=not self.full, now=self.now)
        self.got += session.to_client
        session.to_client.clear()
        self.perform()

    def deliver(self, link: Link, count: int = 1 << 30) -> int:
        """Let so many bytes come through a tunnel at most. Returns how many did."""
        delivered = 0
        while (server := self.links.get(link)) and server.unsent and delivered < count:
            owner = link.owner
            served = isinstance(owner, Session) and owner.tunnel is link
            if served and isinstance(owner, Session) and owner.data_left:
                moved = min(owner.data_left, count - delivered, len(server.unsent))
                # What is before the data goes before it.
                self.got += owner.to_client + server.unsent[:moved]
                owner.to_client.clear()
                del server.unsent[:moved]
                owner.moved(moved, self.now)
            else:
                wanted = owner.wants(link) if isinstance(owner, Session) else limits.MAX_ANSWER_BYTES
                moved = min(wanted, count - delivered, len(server.unsent))
                said = bytes(server.unsent[:moved])
                del server.unsent[:moved]
                owner.received(link, said, self.now)
            delivered += moved
            if isinstance(owner, Session) and not owner.data_left and not owner.over:
                self.send_pending(owner)
            self.perform()
        return delivered

    def run(self) -> None:
        """Until nothing more comes by itself."""
        while sum(self.deliver(link) for link in list(self.links)):
            pass

    def agree(self, session: Session) -> None:
        self.run()
        self.say(session, GO)
        self.run()
        assert session.phase is Phase.TRANSMISSION
        assert bytes(self.got) == GREETED + agreed(len(IMAGE))
        self.got.clear()

    def replies(self) -> dict[int, bytes]:
        """The client's whole replies, by cookie, taken out of what it got. Their lengths are those of READS."""
        found = {}
        while len(self.got) >= REPLY.size:
            magic, error, cookie = REPLY.unpack_from(self.got)
            assert (magic, error) == (REPLY_MAGIC, 0)
            assert cookie not in found
            end = REPLY.size + READS[cookie][1]
            assert len(self.got) >= end
            found[cookie] = bytes(self.got[REPLY.size : end])
            del self.got[:end]
        assert not self.got
        return found


READS = {1: (0, 60), 2: (100, 50), 3: (30_000, 16)}
RIGHT = {cookie: IMAGE[offset : offset + length] for cookie, (offset, length) in READS.items()}
ASKED = b"".join(read(cookie, offset, length) for cookie, (offset, length) in READS.items())
ALL = [(cookie, *place) for cookie, place in READS.items()]
REPLIED = len(ASKED) // REQUEST.size * REPLY.size + sum(length for _, length in READS.values())


@pytest.fixture
def lab() -> Lab:
    made = Lab()
    made.tunnel(1)
    return made


def served(lab: Lab) -> Session:
    """A client that has shaken hands over tunnel 1 and asked nothing yet."""
    session = lab.client()
    lab.tick()
    lab.agree(session)
    return session


def supply(session: Session) -> SupplyState:
    return session.supply.state


def state(lab: Lab) -> DiskState:
    return lab.disk.state


# ---- The tables


@pytest.mark.parametrize("table", [states.DISK, states.PHASE, states.SUPPLY])
def test_a_table_has_every_state_and_uses_every_event(table: dict[object, dict[object, object]]) -> None:
    all_states = set(type(next(iter(table))))  # type: ignore[call-overload]
    assert set(table) == all_states
    events = {event for row in table.values() for event in row}
    assert events == set(type(next(iter(events))))  # type: ignore[call-overload]
    assert {after for row in table.values() for after in row.values()} | {next(iter(table))} == all_states


def test_what_cannot_happen_is_an_error() -> None:
    with pytest.raises(states.ImpossibleEvent):
        states.after(states.SUPPLY, SupplyState.NONE, states.SupplyEvent.CAUGHT_UP)


# ---- Before a client


def test_a_probe_finds_the_size_and_says_goodbye(lab: Lab) -> None:
    lab.tick()
    server = lab.server(1)
    lab.run()
    assert (state(lab), lab.disk.report(1).size) == (DiskState.READY, len(IMAGE))
    assert server.left
    assert not lab.links


def test_an_older_tunnel_is_tried_when_nobody_listens_at_the_newest(lab: Lab) -> None:
    lab.there.append(2)
    lab.tick()
    lab.run()
    assert lab.disk.report(1).generation == 1


def test_a_tunnel_that_is_silent_is_left_after_the_time_for_a_handshake(lab: Lab) -> None:
    lab.tick()
    lab.tick(limits.HANDSHAKE_SECONDS)
    assert lab.links
    lab.tick(0.1)
    assert state(lab) is DiskState.WAITING
    assert "disk 0: tunnel 1 does not answer: it does not answer" in lab.said


def test_a_pause_between_two_tries_doubles_up_to_the_last_one() -> None:
    lab = Lab()
    lab.there.append(1)
    while lab.now < 1010:
        lab.tick(0.01)
    pauses = [round(later - earlier, 1) for earlier, later in itertools.pairwise(lab.tried)]
    assert pauses[1:5] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == limits.LAST_RETRY_SECONDS


# ---- A tunnel is lost


@pytest.mark.parametrize("cut", range(REPLIED + 1))
def test_a_tunnel_lost_after_any_byte_of_the_replies_costs_the_client_nothing(cut: int) -> None:
    lab = Lab()
    lab.tunnel(1)
    session = served(lab)
    lab.say(session, ASKED)
    (link,) = lab.links
    assert lab.deliver(link, cut) == cut
    lab.tunnel(2)
    lab.break_tunnel(1)
    assert supply(session) is SupplyState.NONE
    lab.tick()
    assert supply(session) is SupplyState.CATCHING_UP
    lab.run()
    assert supply(session) is SupplyState.SERVED
    assert lab.replies() == RIGHT
    report = lab.disk.report(1)
    assert (report.reconnects, report.relayed) == (1, sum(length for _, length in READS.values()))


# A whole reply is not asked for again, and of a cut one only the rest is.
@pytest.mark.parametrize(
    ("cut", "again"),
    [
        (0, ALL),
        (REPLY.size - 1, ALL),
        (REPLY.size, ALL),
        (REPLY.size + 50, [(1, 50, 10), *ALL[1:]]),
        (REPLY.size + 60, ALL[1:]),
        (2 * REPLY.size + 60 + 49, [(2, 149, 1), *ALL[2:]]),
        (REPLIED, []),
    ],
)
def test_only_what_was_not_answered_is_asked_again(lab: Lab, cut: int, again: list[tuple[int, int, int]]) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    (link,) = lab.links
    lab.deliver(link, cut)
    lab.tunnel(2)
    lab.break_tunnel(1)
    lab.tick()
    server = lab.server(2)
    lab.run()
    assert server.requests == again
    assert lab.replies() == RIGHT


@pytest.mark.parametrize("cut", range(REQUEST.size + 1))
def test_a_request_that_is_half_there_when_the_tunnel_is_lost_is_asked_whole(cut: int) -> None:
    lab = Lab()
    lab.tunnel(1)
    session = served(lab)
    lab.say(session, read(3, *READS[3])[:cut])
    lab.tunnel(2)
    lab.break_tunnel(1)
    lab.tick()
    lab.say(session, read(3, *READS[3])[cut:])
    lab.run()
    assert lab.replies() == {3: RIGHT[3]}


@pytest.mark.parametrize("cut", range(len(GREETED + agreed(0)) + 1))
def test_a_tunnel_lost_after_any_byte_of_the_handshake_is_not_noticed(cut: int) -> None:
    lab = Lab()
    lab.tunnel(1)
    session = lab.client()
    lab.tick()
    session.client_sent(GO + ASKED, lab.now)
    lab.perform()
    left = cut
    while left and (moved := sum(lab.deliver(link, left) for link in list(lab.links))):
        left -= moved
    lab.tunnel(2)
    lab.break_tunnel(1)
    lab.tick()
    lab.run()
    assert lab.got.startswith(GREETED + agreed(len(IMAGE)))
    del lab.got[: len(GREETED + agreed(0))]
    assert lab.replies() == RIGHT


def test_a_candidate_that_is_lost_in_its_handshake_is_followed_by_the_next(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    lab.tunnel(2)
    lab.break_tunnel(1)
    lab.tick()
    (link,) = lab.links
    lab.deliver(link, 20)
    lab.tunnel(3)
    lab.break_tunnel(2)
    assert supply(session) is SupplyState.NONE
    lab.tick()
    lab.run()
    assert lab.replies() == RIGHT
    assert session.generation == 3


def test_another_disk_behind_a_new_tunnel_cannot_be_recovered_from(lab: Lab) -> None:
    served(lab)
    lab.tunnel(2, IMAGE + bytes(512))
    lab.break_tunnel(1)
    lab.tick()
    with pytest.raises(Unrecoverable, match="another disk") as raised:
        lab.run()
    assert raised.value.cause is Cause.DISK


def test_a_client_without_a_tunnel_is_given_up_when_the_time_is_over(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    lab.tick(1)
    lab.break_tunnel(1)
    lab.tick(SECONDS - 1)
    with pytest.raises(Unrecoverable, match="no working tunnel for 60 s") as raised:
        lab.tick(1.1)
    lab.disk.give_up(str(raised.value), raised.value.cause)
    lab.disk.close()
    lab.perform()
    assert (state(lab), lab.disk.cause) == (DiskState.GIVEN_UP, Cause.TUNNEL)
    assert lab.closed == [session]
    assert session.phase is Phase.ENDED


# ---- A newer tunnel while the old one works


def test_the_old_tunnel_answers_what_it_was_asked_and_is_told_goodbye(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    (old,) = lab.links
    old_server = lab.links[old]
    lab.deliver(old, 40)
    lab.tunnel(2)
    lab.tick()
    assert supply(session) is SupplyState.CHALLENGED
    (new,) = set(lab.links) - {old}
    lab.deliver(new)
    assert supply(session) is SupplyState.FINISHING
    # What the client asks meanwhile waits for the new one.
    READS[4] = (7, 100)
    lab.say(session, read(4, 7, 100))
    assert len(old_server.requests) == len(ASKED) // REQUEST.size
    lab.run()
    del READS[4]
    assert (supply(session), session.generation) == (SupplyState.SERVED, 2)
    assert old_server.left
    assert bytes(lab.got[-100:]) == IMAGE[7:107]


def test_an_old_tunnel_that_stalls_is_left_without_a_word(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    (old,) = lab.links
    old_server = lab.links[old]
    lab.tunnel(2)
    lab.tick()
    (new,) = set(lab.links) - {old}
    lab.deliver(new)
    lab.tick(limits.STALLED_SECONDS)
    assert supply(session) is SupplyState.FINISHING
    lab.tick(0.1)
    assert (supply(session), session.generation) == (SupplyState.SERVED, 2)
    assert not old_server.left
    lab.run()
    assert lab.replies() == RIGHT


def test_the_old_tunnel_is_asked_on_when_the_one_that_would_take_over_is_lost(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, read(1, *READS[1]))
    (old,) = lab.links
    lab.tunnel(2)
    lab.tick()
    (new,) = set(lab.links) - {old}
    lab.deliver(new)
    lab.say(session, read(2, *READS[2]) + read(3, *READS[3]))
    lab.break_tunnel(2)
    assert (supply(session), session.generation) == (SupplyState.SERVED, 1)
    lab.run()
    assert lab.replies() == RIGHT


def test_the_one_that_waits_serves_at_once_when_the_old_tunnel_is_lost(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    (old,) = lab.links
    lab.deliver(old, 90)
    lab.tunnel(2)
    lab.tick()
    (new,) = set(lab.links) - {old}
    lab.deliver(new)
    lab.break_tunnel(1)
    assert (supply(session), session.generation) == (SupplyState.SERVED, 2)
    lab.run()
    assert lab.replies() == RIGHT


def test_a_slow_disk_is_waited_for_while_the_tunnel_answers_a_knock(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    (link,) = lab.links
    for _ in range(30):
        lab.tick(limits.PROBE_SECONDS)
        for knock in set(lab.links) - {link}:
            lab.deliver(knock)
    assert session.silent(lab.now) == 30 * limits.PROBE_SECONDS > SECONDS
    assert session.stalled(lab.now) == 0
    lab.run()
    assert lab.replies() == RIGHT


def test_a_tunnel_that_answers_no_knock_is_given_up(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    with pytest.raises(Unrecoverable, match="no working tunnel"):
        for _ in range(30):
            lab.tick(limits.PROBE_SECONDS)
    assert session.stalled(lab.now) > SECONDS


# ---- The client goes


@pytest.mark.parametrize("tunnel", [True, False], ids=["with a tunnel", "without one"])
def test_a_client_that_goes_ends_the_disk(lab: Lab, tunnel: bool) -> None:
    session = served(lab)
    server = lab.server(1)
    if not tunnel:
        lab.break_tunnel(1)
    session.client_left()
    lab.perform()
    assert state(lab) is DiskState.DONE
    assert lab.closed == [session]
    assert not lab.links
    assert server.left == tunnel
    assert not lab.listens


def test_a_client_that_says_goodbye_gets_its_answers_first(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED + REQUEST.pack(REQUEST_MAGIC, 0, CMD_DISC, 9, 0, 0))
    assert session.phase is Phase.TRANSMISSION
    lab.run()
    assert lab.replies() == RIGHT
    assert state(lab) is DiskState.DONE


def test_a_client_that_takes_nothing_is_waited_for_and_gets_no_more(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, ASKED)
    lab.full = True
    session.sent_to_client(full=True, everything=False, now=lab.now)
    lab.tick(2 * SECONDS)
    assert session.silent(lab.now) == 0
    lab.full = False
    lab.run()
    assert lab.replies() == RIGHT


def test_an_answer_of_the_relays_own_comes_after_the_data_that_is_on_its_way(lab: Lab) -> None:
    session = served(lab)
    lab.say(session, read(3, *READS[3]))
    (link,) = lab.links
    lab.deliver(link, REPLY.size)
    assert session.data_left == READS[3][1]
    session.moved(session.data_left, lab.now)
    session.client_sent(REQUEST.pack(REQUEST_MAGIC, 0, CMD_TRIM, 8, 0, 0), lab.now)
    assert session.to_client == b"" or session.to_client == REPLY.pack(REPLY_MAGIC, 0, 3)
    session.to_client.clear()
    session.sent_to_client(full=False, everything=True, now=lab.now)
    assert session.to_client == REPLY.pack(REPLY_MAGIC, 1, 8)


def test_one_of_many_clients_that_goes_leaves_the_disk_to_the_others() -> None:
    lab = Lab(many_clients=True)
    lab.tunnel(1)
    first = lab.client()
    lab.tick()
    lab.agree(first)
    second = lab.client()
    first.client_left()
    lab.perform()
    assert state(lab) is DiskState.RELAYING
    second.client_left()
    lab.perform()
    assert state(lab) is DiskState.WAITING
    assert lab.listens


def test_a_stranger_is_refused() -> None:
    lab = Lab()
    assert lab.disk.client_came(1000, False, lab.now) is None
    assert lab.disk.client_came(None, False, lab.now) is None
    assert lab.said == ["disk 0: refused a client of user 1000", "disk 0: refused a client of an unknown user"]
    assert state(lab) is DiskState.WAITING


# ---- Anything, in any order


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, REPLIED // 2), st.booleans(), st.booleans()), max_size=6),
    st.lists(st.integers(0, len(GO + ASKED)), max_size=5),
)
def test_wherever_tunnels_break_and_come_and_however_the_client_speaks_each_byte_is_right(
    cuts: list[tuple[int, bool, bool]], parts: Iterable[int]
) -> None:
    """cuts: so many bytes come through; then a newer tunnel comes or not, and the present ones break or not."""
    lab = Lab()
    lab.tunnel(1)
    session = lab.client()
    said = GO + ASKED
    places = [0, *sorted(parts), len(said)]
    speaks = [said[begin:end] for begin, end in itertools.pairwise(places)]
    generation = 1
    for count, newer, breaks in cuts:
        lab.tick(0.1)
        if speaks:
            lab.say(session, speaks.pop(0))
        for link in list(lab.links):
            lab.deliver(link, count)
        if newer or breaks:
            generation += 1
            lab.tunnel(generation)
        if newer:
            lab.tick(0.1)
        if breaks:
            for broken in [each for each in lab.reachable if each < generation]:
                lab.break_tunnel(broken)
    for rest in speaks:
        lab.say(session, rest)
    for _ in range(3):
        lab.tick(limits.LAST_RETRY_SECONDS)
        lab.run()
    assert lab.got.startswith(GREETED + agreed(len(IMAGE)))
    del lab.got[: len(GREETED + agreed(0))]
    assert lab.replies() == RIGHT
    assert supply(session) is SupplyState.SERVED
