"""The summary before the start: what it says, at 80 columns on its first page, and where its buttons lead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from p2v_tui.app import P2VTui
from p2v_tui.config import Settings
from p2v_tui.front.pace import Paces
from p2v_tui.front.pace_book import PaceBook
from p2v_tui.front.summary import as_text, summary
from p2v_tui.hwprobe import Machine
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.look import Look
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.state import State
from p2v_tui.screens.summary import SummaryScreen
from p2v_tui.session.plan.plan import Plan, make_plan
from tests.screens.conftest import SIZES, screen_text, wait_until
from tests.screens.conversion_screen import DB1, MadeUpState
from tests.screens.judged import FOUND, PYTHON
from tests.screens.scripted_conversion import NoServer


def chosen(*disks: str, machine: Machine = DB1, **settings: object) -> Plan:
    words: dict[str, object] = {"server": "conv.example.com", "guestname": "db1", "disks": disks or None}
    return make_plan(Settings(**{**words, **settings}), machine)  # type: ignore[arg-type]


def told(plan: Plan, paces: Paces | None = None) -> str:
    return as_text(summary(plan, DB1, FOUND, paces or Paces()), 80)


@asynccontextmanager
async def opened(state: State, size: str = "80x24") -> AsyncIterator[tuple[Pilot[int], P2VTui]]:
    app = P2VTui(state, look=Look.PLAIN)
    async with app.run_test(size=SIZES[size]) as pilot:
        await pilot.pause()
        assert state.plan is not None
        # The first screen forgets what it had when it is filled in.
        state.checks = FOUND
        await app.push_screen(ConversionScreen(state))
        await app.run_action("show_summary")
        await wait_until(pilot, lambda: "Converted:" in screen_text(app))
        await pilot.pause()
        yield pilot, app
    if state.run is not None:
        state.run.cancel()
        assert state.run.wait(10)


def with_plan(book: PaceBook | None = None) -> MadeUpState:
    state = MadeUpState()
    state.plan, state.book = chosen("sda", "nvme0n1"), book
    return state


@pytest.mark.parametrize("size", SIZES)
async def test_the_summary(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(with_plan(), size) as (_, app):
        assert screen_text(app) == snapshot


async def test_start_has_the_focus_and_back_leads_to_the_choices() -> None:
    async with opened(with_plan()) as (pilot, app):
        assert app.focused is not None and app.focused.id == "start"
        await pilot.press("escape")
        await wait_until(pilot, lambda: isinstance(app.screen, ConversionScreen))
        assert app.state.run is None


async def test_start_starts_the_conversion_whose_way_back_leads_to_the_choices() -> None:
    state = with_plan()
    async with opened(state) as (pilot, app):
        state.remember_server(NoServer().as_server(), state.virt_v2v)  # type: ignore[arg-type]
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(app.screen, RunningScreen))
        assert not any(isinstance(screen, SummaryScreen) for screen in app.screen_stack)
        assert state.run is not None and state.run.plan is state.plan


def test_what_is_left_out_is_said_with_the_reason() -> None:
    text = told(chosen("sda"))
    assert "sdb  1 TB  HITACHI HUS72  SAS: not checked" in text
    assert "sdz (8.6 GB): p2v-tui runs from it" in text


def test_interfaces_that_are_not_in_the_guest_are_named() -> None:
    text = told(chosen("sda", interfaces=("em2",)))
    assert "em2 to default" in text and "not in the guest: em1" in text


def test_a_warning_is_accepted_or_to_be_accepted() -> None:
    assert f"to accept: {PYTHON.name}" in told(chosen("sda"))
    accepted = AcceptedWarnings(keys=(PYTHON.key,))
    assert f" accepted: {PYTHON.name}" in told(chosen("sda", accept_warnings=accepted))


def test_the_time_is_an_estimate_from_the_line_as_it_was_measured(tmp_path: Path) -> None:
    assert "at 100 MB/s; this line was not measured" in " ".join(told(chosen("sda")).split())
    book = PaceBook(tmp_path / "paces.json")
    measured = " ".join(told(chosen("sda"), book.paces("conv.example.com", 10e6)).split())
    assert "estimate: 13 h" in measured and "at 10 MB/s, as the connection test measured the line" in measured


def test_earlier_conversions_that_were_slower_than_the_line_tell_the_time(tmp_path: Path) -> None:
    book = PaceBook(tmp_path / "paces.json")
    book.remember("conv.example.com", Paces(rate=10e6))
    measured = " ".join(told(chosen("sda"), book.paces("conv.example.com", 900e6)).split())
    assert "estimate: 13 h" in measured and "at 10 MB/s, as in earlier conversions to this server" in measured
