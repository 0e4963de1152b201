"""The states of the relay, and what leads from one to the next: all of it is in this file.

Three machines run side by side. For each there is an enum of its states, an enum of what can happen to it, and a
table of where that leads. What is not in a table cannot happen: `after` raises ImpossibleEvent then.

*A disk* (DiskState) is what p2v-tui reads of it in relay.status. It is waiting until a tunnel has answered a probe,
and ready until virt-v2v's connection comes. From then on it is relaying, also while no tunnel is there: that is the
point of the relay. It ends as done or given up.

*A client* (Phase) is virt-v2v's connection. It agrees on an export in the handshake, then asks for data, and leaves
when it has its answers. It can go, or do wrong, at any time.

*Its supply* (SupplyState) is what stands behind the client: the tunnel that serves it, and the candidate that may
take over. The two come and go without each other:

                             no candidate       shakes hands      has caught up
        no tunnel            NONE               CATCHING_UP       (serves at once)
        a tunnel serves      SERVED             CHALLENGED        FINISHING

A candidate shakes hands as the client did: the recorded handshake is replayed to it. When it has caught up and
nothing serves the client, it does from now on. When a tunnel serves, that one is asked nothing more and answers what
it was asked (FINISHING); then, or when it stalls, the candidate takes over. What is unanswered is asked again there.

p2v-tui imports this module too: the words of relay.status are declared here and nowhere else.
"""

import enum
from typing import Dict, Mapping, TypeVar


class DiskState(enum.Enum):
    """A disk, by the word for it in relay.status."""

    WAITING = "waiting"  # No client, no tunnel that answers.
    READY = "ready"  # No client yet, and the tunnel answers.
    RELAYING = "relaying"  # A client is there, also while there is no tunnel.
    DONE = "done"  # The client has come and gone.
    GIVEN_UP = "given up"

    @property
    def ended(self) -> bool:
        return self in (DiskState.DONE, DiskState.GIVEN_UP)


class Cause(enum.Enum):
    """What a disk that was given up lacks, in relay.status. Of all else there is only the reason."""

    NONE = ""
    TUNNEL = "tunnel"  # None worked for the time that was allowed.
    DISK = "disk"  # Another one answers, or it cannot be opened any more.


class DiskEvent(enum.Enum):
    ANSWERED = enum.auto()  # A tunnel answers the probe.
    UNANSWERED = enum.auto()  # The tunnel does not answer any more.
    CLIENT_CAME = enum.auto()  # A client came.
    LEFT = enum.auto()  # The only client has gone.
    LAST_LEFT = enum.auto()  # The last one of many clients has gone: more may come.
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
    LEAVING = enum.auto()  # All is answered, and is on its way to the client.
    ENDED = enum.auto()


class PhaseEvent(enum.Enum):
    AGREED = enum.auto()  # The server lets it have the export.
    SAID_GOODBYE = enum.auto()  # The client leaves, and nothing is owed to it.
    GONE = enum.auto()  # It closed the connection, has all it was owed, or did wrong.


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
    FINISHING = enum.auto()  # A tunnel answers what it was asked; the candidate waits for that.


class SupplyEvent(enum.Enum):
    CANDIDATE_UP = enum.auto()  # A connection through another tunnel was opened.
    CANDIDATE_DOWN = enum.auto()  # The candidate's connection is not used any more.
    CAUGHT_UP = enum.auto()  # The candidate is where the client is.
    TUNNEL_FINISHED = enum.auto()  # The tunnel that serves owes nothing, or stalls.
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
