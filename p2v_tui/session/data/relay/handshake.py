"""The handshake on both sides of the relay: parses the client's, and replays it to each server.

No sockets: bytes in, bytes out.
"""

from typing import NamedTuple, Optional, Sequence, Tuple

from .errors import ClientFault, TunnelFault, another_disk
from .limits import MAX_ANSWER_BYTES, MAX_OPTION_BYTES, MAX_OPTIONS
from .nbd import (
    ANSWER,
    ANSWER_MAGIC,
    EXPORT,
    EXPORT_ZEROES,
    FLAG_FIXED_NEWSTYLE,
    FLAG_NO_ZEROES,
    GREETING,
    INFO_EXPORT,
    INIT_MAGIC,
    OPT_EXPORT_NAME,
    OPT_GO,
    OPT_GREETING,
    OPT_INFO,
    OPTION,
    OPTION_MAGIC,
    REP_ACK,
    REP_ERROR,
    REP_INFO,
)


class Exchange(NamedTuple):
    """A question and its answer in a handshake. The first one is the greeting, which comes unasked."""

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


def answer_length(option: int, no_zeroes: bool, data: bytearray) -> Optional[int]:
    """The length of the answer to `option` at the start of `data`; None until enough of it has come.

    Raises TunnelFault if it does not answer that option, or is too long.
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
    """Whether this exchange ends the handshake, so that requests may come."""
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
    """The size of the export in bytes, if the answer tells it."""
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
    """Parses the client's part of the handshake: its flags, then one option after the other.

    Raises ClientFault on invalid input, and on more than a client needs.
    """

    def __init__(self) -> None:
        self.flags: Optional[bytes] = None
        self._options = 0

    @property
    def no_zeroes(self) -> bool:
        return self.flags is not None and bool(self.flags[3] & FLAG_NO_ZEROES)

    def next_option(self, data: bytearray) -> Optional[Option]:
        """Take the next option out of `data`; None until it is complete."""
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
            # A server that does not know the name just hangs up, and we would ask again for ever.
            raise ClientFault("the client asked for an export by its name")
        option = Option(number, bytes(data[OPTION.size : OPTION.size + length]))
        del data[: OPTION.size + length]
        return option


class ServerHandshake:
    """The handshake with an NBD server, as its client: first the recorded exchanges, then new ones.

    record: the exchanges of an earlier handshake, which are repeated and must be answered the same, byte for byte. It
    may grow meanwhile. `outgoing`: the bytes to send.
    """

    def __init__(self, record: Sequence[Exchange]) -> None:
        self.outgoing = bytearray()
        self._record = record
        self._replayed = 0
        # The open question after the end of the record; the greeting comes without one.
        self._asked: Optional[Tuple[int, bytes, bool]] = (OPT_GREETING, b"", True)
        self._incoming = bytearray()

    @property
    def caught_up(self) -> bool:
        """Whether the server has answered the whole record."""
        return 0 < self._replayed >= len(self._record)

    def ask(self, option: int, question: bytes, no_zeroes: bool) -> None:
        """Ask for an option that is not in the record. Only when caught up and no question is open."""
        self._asked = (option, question, no_zeroes)
        self.outgoing += question

    def receive(self, data: bytes) -> Optional[Exchange]:
        """Take what the server sent. Returns the exchange that this completes, if it is not in the record.

        Raises Unrecoverable when an answer differs from the record, TunnelFault when it is not valid.
        """
        incoming = self._incoming
        incoming += data
        while self._replayed < len(self._record):
            expected = self._record[self._replayed].answer
            if incoming[: len(expected)] != expected[: len(incoming)]:
                raise another_disk()
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
