"""The relay's status as it comes from a server that need not be honest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.session.data.relay.states import Cause, DiskState
from p2v_tui.session.data.relay_status import MAX_REASON, DiskRelay, FailedRead, parse

DISK: dict[str, Any] = {
    "port": 40001,
    "generation": 2,
    "size": 2147483648,
    "state": "relaying",
    "reason": "",
    "cause": "",
    "relayed": 1048576,
    "distinct": 524288,
    "reconnects": 1,
    "silent": 3,
    "stalled": 2,
    "failures": 4,
    "failure": {"offset": 65536, "length": 4096, "error": 5},
}


def status(*disks: object) -> str:
    return json.dumps({"pid": 1234, "disks": disks})


def test_a_status_is_read_as_it_is_documented() -> None:
    found = parse(status(DISK), 1, alive=True)
    assert found is not None
    assert found.disks == (
        DiskRelay(
            port=40001,
            state=DiskState.RELAYING,
            size=2147483648,
            reason="",
            relayed=1048576,
            generation=2,
            silent=3.0,
            distinct=524288,
            stalled=2.0,
            cause=Cause.NONE,
            failures=4,
            failure=FailedRead(65536, 4096, 5),
        ),
    )


def test_a_size_that_is_not_known_yet_is_none() -> None:
    found = parse(status(DISK | {"size": None, "state": "waiting"}), 1, alive=True)
    assert found is not None
    assert found.disks[0].size is None


@pytest.mark.parametrize(
    ("state", "lost"), [("relaying", True), ("ready", True), ("done", False), ("given up", False)]
)
def test_it_is_lost_only_where_it_went_without_a_word(state: str, *, lost: bool) -> None:
    dead, alive = (parse(status(DISK | {"state": state}), 1, alive=each) for each in (False, True))
    assert dead is not None
    assert dead.lost is lost
    assert alive is not None
    assert not alive.lost


@pytest.mark.parametrize(
    "change",
    [
        {"port": 0.5},
        {"port": -1},
        {"port": 65536},
        {"port": "40001"},
        {"size": -1},
        {"size": 1 << 64},
        {"relayed": None},
        {"generation": True and "2"},
        {"silent": "x"},
        {"silent": float("inf")},
        {"silent": float("nan")},
        {"distinct": -1},
        {"stalled": None},
        {"state": "something else"},
        {"state": "\x1b[2J"},
        {"state": ["done"]},
        {"cause": "something else"},
        {"cause": []},
        {"failures": -1},
        {"failure": {"offset": 0, "length": 1}},
        {"failure": {"offset": -1, "length": 1, "error": 5}},
        {"failure": 5},
        {"failure": {"offset": 0, "length": 1, "error": 1 << 31}},
    ],
)
def test_a_value_that_it_cannot_have_makes_it_no_status(change: dict[str, Any]) -> None:
    assert parse(status(DISK | change), 1, alive=True) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '{"disks": 3}', '{"disks": [3]}', '{"disks": [{}]}']
)
def test_what_is_no_status_is_none(text: str) -> None:
    assert parse(text, 1, alive=True) is None


def test_a_status_of_other_disks_is_none() -> None:
    assert parse(status(DISK), 2, alive=True) is None
    assert parse(status(DISK, DISK), 1, alive=True) is None


def test_no_text_of_it_can_drive_a_terminal_or_fill_it() -> None:
    found = parse(status(DISK | {"reason": "\x1b]0;title\x07" + "x" * 1000}), 1, alive=True)
    assert found is not None
    assert "\x1b" not in found.disks[0].reason
    assert len(found.disks[0].reason) <= MAX_REASON


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*DISK, "x"]), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*DISK]), _JSON))
def test_whatever_a_server_says_is_a_status_or_none(change: dict[str, Any]) -> None:
    found = parse(status({**DISK, **change}), 1, alive=True)
    assert found is None or 0 <= found.disks[0].port <= 65535


@given(st.text() | _JSON.map(json.dumps))
def test_any_text_is_a_status_or_none(text: str) -> None:
    parse(text, 1, alive=False)
