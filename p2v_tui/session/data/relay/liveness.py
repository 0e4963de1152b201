"""Whether the tunnel lives while an answer does not come: a disk may take as long as it likes, a tunnel not."""

from typing import List, Optional

from . import limits
from .errors import TunnelLost
from .links import Close, Link, Open, Owner
from .shared import Shared


class Liveness(Owner):
    """Knocks beside a request that is not answered.

    Only a greeting is asked for: nbdkit opens the disk for a client that wants it, and a disk in the middle of its
    error recovery, which may be what hangs, cannot be opened.

    lives_at: when somebody answered last.
    """

    def __init__(self, shared: Shared, now: float) -> None:
        self.lives_at = now
        self._shared = shared
        self._knock: Optional[Link] = None
        self._knocked_at = now

    @property
    def links(self) -> List[Link]:
        return [self._knock] if self._knock else []

    def tick(self, tunnel: Optional[Link], heard_at: float, now: float) -> None:
        """tunnel: what serves now. heard_at: when it has said something last, or owed nothing."""
        silent = now - heard_at >= limits.PROBE_SECONDS
        knock = self._knock
        if knock:
            gone = tunnel is None or knock.generation != tunnel.generation or not silent
            # Its goodbye may wait for an answer as long as it likes.
            timeout = limits.PROBE_SECONDS if knock.greeted else limits.HANDSHAKE_SECONDS
            if gone or now - knock.heard_at > timeout:
                self.close()
        if tunnel and silent and not self._knock and now - self._knocked_at >= limits.PROBE_SECONDS:
            self._knocked_at = now
            self._knock = Link(self, tunnel.generation, (), now)
            self._shared.actions.append(Open(self._knock))

    def opened(self, link: Link, now: float) -> None:
        """Nothing is to be said before the server's greeting."""

    def refused(self, link: Link, now: float) -> None:
        """A tunnel that cannot be reached is what `stalled` shows."""
        del now
        if link is self._knock:
            self._knock = None

    def said(self, link: Link, data: bytes, now: float) -> None:
        if link is not self._knock:
            return
        greeted = link.greeted
        over = True
        try:
            exchange = link.receive(data, now)
            if exchange and not greeted:
                link.ask_to_leave(exchange)
            over = greeted and exchange is not None
        except TunnelLost:
            pass
        if link.greeted and link.heard_at == now:
            self.lives_at = now
        if over:
            self.close()

    def lost(self, link: Link, why: str, now: float) -> None:
        del why, now
        if link is self._knock:
            self.close()

    def close(self) -> None:
        if self._knock:
            self._knock.outgoing.clear()
            self._shared.actions.append(Close(self._knock))
            self._knock = None
