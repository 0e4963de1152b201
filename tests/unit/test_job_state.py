"""How virt-v2v's job stands, from what the server says, and never more than it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.session.remote.job_state import JobState, JobStatus, parse


@pytest.mark.parametrize(("said", "code"), [("ended 0", 0), ("ended 1", 1), ("ended 137", 137), ("ended-0", 0)])
def test_the_code_is_read_where_virt_v2v_has_ended(said: str, code: int) -> None:
    assert parse(said) == JobStatus(JobState.ENDED, code)
    assert parse(said).succeeded == (code == 0)


@pytest.mark.parametrize("said", ["", "ended", "ended ", "ended x", "ended ²", "ended -1", "cat: x", "0", "unknown"])
def test_what_is_not_known_is_not_a_success(said: str) -> None:
    assert parse(said) == JobStatus(JobState.UNKNOWN)


@pytest.mark.parametrize("said", ["unstarted", "running", "gone", "rebooted", "missing"])
def test_the_words_of_the_commands_are_known(said: str) -> None:
    assert parse(said).state.value == said
    assert not parse(said).succeeded


@given(st.text() | st.text().map(lambda text: f"ended {text}"))
def test_whatever_the_server_says_the_code_is_a_small_number_or_none(said: str) -> None:
    code = parse(said).exit_code
    assert code is None or 0 <= code <= 999
