"""Whether a slow copy goes on with compression or without: what the line shows decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2v_tui.session.data.compression import FAST, MOVE_TIMEOUT, TRIAL_INTERVAL, WINDOW, CompressionChoice, Trial

MB = 1_000_000


class Copy:
    """A copy over a line. rate: bytes a second by whether it is compressed; a wish is carried out after `delay`."""

    def __init__(self, rate: Callable[[bool], float], delay: float = 2.0) -> None:
        self._rate = rate
        self._delay = delay
        self._choice = CompressionChoice()
        self._pending: tuple[float, bool] | None = None
        self.now = 0.0
        self.relayed = 0.0
        self.generation = 1
        self.compressed = False
        self.wishes: list[bool] = []
        # Whether a wish is carried out at all.
        self.follows = True

    @property
    def trial(self) -> Trial | None:
        return self._choice.trial

    def run(self, seconds: float, *, copying: bool = True) -> None:
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            self.relayed += self._rate(self.compressed) / 2
            if self._pending and self.now >= self._pending[0]:
                self.compressed = self._pending[1]
                self.generation += 1
                self._pending = None
            wish = self._choice.sample(
                self.now, int(self.relayed), self.generation, compressed=self.compressed, copying=copying
            )
            if wish is not None:
                self.wishes.append(wish)
                self._pending = (self.now + self._delay, wish) if self.follows else None


def test_a_slow_line_is_compressed_when_that_is_faster() -> None:
    copy = Copy(lambda compressed: 24 * MB if compressed else 12 * MB)
    copy.run(60)
    assert copy.wishes == [True]
    assert copy.compressed


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.05])
def test_it_goes_back_where_it_is_no_faster(gain: float) -> None:
    copy = Copy(lambda compressed: (gain if compressed else 1) * 20 * MB)
    copy.run(60)
    assert copy.wishes == [True, False]
    assert not copy.compressed


def test_a_fast_line_is_never_touched() -> None:
    copy = Copy(lambda _: FAST * 1.1)
    copy.run(3 * TRIAL_INTERVAL)
    assert copy.wishes == []


def test_nothing_is_measured_before_the_copy() -> None:
    copy = Copy(lambda _: 1 * MB)
    copy.run(600, copying=False)
    assert copy.wishes == []


def test_an_outage_is_no_slow_line() -> None:
    copy = Copy(lambda _: 0)
    copy.run(600)
    assert copy.wishes == []


def test_what_was_found_is_looked_at_again_after_a_while() -> None:
    rates = {False: 12 * MB, True: 24 * MB}
    copy = Copy(lambda compressed: rates[compressed])
    copy.run(60)
    # What follows on the disk cannot be compressed.
    rates[True] = 8 * MB
    copy.run(TRIAL_INTERVAL + 10 * WINDOW)
    assert copy.wishes == [True, False]
    assert not copy.compressed


def test_the_rate_of_a_trial_is_that_of_the_new_tunnel_alone() -> None:
    copy = Copy(lambda compressed: 24 * MB if compressed else 12 * MB, delay=5 * WINDOW)
    copy.run(120)
    assert copy.wishes == [True]


def test_what_a_trial_found_is_told_with_both_rates() -> None:
    copy = Copy(lambda compressed: 24 * MB if compressed else 12 * MB)
    copy.run(60)
    assert copy.trial is not None
    assert copy.trial.compressed
    assert copy.trial.without == pytest.approx(12 * MB)
    assert copy.trial.with_it == pytest.approx(24 * MB)


def test_a_switch_that_is_not_carried_out_does_not_block_later_ones() -> None:
    copy = Copy(lambda compressed: 24 * MB if compressed else 12 * MB)
    copy.follows = False
    copy.run(MOVE_TIMEOUT + 10 * WINDOW)
    assert (copy.wishes, copy.trial) == ([True], None)
    copy.follows = True
    copy.run(TRIAL_INTERVAL + 10 * WINDOW)
    assert copy.wishes == [True, True]
    assert copy.compressed


def test_a_switch_back_that_is_not_carried_out_is_requested_again() -> None:
    copy = Copy(lambda compressed: 10 * MB if compressed else 20 * MB, delay=1.0)
    copy.run(WINDOW + 2)
    assert copy.compressed
    copy.follows = False
    copy.run(WINDOW + 2)
    assert copy.wishes == [True, False]
    copy.follows = True
    copy.run(2 * MOVE_TIMEOUT)
    assert copy.wishes == [True, False, False]
    assert not copy.compressed


def test_a_tunnel_that_is_lost_in_a_trial_and_comes_back_the_same_goes_on_with_it() -> None:
    copy = Copy(lambda compressed: 24 * MB if compressed else 12 * MB, delay=1.0)
    copy.run(WINDOW + 3)
    assert copy.compressed
    copy.generation += 1
    copy.run(60)
    assert copy.trial is not None
    assert copy.trial.compressed


def test_a_trial_that_outlasts_the_copy_is_not_reported() -> None:
    copy = Copy(lambda compressed: 24 * MB if compressed else 12 * MB)
    copy.run(WINDOW + 1)
    assert copy.wishes == [True]
    copy.run(60, copying=False)
    assert (copy.wishes, copy.trial) == ([True], None)
