"""What can come in the way of a conversion, on the running screen: warnings, lost connections, leaving, hang-ups."""

from __future__ import annotations

import datetime
import os
import signal
from collections.abc import Callable

import pytest
from syrupy.assertion import SnapshotAssertion

from p2v_tui.errors import Cancelled, Detached, PreflightRefused
from p2v_tui.front.conversion_run import ConversionRun, Outage
from p2v_tui.front.outcome_words import outage_text
from p2v_tui.screens.dialogs import Dialog
from p2v_tui.screens.log_pane import LogPane
from p2v_tui.screens.running import RunningScreen
from p2v_tui.session.words.events import (
    CONTROL,
    CanWait,
    Connection,
    ConnectionLost,
    ConnectionRestored,
    LogDirectory,
    LogDirectoryRemoved,
    Status,
)
from tests.screens.conftest import SIZES
from tests.screens.judged import CLOCK, FULL, MEMORY, NO_NBDKIT, PYTHON, SPACE
from tests.screens.running_screen import Screen, opened
from tests.screens.scripted_conversion import (
    COPYING,
    FINISHED,
    INSPECTING,
    STARTED,
    NoServer,
    Preflight,
    ScriptedConversion,
    copied,
    plan,
)

DATA = Connection("sda")
RESET = "ssh said: Connection reset by peer."
NOW = datetime.datetime(2026, 11, 23, 2, 13, 5)


def lost(connection: Connection = CONTROL, seconds: float = 3600.0) -> ConnectionLost:
    return ConnectionLost(connection, RESET, seconds)


# The checks before it starts.


@pytest.mark.parametrize("size", SIZES)
async def test_warnings_are_asked_about(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size) as screen:
        screen.conversion.say(*STARTED[:3], Preflight((MEMORY, CLOCK, SPACE, PYTHON)))
        await screen.until_shown("Start despite these warnings?", "only 100 GB", "apt install python3")
        assert "clock" not in screen.text.partition("Start despite")[2]
        assert screen.focused == "no"
        assert screen.text == snapshot


@pytest.mark.parametrize("keys", [["enter"], ["escape"]])
async def test_without_consent_nothing_starts_and_the_way_back_is_open(keys: list[str]) -> None:
    async with opened() as screen:
        screen.conversion.say(Preflight((SPACE,)))
        await screen.until_shown("Start despite these warnings?")
        await screen.pilot.press(*keys)
        await screen.until(lambda: screen.run.finished)
        assert isinstance(screen.run.snapshot.error, PreflightRefused)
        await screen.until_shown("The conversion cannot start: On the conversion server only 100 GB", "df -h")
        await screen.until(lambda: screen.focused == "back")
        plan_before = screen.state.plan
        await screen.pilot.press("enter")
        await screen.until(lambda: not isinstance(screen.app.screen, RunningScreen))
        assert screen.state.plan is plan_before


async def test_with_consent_it_starts_and_the_log_says_so() -> None:
    async with opened() as screen:
        screen.conversion.say(Preflight((SPACE, PYTHON)))
        await screen.until_shown("Start despite these warnings?")
        await screen.pilot.press("right", "enter")
        await screen.hear(*INSPECTING)
        await screen.until_shown("[ .. ] Inspecting the source")
        said = [line.text for line in screen.run.lines_from(0)]
        assert "The warnings were accepted" in said
        assert f"warning: {SPACE.name}: {SPACE.text}" in said and SPACE.advice in said


async def test_warnings_that_the_settings_accept_are_not_asked_about() -> None:
    async with opened(accept_warnings=True) as screen:
        await screen.hear(Preflight((SPACE, MEMORY)), *INSPECTING)
        await screen.until_shown("[ .. ] Inspecting the source")
        said = " ".join(line.text for line in screen.run.lines_from(0))
        assert f"warning: {SPACE.name}" in said and MEMORY.text not in said


