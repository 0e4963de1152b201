"""Connections through tunnels to the NBD server, without their sockets, and when each tunnel may be tried."""

import abc
import struct
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

from . import limits
from .errors import TunnelLost
from .handshake import Exchange, Option, ServerHandshake
from .nbd import (
    CMD_DISC,
    FLAG_FIXED_NEWSTYLE,
    FLAG_NO_ZEROES,
    OPT_ABORT,
    OPT_GO,
    OPT_GREETING,
    REQUEST,
    REQUEST_MAGIC,
)

GOODBYE = REQUEST.pack(REQUEST_MAGIC, 0, CMD_DISC, 0, 0, 0)


class Owner(abc.ABC):
    """Who made a link, and is told what becomes of it. Each of these may raise Unrecoverable."""

    @property
    @abc.abstractmethod
    def links(self) -> List["Link"]:
        """Those whose connection is there."""

    @abc.abstractmethod
    def opened(self, link: "Link", now: float) -> None:
        """The connection is there."""

    @abc.abstractmethod
    def refused(self, link: "Link", now: float) -> None:
        """There will be no connection."""

    @abc.abstractmethod
    def said(self, link: "Link", data: bytes, now: float) -> None:
        """The other end has said something."""

    @abc.abstractmethod
    def lost(self, link: "Link", why: str, now: float) -> None:
        """The connection has ended."""


class Link:
    """A connection through the tunnel of one generation.

    record: the handshake that is to be replayed. outgoing: what is to be sent as soon as the tunnel takes it.
    heard_at: when something came last. greeted: whether an NBD server has. useful: whether it has been of use.
    """

    def __init__(self, owner: Owner, generation: int, record: Sequence[Exchange], now: float) -> None:
        self.owner = owner
        self.generation = generation
        self.handshake = ServerHandshake(record)
        self.outgoing = bytearray()
        self.heard_at = now
        self.greeted = False
        self.useful = False
        # What the other end has to say first, where the tunnel ends in a port, on which a stranger might listen.
        self._proof = b""

    def prove(self, question: bytes, answer: bytes) -> None:
        """Say this before all else, and believe nothing before that was answered."""
        self.outgoing += question
        self._proof = answer

    def receive(self, data: bytes, now: float) -> Optional[Exchange]:
        """Go on with the handshake. Returns the exchange that is complete now and is not in the record.

        Raises TunnelLost, Unrecoverable.
        """
        if self._proof:
            said = data[: len(self._proof)]
            if not self._proof.startswith(said):
                raise TunnelLost("somebody else listens on its port")
            self._proof = self._proof[len(said) :]
            data = data[len(said) :]
        if data:
            self.heard_at = now
        exchange = self.handshake.receive(data)
        self._take_outgoing()
        if exchange and exchange.option == OPT_GREETING:
            self.greeted = True
        return exchange

    def ask(self, option: int, question: bytes, no_zeroes: bool) -> None:
        self.handshake.ask(option, question, no_zeroes)
        self._take_outgoing()

    def _take_outgoing(self) -> None:
        self.outgoing += self.handshake.outgoing
        self.handshake.outgoing.clear()

    def ask_for_export(self, greeting: Exchange) -> None:
        """As a client that wants the default export and nothing special."""
        self._ask_first(greeting, Option(OPT_GO, struct.pack(">IH", 0, 0)))

    def ask_to_leave(self, greeting: Exchange) -> None:
        """A client that says goodbye leaves no complaint in the server's log."""
        self._ask_first(greeting, Option(OPT_ABORT, b""))

    def _ask_first(self, greeting: Exchange, option: Option) -> None:
        flags = FLAG_FIXED_NEWSTYLE | (greeting.answer[17] & FLAG_NO_ZEROES)
        self.ask(option.number, struct.pack(">I", flags) + option.packed, True)


class Schedule:
    """The tunnels that there are for a disk, and when each may be tried again."""

    def __init__(self) -> None:
        self._there: List[int] = []
        self._retry: Dict[int, Tuple[float, float]] = {}

    def update(self, there: Iterable[int]) -> None:
        """there: the generations that there are now."""
        self._there = sorted(there, reverse=True)
        for gone in set(self._retry).difference(self._there):
            del self._retry[gone]

    def to_try(self, above: int, now: float) -> List[int]:
        """The generations above this one that may be tried now, the highest first."""
        return [
            generation
            for generation in self._there
            if generation > above and self._retry.get(generation, (0.0, 0.0))[0] <= now
        ]

    def timeout(self, generation: int, now: float) -> float:
        """The seconds that this one may take for an answer when there is no other tunnel."""
        others = [other for other in self.to_try(0, now) if other != generation]
        return limits.HURRIED_SECONDS if others else limits.HANDSHAKE_SECONDS

    def failed(self, generation: int, now: float) -> None:
        """It did not answer, or stopped to without having been of use: try it later."""
        pause = self._retry.get(generation, (0.0, limits.FIRST_RETRY_SECONDS))[1]
        self._retry[generation] = (now + pause, min(2 * pause, limits.LAST_RETRY_SECONDS))

    def worked(self, generation: int) -> None:
        self._retry.pop(generation, None)


# ---- Actions: what the loop is to do, in this order, besides sending what is in the buffers


class Open(NamedTuple):
    """Connect through the link's tunnel, then say `opened` or `refused`."""

    link: Link


class Close(NamedTuple):
    """Send what the link still has to say if the tunnel takes it at once, then close the connection."""

    link: Link


class StopListening:
    """Nobody else may come."""


class EndClient(NamedTuple):
    """Close a client's connection. session: a Session."""

    session: Owner


Action = Union[Open, Close, StopListening, EndClient]
