"""The application with the running screen in front, driven by a scripted conversion: for the tests of that screen."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Sequence

from textual.pilot import Pilot

from p2v_tui.app import P2VTui
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.screens import running
from p2v_tui.screens.log_pane import LogPane
from p2v_tui.screens.look import Look
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action
from p2v_tui.session.words.events import LogDirectory, RemoteOutput, Status, Warned
from tests.screens.conftest import cells, screen_text, wait_until
from tests.screens.scripted_conversion import MADE, NoServer, Said, ScriptedConversion, plan, state

# So that no test waits for the clock.
LIFE_INTERVAL = 0.05


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """The application with the running screen in front, and what drives the conversion behind it."""

    def __init__(self, pilot: Pilot[int], app: P2VTui, conversion: ScriptedConversion) -> None:
        self.pilot = pilot
        self.app = app
        self.conversion = conversion

    @property
    def state(self) -> State:
        return self.app.state

    @property
    def run(self) -> ConversionRun:
        assert self.state.run is not None
        return self.state.run

    @property
    def log(self) -> LogPane:
        return self.app.screen.query_one(LogPane)

    @property
    def text(self) -> str:
        return screen_text(self.app)

    @property
    def focused(self) -> str | None:
        return self.app.focused.id if self.app.focused else None

    async def until(self, condition: Callable[[], object]) -> None:
        await wait_until(self.pilot, condition)

    async def until_shown(self, *words: str) -> None:
        await self.until(lambda: all(word in self.text for word in words))

    async def hear(self, *events: Said) -> None:
        """The conversion says this, and the screen shows the last line of it."""
        lines = self.run.snapshot.lines
        adding = sum(isinstance(event, (RemoteOutput, Status, Warned, LogDirectory)) for event in events)
        self.conversion.say(*events)
        await self.until(
            lambda: self.run.snapshot.lines >= lines + adding and (not _ends(events) or self.run.finished)
        )
        running_screens = [screen for screen in self.app.screen_stack if isinstance(screen, RunningScreen)]
        for screen in running_screens:
            log = screen.query_one(LogPane)
            await self.until(lambda log=log: log.next_number == self.run.snapshot.lines)  # type: ignore[misc]
        await self.pilot.pause()

    async def press(self, name: str) -> None:
        self.app.screen.query_one(f"#{name}", Action).focus()
        await self.pilot.press("enter")
        await self.pilot.pause()

    def action(self, name: str) -> Action:
        return self.app.screen.query_one(f"#{name}", Action)


def _ends(events: Sequence[Said]) -> bool:
    return any(isinstance(event, BaseException) or event is MADE for event in events)


@contextlib.asynccontextmanager
async def opened(
    size: str = "80x24",
    *,
    iso: bool = False,
    look: Look = Look.PLAIN,
    interval: float = 0.0,
    clock: Clock | None = None,
    now: Callable[[], datetime.datetime] = datetime.datetime.now,
    left_running: bool = False,
    accept_warnings: bool = False,
    run_command: running.RunCommand = lambda _: None,
) -> AsyncIterator[Screen]:
    conversion = ScriptedConversion()
    shown = state(iso=iso)
    server = NoServer().as_server()
    chosen = plan(accept_warnings=accept_warnings)
    clock = clock or Clock()
    shown.run = run = ConversionRun(
        server, chosen, convert=conversion, now=now, left_running=left_running, clock=clock
    )
    app = P2VTui(shown, look=look)
    try:
        async with app.run_test(size=cells(size)) as pilot:
            await pilot.pause()
            # What the two screens before leave behind; the first one forgets a server when it is filled in.
            shown.server, shown.plan = server, run.plan
            run.start()
            await app.push_screen(
                RunningScreen(
                    shown, interval=interval, life_interval=LIFE_INTERVAL, clock=clock, run_command=run_command
                )
            )
            await pilot.pause()
            yield Screen(pilot, app, conversion)
    finally:
        conversion.heeds_cancellation = True
        run.cancel()
        run.stop_waiting()
        assert run.wait(10)
