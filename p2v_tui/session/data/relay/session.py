"""Decides how one client of a disk is served. It uses no sockets and no clock.

In: what the client sends (`client_sent`, `client_left`) and takes (`sent_to_client`), what happens to the links
(`Owner`), the reply data that was moved past us (`moved`), and ticks. Each comes with the time. Out: `to_client`, the
`outgoing` of each link, and the actions of the disk; `wants` and `wants_from_client` say how much may be read. The
states and their transitions are in `states`.
"""

from typing import Callable, List, Optional, Tuple

from . import limits
from .errors import ClientFault, TunnelFault, TunnelLost
from .handshake import ClientHandshake, Exchange, accepts_export, export_size
from .links import GOODBYE, EndClient, Link, Owner
from .liveness import Liveness
from .nbd import FLAG_NO_ZEROES, OPT_ABORT, OPTIONS_PASSED_ON, REP_ACK, REP_ERR_UNSUP, REPLY, packed_answer
from .shared import Shared
from .states import PHASE, Phase, PhaseEvent, after
from .supply import Supply
from .transmission import Transmission


class Session(Owner):
    """Serves one client. ended: called once, with the client's fault, or empty.

    Any call may raise Unrecoverable: then the disk has to be given up.
    to_client: bytes for the client, to be sent before any data that is moved later.
    plain: whether only whole requests and replies come and go, so that nothing else has to be decided.
    full: whether the client takes nothing at present.
    """

    def __init__(self, shared: Shared, ended: Callable[["Session", str], None], now: float) -> None:
        self.phase = Phase.HANDSHAKE
        self.to_client = bytearray()
        self.plain = False
        self.full = False
        self._shared = shared
        self._ended = ended
        self._record: List[Exchange] = []
        self.supply = Supply(self, shared, self._record, self._unhold)
        self._liveness = Liveness(shared, now)
        self._received_at = now
        self._worked_at = now
        self._incoming = bytearray()
        self._handshake = ClientHandshake()
        self._asked: Optional[Tuple[int, bytes]] = None
        self._transmission: Optional[Transmission] = None
        self._header = bytearray()
        # Whether moved data may not have reached the client yet: nothing of ours may overtake it.
        self._on_its_way = False

    # For others to read

    @property
    def over(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def tunnel(self) -> Optional[Link]:
        """The one that serves the client."""
        return self.supply.tunnel

    @property
    def links(self) -> List[Link]:
        return self.supply.links + self._liveness.links

    @property
    def generation(self) -> int:
        return self.tunnel.generation if self.tunnel else 0

    @property
    def worked_at(self) -> float:
        """When a tunnel last worked, or was not needed."""
        return max(self._worked_at, self._liveness.lives_at)

    def silent(self, now: float) -> float:
        return now - self._received_at if self._waits_for_answer else 0.0

    def stalled(self, now: float) -> float:
        return now - max(self._received_at, self._liveness.lives_at) if self._waits_for_answer else 0.0

    @property
    def _waits_for_answer(self) -> bool:
        if self._transmission is not None:
            return self._transmission.open_requests > 0
        return self._asked is not None or not self._record

    @property
    def data_left(self) -> int:
        """How many bytes of reply data come next. The caller moves them to the client and calls `moved`."""
        transmission = self._transmission
        return 0 if transmission is None or transmission.resuming else transmission.left

    @property
    def reply_left(self) -> int:
        """How many bytes are missing of the reply that is being sent to the client."""
        return 0 if self._transmission is None else self._transmission.left

    def wants(self, link: Link) -> int:
        """How many bytes may be read from the link at once, while `data_left` is 0."""
        if link is self.tunnel and self._transmission is not None:
            return REPLY.size - len(self._header)
        return limits.MAX_ANSWER_BYTES

    @property
    def wants_from_client(self) -> int:
        """How many bytes may be read from the client at once; 0: nothing now."""
        if self._transmission is not None:
            return 0 if self._transmission.enough else limits.REQUESTS_BYTES
        waits = self.full or len(self._incoming) > limits.MAX_OPTION_BYTES
        return 0 if waits else limits.MAX_OPTION_BYTES

    # What happens

    def tick(self, now: float) -> None:
        self._do(self._tick, now)

    def client_sent(self, data: bytes, now: float) -> None:
        self._incoming += data
        self._do(self._nothing, now)

    def client_left(self) -> None:
        self._end("")

    def sent_to_client(self, *, full: bool, everything: bool, now: float) -> None:
        """The client has received everything that was pending, or takes nothing now. Not needed while `plain`."""
        self.full = full
        if everything:
            self._on_its_way = False
        if everything and self.phase is Phase.LEAVING and not self.to_client:
            self._end("")
        else:
            self._do(self._nothing, now)

    def moved(self, count: int, now: float) -> None:
        """So many bytes of data were taken from the tunnel for the client: `data_left` shrinks."""
        transmission = self._transmission
        if transmission is None or self.tunnel is None:
            return
        self._on_its_way = True
        transmission.passed_on(count)
        self._shared.relayed += count
        self._received_at = self._worked_at = now
        self.tunnel.useful = True
        if not transmission.left:
            self._shared.faults = 0
        if not self.plain:
            self._do(self._nothing, now)

    def opened(self, link: Link, now: float) -> None:
        if not self.over:
            self._do(self.supply.opened, now, link)

    def refused(self, link: Link, now: float) -> None:
        self.supply.refused(link, now)

    def received(self, link: Link, data: bytes, now: float) -> None:
        if link is self.tunnel:
            if self._transmission is None:
                self._do(self._tunnel_answered, now, link, data)
            else:
                self._header += data
                if len(self._header) == REPLY.size:
                    self._do(self._tunnel_replied, now, self._transmission)
        elif link is self.supply.candidate:
            self._do(self._candidate_answered, now, link, data)

    def lost(self, link: Link, why: str, now: float) -> None:
        if link is self.tunnel:
            self._do(self._lose_tunnel, now, TunnelLost(why))
        elif link is self.supply.candidate:
            self._do(self.supply.drop_candidate, now, why)

    def close(self) -> None:
        """End it without a call of `ended`."""
        self.phase = after(PHASE, self.phase, PhaseEvent.GONE)
        self.plain = False
        self.supply.close(self._last_words)
        self._liveness.close()
        self._shared.actions.append(EndClient(self))

    def _end(self, fault: str) -> None:
        if not self.over:
            self.close()
            self._ended(self, fault)

    # One step: an event and its consequences

    def _do(self, step: Callable[..., object], now: float, *arguments: object) -> None:
        """If the step returns True, it has no consequences while all is `plain`."""
        if self.over:
            return
        try:
            try:
                complete = step(*arguments, now) is True and self.plain
            except TunnelLost as lost:
                self._lose_tunnel(lost, now)
                complete = False
            if not complete:
                self._proceed(now)
        except ClientFault as fault:
            self._end(str(fault))

    def _nothing(self, now: float) -> None:
        """Only what follows."""

    def _proceed(self, now: float) -> None:
        """Do what is possible now with what both sides have sent."""
        self._adopt_candidate(now)
        if self._transmission is None:
            self._take_options()
        transmission = self._transmission
        if transmission is not None:
            if self._incoming:
                transmission.take_requests(self._incoming)
            if transmission.own and not transmission.left and not self._on_its_way:
                self.to_client += transmission.own
                transmission.own.clear()
            if self.tunnel:
                self.tunnel.outgoing += transmission.to_send()
            if transmission.disconnecting and not transmission.open_requests and not transmission.own:
                self._leave()
        self.plain = (
            transmission is not None
            and not transmission.special
            and not (self.full or self.supply.candidate or self._incoming)
        )

    def _leave(self) -> None:
        if self.phase is not Phase.LEAVING:
            self.phase = after(PHASE, self.phase, PhaseEvent.SAID_GOODBYE)

    def _tick(self, now: float) -> None:
        if not self._waits_for_answer or self.full:
            self._received_at = now
            if self.tunnel:
                self._worked_at = now
        self._liveness.tick(self.tunnel, self._received_at, now)
        self.supply.look(now)

    # The client's handshake

    def _take_options(self) -> None:
        while self.phase is Phase.HANDSHAKE and self._record and self._asked is None and not self.full:
            option = self._handshake.next_option(self._incoming)
            if option is None:
                return
            if option.number == OPT_ABORT:
                self.to_client += packed_answer(OPT_ABORT, REP_ACK)
                self._leave()
            elif option.number in OPTIONS_PASSED_ON:
                # The server sees the client's flags before the first option.
                flags = (self._handshake.flags or b"") if len(self._record) == 1 else b""
                self._asked = (option.number, flags + option.packed)
                self._ask()
            else:
                # Structured replies and extended headers cannot be repeated in part, TLS would make us blind, and
                # unknown options cannot be recorded.
                self.to_client += packed_answer(option.number, REP_ERR_UNSUP)

    def _ask(self) -> None:
        if self.tunnel and self._asked:
            number, question = self._asked
            no_zeroes = self._handshake.no_zeroes and bool(self._record[0].answer[17] & FLAG_NO_ZEROES)
            self.tunnel.ask(number, question, no_zeroes)

    def _tunnel_answered(self, tunnel: Link, data: bytes, now: float) -> None:
        exchange = tunnel.receive(data, now)
        if exchange is None:
            return
        self._asked = None
        self._record.append(exchange)
        self.to_client += exchange.answer
        self._answered(tunnel, now)
        size = export_size(exchange)
        if size is not None:
            self._shared.check_size(size)
        if accepts_export(exchange):
            self._transmission = Transmission(self._shared.reads)
            self._transmission.connected()
            self.phase = after(PHASE, self.phase, PhaseEvent.AGREED)

    # Replies

    def _tunnel_replied(self, transmission: Transmission, now: float) -> bool:
        header = bytes(self._header)
        self._header.clear()
        self.to_client += transmission.reply(header)
        if not transmission.left and self.tunnel:
            self._answered(self.tunnel, now)
        return True

    def _answered(self, tunnel: Link, now: float) -> None:
        """The tunnel has answered."""
        self._received_at = self._worked_at = now
        self._shared.faults = 0
        tunnel.useful = True

    # Tunnels come and go

    def _candidate_answered(self, candidate: Link, data: bytes, now: float) -> None:
        try:
            exchange = candidate.receive(data, now)
        except TunnelLost as lost:
            self.supply.drop_candidate(str(lost), now)
            if isinstance(lost, TunnelFault) and self.tunnel is None:
                self._shared.count_fault(lost)
            return
        if exchange:
            # The greeting of the client's first tunnel is the first entry of the record.
            self._record.append(exchange)
            self.to_client += exchange.answer

    def _unhold(self) -> None:
        """No candidate takes over: the present tunnel gets requests again."""
        if self._transmission is not None:
            self._transmission.unhold()

    def _lose_tunnel(self, lost: TunnelLost, now: float) -> None:
        if self._transmission is not None:
            self._transmission.disconnected()
        self.supply.lose_tunnel(lost, now)

    def _adopt_candidate(self, now: float) -> None:
        """Move to the candidate when it is ready and the present tunnel has answered everything or stalls."""
        if not self.supply.caught_up():
            return
        tunnel, candidate, transmission = self.tunnel, self.supply.candidate, self._transmission
        if tunnel and candidate and transmission is not None and transmission.unanswered:
            if not transmission.held:
                self._shared.log(f"tunnel {candidate.generation} is there, tunnel {tunnel.generation} finishes")
            # nbdkit 1.32 aborts when a connection ends while it answers on it.
            transmission.held = True
            if self.full or now - self._received_at <= limits.STALLED_SECONDS:
                return
        self.supply.adopt(self._last_words)
        self._header.clear()
        if transmission is None:
            self._ask()
        else:
            if tunnel:
                transmission.disconnected()
            transmission.connected()

    @property
    def _last_words(self) -> bytes:
        """What to send the present tunnel when it is closed although it works."""
        transmission, tunnel = self._transmission, self.tunnel
        owes = transmission is None or transmission.unanswered or tunnel is None or bool(tunnel.outgoing)
        return b"" if owes else GOODBYE
