"""What serves a client: the present tunnel, and the candidate that may take over."""

from typing import Callable, List, Optional, Sequence

from . import limits
from .errors import TunnelFault, TunnelLost
from .handshake import Exchange
from .links import Close, Link, Open, Owner
from .shared import Shared
from .states import SUPPLY, SupplyEvent, SupplyState, after


class Supply:
    """state: one of SUPPLY's. record: the client's handshake so far.

    owner: of the links. It reads what comes on them, and tells us what happens to them. dropped: called when a
    candidate was dropped.
    """

    def __init__(self, owner: Owner, shared: Shared, record: Sequence[Exchange], dropped: Callable[[], None]) -> None:
        self.state = SupplyState.NONE
        self.tunnel: Optional[Link] = None
        self.candidate: Optional[Link] = None
        # A link that is still connecting.
        self._opening: Optional[Link] = None
        self._owner = owner
        self._shared = shared
        self._record = record
        self._dropped = dropped
        self._tunnels = 0

    @property
    def links(self) -> List[Link]:
        """The links that are connected."""
        return [link for link in (self.tunnel, self.candidate) if link]

    def _happened(self, event: SupplyEvent) -> None:
        self.state = after(SUPPLY, self.state, event)

    # The candidate

    def look(self, now: float) -> None:
        """Try the highest tunnel above the open ones, and drop a candidate that takes too long."""
        candidate = self.candidate
        if candidate and not candidate.handshake.caught_up:
            timeout = limits.HANDSHAKE_SECONDS
            if self.tunnel is None:
                timeout = self._shared.schedule.timeout(candidate.generation, now)
            if now - candidate.received_at > timeout:
                self.drop_candidate("it does not answer", now)
        self._open_next(now)

    def _open_next(self, now: float) -> None:
        above = max([link.generation for link in self.links], default=0)
        generations = self._shared.schedule.to_try(above, now)
        if generations and self._opening is None:
            self._opening = Link(self._owner, generations[0], self._record, now)
            self._shared.actions.append(Open(self._opening))

    def opened(self, link: Link, now: float) -> None:
        if link is not self._opening:
            return
        self._opening = None
        if self.candidate:
            self.drop_candidate("there is a newer one", now)
        self.candidate = link
        self._happened(SupplyEvent.CANDIDATE_UP)

    def refused(self, link: Link, now: float) -> None:
        if link is self._opening:
            self._opening = None
            self._shared.schedule.failed(link.generation, now)
            self._open_next(now)

    def drop_candidate(self, why: str, now: float) -> None:
        candidate = self.candidate
        if candidate:
            self._shared.log(f"tunnel {candidate.generation} is not used: {why}")
            self._shared.schedule.failed(candidate.generation, now)
            self._close(candidate)
            self.candidate = None
            self._happened(SupplyEvent.CANDIDATE_DOWN)
            self._dropped()

    def caught_up(self) -> bool:
        """Whether the candidate can take over."""
        if self.candidate is None or not self.candidate.handshake.caught_up:
            return False
        if self.state in (SupplyState.CATCHING_UP, SupplyState.CHALLENGED):
            self._happened(SupplyEvent.CAUGHT_UP)
        return True

    def adopt(self, last_words: bytes) -> None:
        """Let the candidate take over. last_words: for the tunnel that served so far."""
        candidate, tunnel = self.candidate, self.tunnel
        if candidate is None:
            return
        if tunnel:
            self._shared.log(f"moves from tunnel {tunnel.generation} to {candidate.generation}")
            self._close(tunnel, last_words)
            self._happened(SupplyEvent.TUNNEL_FINISHED)
        else:
            self._shared.log(f"uses tunnel {candidate.generation}")
        self.tunnel = candidate
        self.candidate = None
        self._tunnels += 1
        if self._tunnels > 1:
            self._shared.reconnects += 1

    # The tunnel that serves

    def lose_tunnel(self, lost: TunnelLost, now: float) -> None:
        """Raises Unrecoverable after too many faults."""
        tunnel = self.tunnel
        if tunnel is None:
            return
        self._shared.log(f"tunnel {tunnel.generation} is lost: {lost}")
        if tunnel.useful:
            self._shared.schedule.worked(tunnel.generation)
        else:
            self._shared.schedule.failed(tunnel.generation, now)
        self._close(tunnel)
        self.tunnel = None
        self._happened(SupplyEvent.TUNNEL_DOWN)
        if isinstance(lost, TunnelFault):
            self._shared.count_fault(lost)

    def close(self, last_words: bytes) -> None:
        """Close all. last_words: for the tunnel that serves."""
        if self.tunnel:
            self._close(self.tunnel, last_words)
        for link in (self.candidate, self._opening):
            if link:
                self._close(link)
        self.tunnel = self.candidate = self._opening = None

    def _close(self, link: Link, last_words: bytes = b"") -> None:
        link.outgoing[:] = last_words
        self._shared.actions.append(Close(link))