async def test_a_question_waits_until_the_operator_comes_back() -> None:
    async with opened() as screen:
        await screen.pilot.press("escape", "right", "enter")
        await screen.until(lambda: not isinstance(screen.app.screen, (RunningScreen, Dialog)))
        screen.conversion.say(Preflight((SPACE,)))
        await screen.until(lambda: screen.run.snapshot.to_accept)
        assert not screen.run.finished
        await screen.app.run_action("start_conversion")
        await screen.until_shown("Start despite these warnings?")


async def test_a_question_brings_the_screen_that_was_left_back() -> None:
    async with opened() as screen:
        await screen.pilot.press("escape", "right", "enter")
        await screen.until(lambda: not isinstance(screen.app.screen, (RunningScreen, Dialog)))
        # As the application does it: it hears of what it has started.
        await screen.app.run_action("start_conversion")
        await screen.pilot.press("escape", "right", "enter")
        await screen.until(lambda: not isinstance(screen.app.screen, (RunningScreen, Dialog)))
        screen.conversion.say(Preflight((SPACE,)))
        await screen.until_shown("Start despite these warnings?")


async def test_a_question_comes_after_the_dialog_that_is_open() -> None:
    async with opened() as screen:
        await screen.press("cancel")
        screen.conversion.say(Preflight((SPACE,)))
        await screen.until(lambda: screen.run.snapshot.to_accept)
        assert "Cancel the conversion?" in screen.text
        await screen.pilot.press("enter")
        await screen.until_shown("Start despite these warnings?")


async def test_a_refusal_says_what_and_what_to_do_and_details_has_all_checks() -> None:
    async with opened() as screen:
        await screen.hear(Preflight((MEMORY, FULL, NO_NBDKIT, SPACE)))
        await screen.until_shown("The conversion cannot start: On the conversion server only", "apt install nbdkit")
        assert "Start despite" not in screen.text
        await screen.press("details")
        await screen.until_shown("[fail] space for the copy: On the conversion server only 2.9 GB")
        await screen.pilot.press("pagedown")
        await screen.until_shown("[warn] space for the copy: On the conversion server only 100 GB")


async def test_a_refusal_stands_once_in_the_log_and_names_no_directory_that_is_gone() -> None:
    async with opened() as screen:
        await screen.hear(LogDirectory("/tmp/virt-p2v-20261123-abcdefgh"), Preflight((FULL,)))
        await screen.until_shown("The conversion cannot start")
        assert sum(FULL.text in line.text for line in screen.run.lines_from(0)) == 1
    async with opened() as screen:
        gone = PreflightRefused("There is no /srv.")
        await screen.hear(LogDirectory("/tmp/virt-p2v-20261123-abcdefgh"), LogDirectoryRemoved(), gone)
        await screen.until_shown("Log files: none", "No guest was created.")


# Lost connections.


@pytest.mark.parametrize("size", SIZES)
async def test_lost_connections(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size, now=lambda: NOW) as screen:
        await screen.hear(*COPYING, copied(42, seconds_left=2640.0), lost(DATA), lost())
        await screen.until_shown("!!! LOST since 02:13:05: the data connection of sda, the control connection.")
        assert "p2v-tui reconnects until 03:13:05" in screen.text
        assert screen.text == snapshot


async def test_what_is_back_is_not_lost_any_more_and_the_log_tells_of_both() -> None:
    async with opened() as screen:
        await screen.hear(*COPYING, lost(DATA), lost())
        await screen.until_shown("!!! LOST", str(DATA), str(CONTROL))
        await screen.hear(ConnectionRestored(DATA, 12.0))
        await screen.until_shown(f": {CONTROL}.", "The data connection of sda is back after 12 s.")
        await screen.hear(ConnectionRestored(CONTROL, 75.0))
        await screen.until(lambda: "!!!" not in screen.text)
        said = [line.text for line in screen.run.lines_from(0)]
        assert f"Lost {DATA}: {RESET}" in said
        assert "The control connection is back after 1 min 15 s." in said


async def test_the_end_takes_the_outage_away() -> None:
    async with opened() as screen:
        await screen.hear(*COPYING, lost())
        await screen.until_shown("!!! LOST")
        await screen.hear(*FINISHED[len(COPYING) :])
        await screen.until_shown("Conversion finished successfully")
        assert "!!!" not in screen.text


