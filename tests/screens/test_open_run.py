"""The screens before the conversion while one runs, or has ended unseen: they say so, and take no edits."""

from __future__ import annotations

from textual.pilot import Pilot

from p2v_tui.app import P2VTui
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.hwprobe import Machine
from p2v_tui.screens.connection import ConnectionScreen
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.look import Look
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action, FormField, Toggle
from tests.screens.conftest import screen_text, wait_until
from tests.screens.scripted_conversion import FINISHED, INSPECTING, NoServer, ScriptedConversion, plan
from tests.screens.scripted_conversion import state as given
from tests.unit.machines import SERVER


class KnownMachine(State):
    def machine(self) -> Machine:
        return SERVER

    look_again = machine


class NoWatch:
    def stop(self) -> None:
        pass


async def until_shown(pilot: Pilot[int], *words: str) -> None:
    await wait_until(pilot, lambda: all(word in " ".join(screen_text(pilot.app).split()) for word in words))


async def press(pilot: Pilot[int], name: str) -> None:
    pilot.app.screen.query_one(f"#{name}", Action).focus()
    await pilot.press("enter")


async def test_a_conversion_that_runs_or_that_nobody_saw_end_keeps_the_other_screens_as_they_are() -> None:
    conversion = ScriptedConversion()
    state = KnownMachine(given().settings)
    state.run = run = ConversionRun(NoServer().as_server(), plan(), convert=conversion)
    run.start()
    app = P2VTui(state, look=Look.PLAIN)
    async with app.run_test(size=(80, 24)) as pilot:
        first = app.screen
        assert isinstance(first, ConnectionScreen)
        await until_shown(pilot, "db1 is being converted", "Press Next to return to it")
        assert first.focused is first.query_one("#next")
        await app.push_screen(ConversionScreen(state, watch=lambda _: NoWatch()))
        second = app.screen
        await until_shown(pilot, "db1 is being converted", "[ Show the conversion ]")
        name = second.query_one("#guestname", FormField)
        name.input.focus()
        await pilot.press("x")
        assert name.value == "db1"
        assert second.query_one("#topology", Toggle).is_disabled
        conversion.say(*INSPECTING)
        await press(pilot, "start")
        await wait_until(pilot, lambda: isinstance(app.screen, RunningScreen))
        await pilot.press("escape", "right", "enter")
        await wait_until(pilot, lambda: app.screen is second)
        conversion.say(*FINISHED[len(INSPECTING) :])
        await until_shown(pilot, "The conversion of db1 has ended. Press Show the conversion")
        assert name.input.is_disabled
        await press(pilot, "start")
        await until_shown(pilot, "Conversion finished successfully")
        assert conversion.calls == 1
        await press(pilot, "back")
        await until_shown(pilot, "[ Start conversion ]", "Choose what to convert")
        name.input.focus()
        await pilot.press("end", "x")
        assert name.value == "db1x"
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is first)
        assert not first.query_one("#server-input").is_disabled
        # Nothing was tested here, so there is no next screen; and a key has somewhere to go.
        assert first.query_one("#next", Action).disabled
        await wait_until(pilot, lambda: first.focused is first.query_one("#server-input"))
        assert not first.query_one("#test", Action).disabled
