"""Cancelled or detached: what is asked for, once and again."""

from __future__ import annotations

import pytest

from p2v_tui.errors import Cancelled, Detached
from p2v_tui.session.words.cancellation import Cancellation


def test_nothing_is_raised_before_anybody_asks() -> None:
    cancellation = Cancellation()
    cancellation.check()
    cancellation.wait(0)
    assert not cancellation.requested


def test_a_cancellation_is_raised_wherever_it_is_looked_at() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        cancellation.check()
    with pytest.raises(Cancelled):
        cancellation.wait(60)


def test_a_detachment_is_no_cancellation() -> None:
    cancellation = Cancellation()
    cancellation.detach()
    with pytest.raises(Detached):
        cancellation.check()


def test_a_cancellation_by_the_operator_overrides_a_signal() -> None:
    detached_first, cancelled_first = Cancellation(), Cancellation()
    detached_first.detach()
    detached_first.cancel()
    cancelled_first.cancel()
    cancelled_first.detach()
    for cancellation in (detached_first, cancelled_first):
        with pytest.raises(Cancelled):
            cancellation.check()


def test_only_the_second_cancellation_reaches_the_cleanup() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    cancellation.again.check()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        cancellation.again.wait(60)
    cancellation.cancel()
