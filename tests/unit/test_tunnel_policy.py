"""When another tunnel is opened, and what is said: of a line that stalls, of a disk that is slow."""

from __future__ import annotations

import dataclasses

from p2v_tui.session.data.relay.states import DiskState
from p2v_tui.session.data.relay_status import DiskRelay
from p2v_tui.session.data.tunnel_policy import SLOW_DISK, STALL, Observation, TunnelPolicy
from p2v_tui.session.words.events import Event, Happened

READING = DiskRelay(port=40001, state=DiskState.RELAYING, size=1 << 30, relayed=1 << 20, generation=1)


class Watched:
    """A policy with one tunnel, and what it has said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.policy = TunnelPolicy("sda", self._tell)
        self.policy.opened(1, compressed=False)

    def _tell(self, event: Event) -> None:
        assert isinstance(event, Happened)
        self.said.append(event.text)

    def see(self, at: float, *, silent: float, stalled: float) -> bool | None:
        return self.policy.observe(Observation(at, dataclasses.replace(READING, silent=silent, stalled=stalled)))


def test_a_slow_disk_is_reported_and_never_gets_another_tunnel() -> None:
    watched = Watched()
    for second in range(3600):
        assert watched.see(float(second), silent=float(second), stalled=float(second % 6)) is None
    # At 30 s, and each time that it has been twice as long.
    assert len(watched.said) == 7
    assert "sda has not answered for 30 s" in watched.said[0]
    assert all("The connection is fine" in line for line in watched.said)
    watched.see(3600.0, silent=0.0, stalled=0.0)
    assert watched.said[-1] == "The disk sda answers again, after 59 min 59 s."


def test_a_short_pause_of_the_disk_is_not_reported() -> None:
    watched = Watched()
    for second in range(600):
        watched.see(float(second), silent=second % SLOW_DISK, stalled=0.0)
    assert watched.said == []


def test_a_line_that_stalls_gets_another_tunnel_and_is_not_called_a_slow_disk() -> None:
    watched = Watched()
    wishes = [watched.see(float(second), silent=float(second), stalled=float(second)) for second in range(60)]
    assert [second for second, wish in enumerate(wishes) if wish is not None] == [STALL + 1, 2 * STALL + 2]
    assert not any(wishes)
    assert all("sda: no answer for" in line for line in watched.said)


def test_no_tunnel_is_to_blame_where_our_own_nbd_server_hangs() -> None:
    watched = Watched()
    for second in range(300):
        relay = dataclasses.replace(READING, silent=float(second), stalled=float(second))
        assert watched.policy.observe(Observation(float(second), relay), server_hangs=second > STALL) is None
    assert "The disk sda has not answered for 30 s" in watched.said[0]


def test_a_compressed_tunnel_that_stalls_is_replaced_by_a_compressed_one() -> None:
    watched = Watched()
    watched.policy.opened(2, compressed=True)
    assert watched.see(30.0, silent=30.0, stalled=30.0) is True


def test_a_line_that_stalls_behind_a_slow_disk_is_reported_once_it_stalls() -> None:
    watched = Watched()
    watched.see(35.0, silent=35.0, stalled=2.0)
    assert watched.see(60.0, silent=60.0, stalled=27.0) is False
    assert len(watched.said) == 2
