"""Stopping a session from another thread.

Do not use it in a signal handler, which interrupts the main thread: that may hold the very lock that
`threading.Event` takes here. front/signals.py handles signals.
"""

from __future__ import annotations

import threading

from p2v_tui.errors import Cancelled, Detached


class Cancellation:
    """Set once by the front end; checked by the session between its steps.

    cancel: the operator wants no conversion. detach: this program has to end, but a conversion that has started may
    continue. again: cancelled by a second call of `cancel`; a long clean-up after the first one checks it.
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
        """Raises Cancelled or Detached if the front end has asked for it."""
        if self.requested:
            raise Detached if self._detach else Cancelled

    def wait(self, seconds: float) -> None:
        """Sleeps, and raises like `check` as soon as that would."""
        self._event.wait(seconds)
        self.check()
