"""Checks a tunnel while an answer is late: a disk may take as long as it likes, a tunnel may not."""

from typing import List, Optional

from . import limits
from .errors import TunnelLost
from .links import Close, Link, Open, Owner
from .shared import Shared


class Liveness(Owner):
    """Asks for a greeting on another connection while a request is unanswered.

    Only for a greeting: for more than that nbdkit opens the disk, and a disk that hangs in its error recovery cannot
    be opened.

    lives_at: when an answer came last.
    """

    def __init__(self, shared: Shared, now: float) -> None:
        self.lives_at = now
        self._shared = shared
        self._knock: Optional[Link] = None
        self._knocked_at = now

    @property
    def links(self) -> List[Link]:
        return [self._knock] if self._knock else []

    def tick(self, tunnel: Optional[Link], received_at: float, now: float) -> None:
        """tunnel: the one that serves now. received_at: when it last sent something, or owed nothing."""
        silent = now - received_at >= limits.PROBE_SECONDS
        knock = self._knock
        if knock:
            gone = tunnel is None or knock.generation != tunnel.generation or not silent
            # The answer to its goodbye may take as long as it likes.
            timeout = limits.PROBE_SECONDS if knock.greeted else limits.HANDSHAKE_SECONDS
            if gone or now - knock.received_at > timeout:
                self.close()
        if tunnel and silent and not self._knock and now - self._knocked_at >= limits.PROBE_SECONDS:
            self._knocked_at = now
            self._knock = Link(self, tunnel.generation, (), now)
            self._shared.actions.append(Open(self._knock))

    def opened(self, link: Link, now: float) -> None:
        """The server greets first."""

    def refused(self, link: Link, now: float) -> None:
        """`stalled` shows a tunnel that cannot be reached."""
        del now
        if link is self._knock:
            self._knock = None

    def received(self, link: Link, data: bytes, now: float) -> None:
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
        if link.greeted and link.received_at == now:
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
