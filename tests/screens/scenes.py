"""The screens at the moments that are looked at in every look: by the tests, and by who makes the pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from textual.pilot import Pilot

from p2v_tui.screens.look import Look
from p2v_tui.session.words.events import Checked, ConnectionStep, Progress, StepDone
from tests.screens import conversion_screen, running_screen, summary_screen
from tests.screens.conftest import cells, screen_text, wait_until
from tests.screens.connection_screen import STEPS, app_for, end, hear
from tests.screens.judged import FOUND
from tests.screens.scripted_conversion import COPYING, FINISHED, MB, copied

# Of a disk, for the graph.
RATES = (64.0, 98.5, 110.0, 117.5, 86.0, 72.5, 101.0, 114.5, 118.0, 112.5)
Opened = AbstractAsyncContextManager[Pilot[int]]


@asynccontextmanager
async def connected(look: Look, size: str = "80x24") -> AsyncIterator[Pilot[int]]:
    """The first screen after a test that works."""
    app = app_for("p2v.server=conv.example.com p2v.password=secret", look=look)
    async with app.run_test(size=cells(size)) as pilot:
        checked = [Checked(each) for each in FOUND]
        await hear(app, pilot, *STEPS, *checked, StepDone(ConnectionStep.PREFLIGHT, "2 warnings"))
        end(app)
        await wait_until(pilot, lambda: "with 2 warnings and 1 note" in screen_text(app))
        await pilot.pause()
        yield pilot


@asynccontextmanager
async def choosing(look: Look, size: str = "80x24") -> AsyncIterator[Pilot[int]]:
    """The second screen, with the focus on a disk."""
    async with conversion_screen.opened(size=size, look=look) as it:
        it.toggle("sda").focus()
        await it.pilot.pause()
        yield it.pilot


@asynccontextmanager
async def summarized(look: Look, size: str = "80x24") -> AsyncIterator[Pilot[int]]:
    """The summary before the start."""
    async with summary_screen.opened(summary_screen.with_plan(), size, look) as (pilot, _):
        yield pilot


@asynccontextmanager
async def copying(look: Look, size: str = "80x24") -> AsyncIterator[Pilot[int]]:
    """The third screen, with the graph of ten minutes."""
    clock = running_screen.Clock()
    async with running_screen.opened(size, look=look, clock=clock) as screen:
        await screen.hear(*COPYING)
        for percent, rate in zip(range(33, 43), RATES, strict=True):
            clock.now += 60
            now = copied(percent, seconds_left=2640.0)
            await screen.hear(Progress((dataclasses.replace(now.disks[0], rate=rate * MB), *now.disks[1:])))
            await screen.until_shown(f"{percent}%")
        # The clock of the phase goes by itself.
        await screen.until_shown("10:00")
        yield screen.pilot


@asynccontextmanager
async def asked(look: Look, size: str = "80x24") -> AsyncIterator[Pilot[int]]:
    """A question on the third screen."""
    async with running_screen.opened(size, look=look) as screen:
        await screen.hear(*COPYING, copied(42, seconds_left=2640.0))
        await screen.press("cancel")
        yield screen.pilot


@asynccontextmanager
async def ended(look: Look, size: str = "80x24") -> AsyncIterator[Pilot[int]]:
    async with running_screen.opened(size, look=look, iso=True) as screen:
        await screen.hear(*FINISHED)
        await screen.until_shown("Conversion finished successfully")
        yield screen.pilot


SCENES: tuple[Callable[[Look, str], Opened], ...] = (connected, choosing, summarized, copying, asked, ended)
