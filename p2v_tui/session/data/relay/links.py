"""Connections through tunnels to the NBD server, without their sockets; and when each tunnel may be tried."""

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
    """The owner of links, which is notified of their events. Each method may raise Unrecoverable."""

    @property
    @abc.abstractmethod
    def links(self) -> List["Link"]:
        """The links that are connected."""

    @abc.abstractmethod
    def opened(self, link: "Link", now: float) -> None:
        """The link is connected."""

    @abc.abstractmethod
    def refused(self, link: "Link", now: float) -> None:
        """Connecting failed."""

    @abc.abstractmethod
    def received(self, link: "Link", data: bytes, now: float) -> None:
        """The other end has sent something."""

    @abc.abstractmethod
    def lost(self, link: "Link", why: str, now: float) -> None:
        """The connection has ended."""


class Link:
    """A connection through the tunnel of one generation.

    record: the handshake to replay. outgoing: what to send as soon as the tunnel takes it. received_at: when
    something came last. greeted: whether an NBD server's greeting has come. useful: whether it has served anything.
    """

    def __init__(self, owner: Owner, generation: int, record: Sequence[Exchange], now: float) -> None:
        self.owner = owner
        self.generation = generation
        self.handshake = ServerHandshake(record)
        self.outgoing = bytearray()
        self.received_at = now
        self.greeted = False
        self.useful = False
        # What the other end must send first if the tunnel ends in a port, as a stranger might listen there.
        self._proof = b""

    def prove(self, question: bytes, answer: bytes) -> None:
        """Send `question` first, and trust nothing before `answer` has come."""
        self.outgoing += question
        self._proof = answer

    def receive(self, data: bytes, now: float) -> Optional[Exchange]:
        """Continue the handshake. Returns the exchange that this completes, if it is not in the record.

        Raises TunnelLost, Unrecoverable.
        """
        if self._proof:
            proof = data[: len(self._proof)]
            if not self._proof.startswith(proof):
                raise TunnelLost("somebody else listens on its port")
            self._proof = self._proof[len(proof) :]
            data = data[len(proof) :]
        if data:
            self.received_at = now
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
        """Ask for the default export, without extras."""
        self._ask_first(greeting, Option(OPT_GO, struct.pack(">IH", 0, 0)))

    def ask_to_leave(self, greeting: Exchange) -> None:
        """Say goodbye: otherwise the server would complain in its log."""
        self._ask_first(greeting, Option(OPT_ABORT, b""))

    def _ask_first(self, greeting: Exchange, option: Option) -> None:
        flags = FLAG_FIXED_NEWSTYLE | (greeting.answer[17] & FLAG_NO_ZEROES)
        self.ask(option.number, struct.pack(">I", flags) + option.packed, True)


class Schedule:
    """The existing tunnels of a disk, and when each may be retried."""

    def __init__(self) -> None:
        self._there: List[int] = []
        self._retry: Dict[int, Tuple[float, float]] = {}

    def update(self, there: Iterable[int]) -> None:
        """there: the generations that exist now."""
        self._there = sorted(there, reverse=True)
        for gone in set(self._retry).difference(self._there):
            del self._retry[gone]

    def to_try(self, above: int, now: float) -> List[int]:
        """The generations above this one that may be tried now, highest first."""
        return [
            generation
            for generation in self._there
            if generation > above and self._retry.get(generation, (0.0, 0.0))[0] <= now
        ]

    def timeout(self, generation: int, now: float) -> float:
        """How many seconds this one may take to answer while no other tunnel serves."""
        others = [other for other in self.to_try(0, now) if other != generation]
        return limits.HURRIED_SECONDS if others else limits.HANDSHAKE_SECONDS

    def failed(self, generation: int, now: float) -> None:
        """It did not answer, or failed before it was useful: try it later."""
        pause = self._retry.get(generation, (0.0, limits.FIRST_RETRY_SECONDS))[1]
        self._retry[generation] = (now + pause, min(2 * pause, limits.LAST_RETRY_SECONDS))

    def worked(self, generation: int) -> None:
        self._retry.pop(generation, None)


# ---- Actions: what the loop has to do, in this order, besides sending the buffers


class Open(NamedTuple):
    """Connect through the link's tunnel, then say `opened` or `refused`."""

    link: Link


class Close(NamedTuple):
    """Send the rest of the link's bytes if the tunnel takes them at once, then close the connection."""

    link: Link


class StopListening:
    """Accept no more clients."""


class EndClient(NamedTuple):
    """Close a client's connection. session: a Session."""

    session: Owner


Action = Union[Open, Close, StopListening, EndClient]
