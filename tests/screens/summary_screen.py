"""The summary of a plan for a made-up machine, and what its tests do with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from p2v_tui.app import P2VTui
from p2v_tui.config import Settings
from p2v_tui.front.pace_book import PaceBook
from p2v_tui.hwprobe import Machine
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.look import Look
from p2v_tui.screens.state import State
from p2v_tui.session.plan.plan import Plan, make_plan
from tests.screens.conftest import cells, screen_text, wait_until
from tests.screens.conversion_screen import DB1, MadeUpState
from tests.screens.judged import FOUND


def chosen(*disks: str, machine: Machine = DB1, **settings: Any) -> Plan:
    words: dict[str, Any] = {"server": "conv.example.com", "guestname": "db1", "disks": disks or None}
    return make_plan(Settings(**{**words, **settings}), machine)


def with_plan(book: PaceBook | None = None) -> MadeUpState:
    state = MadeUpState()
    state.plan, state.book = chosen("sda", "nvme0n1"), book
    return state


@asynccontextmanager
async def opened(
    state: State, size: str = "80x24", look: Look = Look.PLAIN
) -> AsyncIterator[tuple[Pilot[int], P2VTui]]:
    app = P2VTui(state, look=look)
    async with app.run_test(size=cells(size)) as pilot:
        await pilot.pause()
        assert state.plan is not None
        # The first screen forgets what it had when it is filled in.
        state.checks = FOUND
        await app.push_screen(ConversionScreen(state))
        await app.run_action("show_summary")
        await wait_until(pilot, lambda: "To convert:" in screen_text(app))
        await pilot.pause()
        yield pilot, app
    if state.run is not None:
        state.run.cancel()
        assert state.run.wait(10)
