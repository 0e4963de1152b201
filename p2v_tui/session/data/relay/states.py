"""All states of the relay and their transitions.

Three state machines run side by side. Each has an enum of its states, an enum of its events, and a table of the
transitions. What is not in a table cannot happen: `after` raises ImpossibleEvent.

*A disk* (DiskState), as p2v-tui reads it in relay.status. It is waiting until a tunnel has answered a probe, and
ready until virt-v2v's connection comes. From then on it is relaying, even without a tunnel: that is the point of the
relay. It ends as done or given up.

*A client* (Phase) is virt-v2v's connection. It agrees on an export in the handshake, then asks for data, and leaves
when it has its answers. It can vanish or break the protocol at any time.

*Its supply* (SupplyState) is what serves the client: the present tunnel, and the candidate that may take over. The
two come and go independently:

                             no candidate       shakes hands      has caught up
        no tunnel            NONE               CATCHING_UP       (serves at once)
        a tunnel serves      SERVED             CHALLENGED        FINISHING

The recorded handshake of the client is replayed to a candidate. When it has caught up and nothing serves the client,
it takes over at once. Otherwise the present tunnel gets no new requests and answers the open ones (FINISHING); then,
or when it stalls, the candidate takes over. Unanswered requests are repeated there.

p2v-tui imports this module too, for the words of relay.status.
"""

import enum
from typing import Dict, Mapping, TypeVar


class DiskState(enum.Enum):
    """The state of a disk, as the word in relay.status."""

    WAITING = "waiting"  # No client, and no tunnel answers.
    READY = "ready"  # No client yet; a tunnel answers.
    RELAYING = "relaying"  # A client is there, with or without a tunnel.
    DONE = "done"  # The client has come and gone.
    GIVEN_UP = "given up"

    @property
    def ended(self) -> bool:
        return self in (DiskState.DONE, DiskState.GIVEN_UP)


class Cause(enum.Enum):
    """Why a disk was given up, as the word in relay.status. Other causes have only a text."""

    NONE = ""
    TUNNEL = "tunnel"  # None worked for the allowed time.
    DISK = "disk"  # Another disk answers, or it cannot be opened any more.


class DiskEvent(enum.Enum):
    ANSWERED = enum.auto()  # A tunnel answers the probe.
    UNANSWERED = enum.auto()  # The tunnel does not answer any more.
    CLIENT_CAME = enum.auto()  # A client came.
    LEFT = enum.auto()  # The only client has gone.
    LAST_LEFT = enum.auto()  # The last of many clients has gone; more may come.
    FAILED = enum.auto()  # It cannot be served any longer.
    FINISHED = enum.auto()  # virt-v2v has ended.


_DISK_ENDS = {DiskEvent.FAILED: DiskState.GIVEN_UP, DiskEvent.FINISHED: DiskState.DONE}

DISK: Dict[DiskState, Dict[DiskEvent, DiskState]] = {
    DiskState.WAITING: {
        DiskEvent.ANSWERED: DiskState.READY,
        DiskEvent.UNANSWERED: DiskState.WAITING,
        DiskEvent.CLIENT_CAME: DiskState.RELAYING,
        **_DISK_ENDS,
    },
    DiskState.READY: {
        DiskEvent.ANSWERED: DiskState.READY,
        DiskEvent.UNANSWERED: DiskState.WAITING,
        DiskEvent.CLIENT_CAME: DiskState.RELAYING,
        **_DISK_ENDS,
    },
    DiskState.RELAYING: {
        DiskEvent.CLIENT_CAME: DiskState.RELAYING,
        DiskEvent.LEFT: DiskState.DONE,
        DiskEvent.LAST_LEFT: DiskState.WAITING,
        **_DISK_ENDS,
    },
    DiskState.DONE: {},
    DiskState.GIVEN_UP: {},
}


class Phase(enum.Enum):
    HANDSHAKE = enum.auto()
    TRANSMISSION = enum.auto()
    LEAVING = enum.auto()  # Everything is answered, and is being sent to the client.
    ENDED = enum.auto()


class PhaseEvent(enum.Enum):
    AGREED = enum.auto()  # The server has accepted the export.
    SAID_GOODBYE = enum.auto()  # The client leaves, and has all its answers.
    GONE = enum.auto()  # It closed the connection, has all its answers, or broke the protocol.


PHASE: Dict[Phase, Dict[PhaseEvent, Phase]] = {
    Phase.HANDSHAKE: {
        PhaseEvent.AGREED: Phase.TRANSMISSION,
        PhaseEvent.SAID_GOODBYE: Phase.LEAVING,
        PhaseEvent.GONE: Phase.ENDED,
    },
    Phase.TRANSMISSION: {PhaseEvent.SAID_GOODBYE: Phase.LEAVING, PhaseEvent.GONE: Phase.ENDED},
    Phase.LEAVING: {PhaseEvent.GONE: Phase.ENDED},
    Phase.ENDED: {},
}


class SupplyState(enum.Enum):
    NONE = enum.auto()  # No tunnel.
    CATCHING_UP = enum.auto()  # No tunnel; a candidate shakes hands.
    SERVED = enum.auto()  # A tunnel serves.
    CHALLENGED = enum.auto()  # A tunnel serves; a newer candidate shakes hands.
    FINISHING = enum.auto()  # The tunnel answers its open requests; the candidate waits for that.


class SupplyEvent(enum.Enum):
    CANDIDATE_UP = enum.auto()  # A connection through another tunnel was opened.
    CANDIDATE_DOWN = enum.auto()  # The candidate's connection is not used any more.
    CAUGHT_UP = enum.auto()  # The candidate has the client's handshake behind it.
    TUNNEL_FINISHED = enum.auto()  # The tunnel that serves has answered everything, or stalls.
    TUNNEL_DOWN = enum.auto()  # The tunnel that serves was lost.


SUPPLY: Dict[SupplyState, Dict[SupplyEvent, SupplyState]] = {
    SupplyState.NONE: {SupplyEvent.CANDIDATE_UP: SupplyState.CATCHING_UP},
    SupplyState.CATCHING_UP: {
        SupplyEvent.CANDIDATE_DOWN: SupplyState.NONE,
        SupplyEvent.CAUGHT_UP: SupplyState.SERVED,
    },
    SupplyState.SERVED: {
        SupplyEvent.CANDIDATE_UP: SupplyState.CHALLENGED,
        SupplyEvent.TUNNEL_DOWN: SupplyState.NONE,
    },
    SupplyState.CHALLENGED: {
        SupplyEvent.CANDIDATE_DOWN: SupplyState.SERVED,
        SupplyEvent.CAUGHT_UP: SupplyState.FINISHING,
        SupplyEvent.TUNNEL_DOWN: SupplyState.CATCHING_UP,
    },
    SupplyState.FINISHING: {
        SupplyEvent.CANDIDATE_DOWN: SupplyState.SERVED,
        SupplyEvent.TUNNEL_FINISHED: SupplyState.SERVED,
        # It has caught up already, and serves at once.
        SupplyEvent.TUNNEL_DOWN: SupplyState.CATCHING_UP,
    },
}


class ImpossibleEvent(Exception):
    """Something happened in a state in which it cannot."""


_State = TypeVar("_State", bound=enum.Enum)
_Event = TypeVar("_Event", bound=enum.Enum)


def after(table: Mapping[_State, Mapping[_Event, _State]], state: _State, event: _Event) -> _State:
    """The state that the event leads to. Raises ImpossibleEvent."""
    if event not in table[state]:
        raise ImpossibleEvent(f"{event} in state {state}")
    return table[state][event]
