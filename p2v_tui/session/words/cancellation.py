"""Stopping a session from another thread.

Not from a signal handler: it runs in the middle of whatever the main thread does, and that may hold the very lock
that `threading.Event` takes here. front/signals.py takes signals.
"""

from __future__ import annotations

import threading

from p2v_tui.errors import Cancelled, Detached


class Cancellation:
    """Set once by the front end; asked by the session between its steps.

    cancel: the operator wants no conversion. detach: this program has to end, the conversion need not; one that has
    not started yet is cancelled. again: cancelled by a second call of `cancel`; the tidying up that the first one led
    to looks at it where it could last long.
    """

    def __init__(self, *, insistent: bool = True) -> None:
        self._event = threading.Event()
        self.again = Cancellation(insistent=False) if insistent else self
        self._detach = False

    def cancel(self) -> None:
        self._detach = False
        if self.requested and self.again is not self:
            self.again.cancel()
        self._event.set()

    def detach(self) -> None:
        if not self.requested:
            self._detach = True
            self._event.set()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raises Cancelled or Detached once the front end has asked for it."""
        if self.requested:
            raise Detached if self._detach else Cancelled

    def wait(self, seconds: float) -> None:
        """Sleeps, and raises as `check` does as soon as there is reason to."""
        self._event.wait(seconds)
        self.check()
