"""How the wrapper's state, read from the server, becomes virt-v2v's exit code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.session.conversion.outcome import _code_in


@pytest.mark.parametrize(("state", "code"), [("ended 0", 0), ("ended 1", 1), ("ended 137", 137)])
def test_the_code_is_read_where_virt_v2v_has_ended(state: str, code: int) -> None:
    assert _code_in(state) == code


@pytest.mark.parametrize("state", ["gone", "", "ended", "ended ", "ended x", "ended ²", "ended -1", "cat: x", "0"])
def test_everything_else_is_no_success(state: str) -> None:
    assert _code_in(state) is None


@given(st.text() | st.text().map(lambda text: f"ended {text}"))
def test_whatever_the_server_says_it_is_a_small_number_or_none(state: str) -> None:
    code = _code_in(state)
    assert code is None or 0 <= code <= 999
