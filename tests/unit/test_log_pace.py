"""The log is asked for in pieces that fit the line."""

from __future__ import annotations

from p2v_tui.session.conversion.log_pace import LEAST, MOST, LogPace


def test_a_fast_line_brings_more_at_once_up_to_a_limit() -> None:
    pace = LogPace()
    for _ in range(20):
        pace.came(pace.limit, 0.1)
    assert pace.limit == MOST


def test_a_slow_line_brings_less_but_never_nothing() -> None:
    pace = LogPace()
    for _ in range(20):
        pace.came(pace.limit, 25.0)
    assert pace.limit == LEAST


def test_an_answer_that_did_not_come_in_time_is_asked_for_in_smaller_pieces() -> None:
    pace = LogPace()
    before = pace.limit
    pace.less()
    assert pace.limit < before


def test_the_end_of_the_log_says_nothing_of_the_line() -> None:
    pace = LogPace()
    before = pace.limit
    pace.came(100, 0.1)
    assert pace.limit == before
