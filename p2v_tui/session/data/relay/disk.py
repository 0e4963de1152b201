"""A disk: its clients, the probe that looks for a tunnel while no client is there, and when to give up.

It uses no sockets and no clock: `loop` calls it the way that `session` describes.
"""

from typing import Callable, List, Optional

from . import limits
from .errors import TunnelFault, TunnelLost, Unrecoverable
from .handshake import Exchange, accepts_export, export_size
from .links import GOODBYE, Action, Close, Link, Open, Owner, StopListening
from .report import DiskReport
from .session import Session
from .shared import Shared
from .states import DISK, Cause, DiskEvent, DiskState, after


class Disk(Owner):
    """seconds: how long it may lack a working tunnel.

    Any call may raise Unrecoverable: then call `give_up`. started: whether virt-v2v is known to have been started.
    control_alive: whether p2v-tui is still connected, as far as the server knows. abandoned: given up because
    p2v-tui did not come back and virt-v2v was never started.
    """

    def __init__(
        self, number: int, seconds: float, many_clients: bool, log: Callable[[str], None], now: float
    ) -> None:
        self.number = number
        self.state = DiskState.WAITING
        self.reason = ""
        self.cause = Cause.NONE
        self.abandoned = False
        self.started = False
        self.control_alive = True
        self._shared = Shared(number, log)
        self._seconds = seconds
        self._many_clients = many_clients
        self._refusals = 0
        self._sessions: List[Session] = []
        self._generation = 0
        self._silent = 0.0
        self._stalled = 0.0
        self._probe: Optional[Link] = None
        # A probe that is still connecting.
        self._opening: Optional[Link] = None
        self._probed_at = 0.0
        self._worked_at = now

    # For others to read

    def report(self, port: int) -> DiskReport:
        reads = self._shared.reads
        return DiskReport(
            port=port,
            generation=self._generation,
            size=self._shared.size,
            state=self.state,
            reason=self.reason,
            cause=self.cause,
            relayed=self._shared.relayed,
            distinct=reads.distinct,
            reconnects=self._shared.reconnects,
            silent=int(self._silent),
            stalled=int(self._stalled),
            failures=reads.failures,
            failure=reads.failure,
        )

    def next_action(self) -> Optional[Action]:
        """Take the next action out of the queue."""
        return self._shared.actions.popleft() if self._shared.actions else None

    @property
    def has_tunnel(self) -> bool:
        return self._generation > 0

    @property
    def links(self) -> List[Link]:
        return [self._probe] if self._probe else []

    @property
    def in_doubt(self) -> bool:
        """Whether it is not known yet, and matters, if virt-v2v was started."""
        return not self.started and not self._sessions

    def log(self, text: str) -> None:
        self._shared.log(text)

    # Clients come and go

    def client_came(self, user: Optional[int], allowed: bool, now: float) -> Optional[Session]:
        """user: its user id; None if unknown. Returns None if the client is refused."""
        if not allowed:
            self._refuse("a client of " + ("an unknown user" if user is None else f"user {user}"))
            return None
        if len(self._sessions) >= limits.MAX_CLIENTS:
            self._refuse(f"more than {limits.MAX_CLIENTS} clients")
            return None
        self.log("a client came")
        if not self._many_clients:
            self._shared.actions.append(StopListening())
        self._drop_probe()
        self._happened(DiskEvent.CLIENT_CAME)
        self._generation = 0
        session = Session(self._shared, self._client_ended, now)
        self._sessions.append(session)
        session.tick(now)
        return session

    def _refuse(self, who: str) -> None:
        self._refusals += 1
        if self._refusals <= limits.MAX_REFUSALS_LOGGED:
            last = "; further ones are not logged" if self._refusals == limits.MAX_REFUSALS_LOGGED else ""
            self.log("refused " + who + last)

    def _client_ended(self, session: Session, fault: str) -> None:
        self._sessions.remove(session)
        self._worked_at = max(self._worked_at, session.worked_at)
        self.log("the client was closed: " + fault if fault else "the client has gone")
        if fault:
            self.reason = fault
        if not self._many_clients:
            self._happened(DiskEvent.FAILED if fault else DiskEvent.LEFT)
        elif not self._sessions:
            self._happened(DiskEvent.LAST_LEFT)
            self._generation = 0
            self._silent = self._stalled = 0.0

    # The end

    def give_up(self, reason: str, cause: Cause = Cause.NONE) -> None:
        if not self.state.ended:
            self._happened(DiskEvent.FAILED)
            self.reason = reason
            self.cause = cause
            self.log("given up: " + reason)

    def finish(self) -> None:
        """virt-v2v has ended."""
        if not self.state.ended:
            self._happened(DiskEvent.FINISHED)

    def close(self) -> None:
        """End all connections."""
        self._drop_probe()
        for session in self._sessions:
            session.close()
        self._sessions = []
        self._generation = 0
        self._silent = self._stalled = 0.0

    def _happened(self, event: DiskEvent) -> None:
        self.state = after(DISK, self.state, event)

    # Time

    def tick(self, there: List[int], now: float) -> None:
        """there: the generations of the existing tunnels."""
        self._shared.schedule.update(there)
        for session in list(self._sessions):
            session.tick(now)
        worked_at = self._worked_at
        if self._sessions:
            self._generation = max(session.generation for session in self._sessions)
            self._silent = max(session.silent(now) for session in self._sessions)
            self._stalled = max(session.stalled(now) for session in self._sessions)
            worked_at = min(session.worked_at for session in self._sessions)
        elif not self.state.ended:
            self._look_for_tunnel(now)
        seconds = self._retry_for
        if not self.state.ended and now - worked_at > seconds:
            self.abandoned = seconds < self._seconds
            raise Unrecoverable(f"no working tunnel for {seconds:g} s", Cause.TUNNEL)

    @property
    def _retry_for(self) -> float:
        """Seconds without a tunnel. The long time is only for a conversion that runs."""
        if self.in_doubt and not self.control_alive:
            return min(self._seconds, limits.UNSTARTED_SECONDS)
        return self._seconds

    # The probe: finds a tunnel that answers while no client is there, and checks now and then that it still does

    def _look_for_tunnel(self, now: float) -> None:
        probe = self._probe
        if probe and now - probe.received_at > self._shared.schedule.timeout(probe.generation, now):
            self._probe_failed(probe, "it does not answer", now)
        self._open_next(now)

    def _open_next(self, now: float) -> None:
        overdue = now - self._probed_at > min(limits.IDLE_PROBE_SECONDS, self._retry_for / 3)
        above = 0 if overdue else self._generation
        if self._probe:
            above = max(above, self._probe.generation)
        generations = self._shared.schedule.to_try(above, now)
        if generations and self._opening is None:
            self._opening = Link(self, generations[0], (), now)
            self._shared.actions.append(Open(self._opening))

    def opened(self, link: Link, now: float) -> None:
        del now
        if link is self._opening:
            self._opening = None
            self._drop_probe()
            self._probe = link

    def refused(self, link: Link, now: float) -> None:
        if link is self._opening:
            self._opening = None
            self._generation_failed(link.generation, now)
            self._open_next(now)

    def received(self, link: Link, data: bytes, now: float) -> None:
        if link is not self._probe:
            return
        try:
            greeted = link.greeted
            exchange = link.receive(data, now)
            if exchange and greeted:
                self._probed(link, exchange, now)
            elif exchange:
                link.ask_for_export(exchange)
        except TunnelLost as lost:
            self._probe_failed(link, str(lost), now)
            if isinstance(lost, TunnelFault):
                self._shared.count_fault(lost)

    def lost(self, link: Link, why: str, now: float) -> None:
        if link is self._probe:
            self._probe_failed(link, why, now)

    def _probed(self, probe: Link, exchange: Exchange, now: float) -> None:
        size = export_size(exchange)
        if not accepts_export(exchange) or size is None:
            raise TunnelFault("the server has no default export")
        self._shared.check_size(size)
        self._drop_probe(GOODBYE)
        self._shared.faults = 0
        if self._generation != probe.generation:
            self.log(f"tunnel {probe.generation} answers: {size} bytes")
        self._generation = probe.generation
        self._shared.schedule.worked(probe.generation)
        self._probed_at = self._worked_at = now
        self._happened(DiskEvent.ANSWERED)

    def _probe_failed(self, probe: Link, why: str, now: float) -> None:
        self.log(f"tunnel {probe.generation} does not answer: {why}")
        self._drop_probe()
        self._generation_failed(probe.generation, now)

    def _generation_failed(self, generation: int, now: float) -> None:
        self._shared.schedule.failed(generation, now)
        if generation == self._generation:
            self._generation = 0
            self._happened(DiskEvent.UNANSWERED)

    def _drop_probe(self, last_words: bytes = b"") -> None:
        for link in (self._probe, self._opening):
            if link:
                link.outgoing[:] = last_words
                self._shared.actions.append(Close(link))
        self._probe = self._opening = None
