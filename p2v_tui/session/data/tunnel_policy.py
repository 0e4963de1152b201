"""Decides when a data connection needs another tunnel: after a stall, or to try compression.

It decides and reports what it sees; it opens nothing. It belongs to the thread of one data connection, which alone
knows which tunnels exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from p2v_tui.session.data.compression import CompressionChoice, Trial
from p2v_tui.session.data.relay_status import DiskRelay
from p2v_tui.session.words.events import Event, Happened
from p2v_tui.session.words.quantities import duration_text, size_text

# A tunnel that answers neither requests nor handshakes for so many seconds has stalled. Another one is opened beside
# it, so a mistake only costs a login; at most one in each such period.
STALL: Final = 20.0
# A disk that does not answer for so many seconds is reported, and again each time that has doubled.
SLOW_DISK: Final = 30.0


@dataclass(frozen=True)
class Observation:
    """What the relay said of the disk. at: seconds of a monotonic clock. copying: see CompressionChoice."""

    at: float
    relay: DiskRelay
    copying: bool = False


class TunnelPolicy:
    """name: the disk's. notify: called with each event. newest: the generation of the tunnel opened last."""

    def __init__(self, name: str, notify: Callable[[Event], None]) -> None:
        self._name = name
        self._notify = notify
        self._choice = CompressionChoice()
        self._told: Trial | None = None
        self.newest = 0
        self._compressed: set[int] = set()
        self._replaced_at = float("-inf")
        self._slow_at = SLOW_DISK
        self._slowest = 0.0

    def opened(self, generation: int, *, compressed: bool) -> None:
        """Takes note of a new tunnel."""
        self.newest = generation
        if compressed:
            self._compressed.add(generation)

    def observe(self, seen: Observation, *, server_hangs: bool = False) -> bool | None:
        """Whether to open another tunnel: True with compression, False without; None for no new tunnel.

        server_hangs: our own NBD server does not answer, so that no tunnel could.
        """
        relay = seen.relay
        stalled = relay.stalled > STALL and not server_hangs
        self._watch_disk(relay, slow=not stalled)
        if stalled and seen.at - self._replaced_at > STALL:
            self._replaced_at = seen.at
            self._notify(Happened(f"{self._name}: no answer for {relay.stalled:.0f} s; trying another connection"))
            return self.newest in self._compressed
        wish = self._choice.sample(
            seen.at,
            relay.relayed,
            relay.generation,
            # While no tunnel is in use, the newest one says how the next will be.
            compressed=(relay.generation or self.newest) in self._compressed,
            copying=seen.copying,
        )
        trial = self._choice.trial
        if trial is not None and (self._told is None or trial.compressed != self._told.compressed):
            self._told = trial
            self._notify(Happened(_outcome(self._name, trial)))
        return wish

    def _watch_disk(self, relay: DiskRelay, *, slow: bool) -> None:
        if relay.silent >= self._slow_at and slow:
            self._slow_at = 2 * relay.silent
            self._notify(
                Happened(
                    f"The disk {self._name} has not answered for {duration_text(relay.silent)}. The connection is "
                    "fine: the conversion waits for the disk."
                )
            )
        if self._slow_at > SLOW_DISK and relay.silent < self._slowest:
            self._slow_at = SLOW_DISK
            self._notify(Happened(f"The disk {self._name} answers again, after {duration_text(self._slowest)}."))
        self._slowest = relay.silent


def _outcome(name: str, trial: Trial) -> str:
    figures = f"{size_text(trial.with_it)}/s with it, {size_text(trial.without)}/s without"
    if trial.compressed:
        return f"{name}: compression makes the copy faster over this line ({figures}): it stays on."
    return f"{name}: compression makes the copy no faster over this line ({figures}): it stays off."