async def test_an_outage_that_is_told_of_again_began_when_it_began() -> None:
    times = [NOW]
    run = ConversionRun(NoServer().as_server(), plan(), convert=ScriptedConversion(), now=lambda: times[-1])
    run._report(lost())
    times.append(NOW + datetime.timedelta(minutes=5))
    run._report(lost(seconds=1800.0))
    assert run.snapshot.outages == (Outage(CONTROL, NOW, NOW + datetime.timedelta(minutes=35)),)


def outages(*connections: Connection, seconds: float = 3600.0) -> list[Outage]:
    return [Outage(each, NOW, NOW + datetime.timedelta(seconds=seconds)) for each in connections]


def test_of_many_lost_connections_some_are_named_and_the_others_counted() -> None:
    text = outage_text(outages(*(Connection(f"sd{letter}") for letter in "abcdefgh")), cancelling=False)
    assert "the data connection of sda, 7 more." in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_time_on_another_day_has_its_date() -> None:
    assert "2026-11-24 02:13" in outage_text(outages(CONTROL, seconds=86400.0), cancelling=False)


@pytest.mark.parametrize("cancelling", [False, True])
def test_nothing_lost_is_nothing_said(cancelling: bool) -> None:
    assert outage_text([], cancelling=cancelling) == ""


# Cancelling while the server cannot be reached.


@pytest.mark.parametrize("size", SIZES)
async def test_cancelling_while_the_server_cannot_be_reached(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size, now=lambda: NOW) as screen:
        await cancelled_in_an_outage(screen)
        assert screen.action("cancel").label == "Stop waiting" and not screen.action("cancel").disabled
        assert screen.text == snapshot


async def cancelled_in_an_outage(screen: Screen) -> None:
    screen.conversion.unreachable = lost()
    await screen.hear(*COPYING, lost(DATA), lost())
    await screen.until_shown("!!! LOST")
    await screen.press("cancel")
    await screen.pilot.press("right", "enter")
    await screen.until_shown("!!! No connection to the server since 02:13:05", "Cancelling")
    await screen.until(lambda: screen.run.lines_from(0)[-1].text.startswith("Opening it again"))
    await screen.pilot.pause()


async def test_cancelling_once_more_asks_and_ends_the_waiting() -> None:
    async with opened(now=lambda: NOW) as screen:
        await cancelled_in_an_outage(screen)
        await screen.press("cancel")
        await screen.until_shown("Stop waiting for the server?")
        assert screen.focused == "no"
        await screen.pilot.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, RunningScreen))
        assert not screen.run.finished
        await screen.press("cancel")
        await screen.pilot.press("right", "enter")
        await screen.until_shown("Cancelled.", "Back")


async def test_cancelling_twice_by_mistake_does_not_end_the_waiting() -> None:
    async with opened(now=lambda: NOW) as screen:
        await cancelled_in_an_outage(screen)
        screen.run.cancel()
        assert not screen.run.wait(0.3)


async def test_a_disk_that_is_lost_when_all_is_cancelled_is_no_news() -> None:
    async with opened() as screen:
        screen.conversion.heeds_cancellation = False
        await screen.hear(*COPYING)
        screen.run.cancel()
        await screen.hear(lost(DATA))
        await screen.hear(Status("Stopping virt-v2v on the conversion server"))
        assert screen.run.snapshot.outages == ()


# Leaving while it runs.


async def ask_to_leave(screen: Screen) -> None:
    await screen.pilot.press("escape", "right", "enter")
    await screen.until(lambda: not isinstance(screen.app.screen, (RunningScreen, Dialog)))
    await screen.pilot.press("escape")
    await screen.until_shown("Leave p2v-tui?")


@pytest.mark.parametrize("size", SIZES)
async def test_leaving_while_it_runs_is_asked(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size) as screen:
        await screen.hear(*INSPECTING)
        await ask_to_leave(screen)
        assert screen.focused == "stay"
        assert "for 1 h 0 min" in " ".join(screen.text.replace("|", " ").split())
        assert screen.text == snapshot
        await screen.pilot.press("enter")
        await screen.until(lambda: "Leave p2v-tui?" not in screen.text)
        assert not screen.run.finished


