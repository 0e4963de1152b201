"""Stopping a session from another thread, or from a signal handler."""

from __future__ import annotations

import threading

from p2v_tui.errors import Cancelled


class Cancellation:
    """Set once by the front end; asked by the session between its steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raises Cancelled once the front end has cancelled."""
        if self.requested:
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleeps, and raises Cancelled as soon as the front end cancels."""
        self._event.wait(seconds)
        self.check()
