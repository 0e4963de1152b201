"""The summary before the start: what it says, at 80 columns on its first page, and where its buttons lead."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from p2v_tui.front.pace import Paces
from p2v_tui.front.pace_book import PaceBook
from p2v_tui.front.summary import as_text, summary
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.look import Look
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.summary import SummaryScreen
from p2v_tui.session.plan.plan import Plan
from tests.screens.conftest import SIZES, screen_text, wait_until
from tests.screens.conversion_screen import DB1
from tests.screens.judged import FOUND, PYTHON
from tests.screens.scripted_conversion import NoServer
from tests.screens.summary_screen import chosen, opened, with_plan


def told(plan: Plan, paces: Paces | None = None) -> str:
    return as_text(summary(plan, DB1, FOUND, paces or Paces()), 80)


@pytest.mark.parametrize("size", SIZES)
async def test_the_summary(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(with_plan(), size) as (_, app):
        assert screen_text(app) == snapshot


async def test_the_text_fits_the_other_look_as_well() -> None:
    async with opened(with_plan(), look=Look.DARK) as (_, app):
        rich = screen_text(app)
    async with opened(with_plan()) as (pilot, app):
        await pilot.press("f4")
        await wait_until(pilot, lambda: screen_text(app) == rich)


async def test_start_has_the_focus_and_back_leads_to_the_choices() -> None:
    async with opened(with_plan()) as (pilot, app):
        assert app.focused is not None and app.focused.id == "start"
        await pilot.press("escape")
        await wait_until(pilot, lambda: isinstance(app.screen, ConversionScreen))
        assert app.state.run is None


async def test_start_starts_the_conversion_whose_way_back_leads_to_the_choices() -> None:
    state = with_plan()
    async with opened(state) as (pilot, app):
        assert state.virt_v2v is not None
        state.remember_server(NoServer().as_server(), state.virt_v2v)
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