async def test_leaving_and_cancelling_shows_the_end_of_it_and_then_leaves() -> None:
    async with opened() as screen:
        screen.conversion.heeds_cancellation = False
        await screen.hear(*INSPECTING)
        await ask_to_leave(screen)
        await screen.press("cancel-it")
        await screen.until_shown("Status: Cancelling; waiting for virt-v2v to end")
        screen.conversion.say(Cancelled())
        await screen.until(lambda: screen.app.return_value is not None)
        assert screen.app.return_value == Cancelled.exit_code


async def test_leaving_and_letting_it_wait_leaves_with_its_own_exit_code() -> None:
    async with opened() as screen:
        await screen.hear(*INSPECTING)
        await ask_to_leave(screen)
        await screen.press("wait")
        await screen.until(lambda: screen.app.return_value is not None)
        assert screen.app.return_value == Detached.exit_code
        assert isinstance(screen.run.snapshot.error, Detached)


async def test_what_has_ended_meanwhile_is_what_the_exit_code_tells() -> None:
    async with opened() as screen:
        await screen.hear(*INSPECTING)
        await ask_to_leave(screen)
        screen.conversion.say(*FINISHED[len(INSPECTING) :])
        await screen.until(lambda: screen.run.finished)
        await screen.press("cancel-it")
        await screen.until(lambda: screen.app.return_value is not None)
        assert screen.app.return_value == 0


async def test_what_virt_v2v_has_not_begun_cannot_wait() -> None:
    async with opened() as screen:
        await screen.hear(*STARTED[:2])
        await ask_to_leave(screen)
        assert not screen.app.screen.query("#wait")
        assert "Let it wait" not in screen.text


async def test_what_reads_without_a_relay_cannot_wait() -> None:
    async with opened() as screen:
        await screen.hear(*(event for event in INSPECTING if not isinstance(event, CanWait)))
        await ask_to_leave(screen)
        assert "Let it wait" not in screen.text


async def test_from_a_conversion_that_was_left_running_escape_leads_out() -> None:
    async with opened(left_running=True) as screen:
        await screen.pilot.press("escape")
        await screen.until_shown("Leave p2v-tui?", "[ Let it wait and leave ]")


# The end from outside.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_screens_and_the_conversion_waits(number: signal.Signals) -> None:
    async with opened() as screen:
        await screen.hear(*COPYING)
        os.kill(os.getpid(), number)
        await screen.until(lambda: screen.app.return_value is not None)
        assert screen.app.ended_from_outside
        assert screen.run.wait(10)
        assert isinstance(screen.run.snapshot.error, Detached)
        assert screen.run.exit_code == Detached.exit_code


async def test_a_signal_does_not_turn_a_cancellation_into_waiting() -> None:
    async with opened() as screen:
        screen.conversion.heeds_cancellation = False
        await screen.hear(*COPYING)
        screen.run.cancel()
        screen.run.detach()
        assert screen.run.snapshot.cancelling and not screen.run.snapshot.detaching


Ending = Callable[[ConversionRun], None]


@pytest.mark.parametrize("end", [ConversionRun.cancel, ConversionRun.detach])
def test_a_question_that_waits_is_ended_too(end: Ending) -> None:
    conversion = ScriptedConversion()
    run = ConversionRun(NoServer().as_server(), plan(), convert=conversion)
    run.start()
    conversion.say(Preflight((SPACE,)))
    while not run.snapshot.to_accept:
        assert not run.wait(0.01)
    end(run)
    assert run.wait(10)
    assert isinstance(run.snapshot.error, (Cancelled, Detached))
    assert run.snapshot.to_accept == ()


async def test_the_log_pane_keeps_room_with_everything_above_it() -> None:
    async with opened() as screen:
        await screen.hear(*COPYING, copied(1), lost(DATA), lost())
        await screen.until_shown("!!! LOST")
        assert screen.app.screen.query_one(LogPane).size.height >= 4
