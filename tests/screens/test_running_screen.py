"""The running screen: a scripted conversion goes by, and the screen shows it, asks, and stays usable."""

from __future__ import annotations

import dataclasses
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from p2v_tui.errors import Cancelled, ConversionFailed
from p2v_tui.front import last_places
from p2v_tui.front.conversion_run import ConversionRun, LogLine
from p2v_tui.front.last_places import Kind
from p2v_tui.screens import running
from p2v_tui.screens.dialogs import Dialog
from p2v_tui.screens.log_pane import LogPane, rows_of
from p2v_tui.screens.look import Look
from p2v_tui.screens.place_dialog import PlaceDialog
from p2v_tui.screens.running import PowerFailed, RunningScreen
from p2v_tui.screens.textual_private import screen_strips
from p2v_tui.screens.widgets import Choice, FormField
from p2v_tui.session.conversion.log import ConversionLog
from p2v_tui.session.words.events import (
    DiskProgress,
    Event,
    OutputKind,
    Progress,
    RemoteOutput,
    Status,
    Warned,
)
from p2v_tui.session.words.terminal_text import SGR
from tests.screens.conftest import SIZES, screen_lines
from tests.screens.running_screen import Clock, Screen, opened
from tests.screens.scripted_conversion import (
    CONNECTING,
    COPYING,
    FINISHED,
    INSPECTING,
    LOG_DIRECTORY,
    MADE,
    STARTED,
    NoServer,
    ScriptedConversion,
    copied,
    output,
    plan,
    said,
    state,
)

FAILURE = ConversionFailed(
    "virt-v2v failed: inspection could not detect the source guest (or physical machine).",
    f"The whole log is {LOG_DIRECTORY}/virt-v2v-conversion-log.txt on the conversion server.",
)
FAILED: list[Event | BaseException] = [
    *INSPECTING,
    *said("virt-v2v: warning: the boot sector of /dev/sda is odd\n"),
    *said("virt-v2v: error: inspection could not detect the source guest (or physical machine)\n"),
    FAILURE,
]


# Its main states, as text.


@pytest.mark.parametrize("size", SIZES)
async def test_starting(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size) as screen:
        await screen.hear(*CONNECTING)
        await screen.until_shown("Status: Opening the control connection")
        assert screen.text == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_inspecting(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size) as screen:
        await screen.hear(*INSPECTING)
        await screen.until_shown("[ .. ] Inspecting the source")
        assert screen.text == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_copying_two_disks(size: str, snapshot: SnapshotAssertion) -> None:
    clock = Clock()
    async with opened(size, iso=True, clock=clock) as screen:
        await screen.hear(*INSPECTING)
        clock.now += 85
        await screen.hear(*COPYING[len(INSPECTING) :])
        clock.now += 1911
        await screen.hear(copied(42, seconds_left=2640.0))
        await screen.until_shown("42%", "32:02")
        assert screen.text == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_the_tail_stopped(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size) as screen:
        await screen.hear(*COPYING, *output(*(f"line {number}" for number in range(40))))
        await screen.pilot.press("pageup")
        await screen.hear(*output("a new line"))
        assert screen.text == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_cancel_asked(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size) as screen:
        await screen.hear(*INSPECTING)
        await screen.press("cancel")
        assert screen.text == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_finished(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size, iso=True) as screen:
        await screen.hear(*FINISHED)
        await screen.until_shown("Conversion finished successfully")
        assert screen.text == snapshot


async def test_what_virt_v2v_left_out_is_told_with_the_success() -> None:
    lost = "this guest has a direct network interface which will be ignored"
    async with opened("80x24") as screen:
        made = dataclasses.replace(MADE, left_out=(lost,), warnings=1)
        await screen.hear(*(made if event is MADE else event for event in FINISHED))
        await screen.until_shown("The guest lacks something")


@pytest.mark.parametrize("size", SIZES)
async def test_failed(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size) as screen:
        await screen.hear(*FAILED)
        await screen.until_shown("The conversion failed")
        assert screen.text == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_save_asked(size: str, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_places, "default_directory", lambda: "/run/media/root/STICK")
    async with opened(size) as screen:
        await screen.hear(*FAILED)
        await screen.press("save")
        await screen.until_shown("STICK")
        assert screen.text == snapshot


# Phases and disks.


async def test_the_current_phase_is_marked_and_those_before_it_are_done() -> None:
    async with opened() as screen:
        await screen.until_shown("[ .. ] Connecting to the server", "[    ] Opening the source")
        await screen.hear(*INSPECTING)
        await screen.until_shown("[ ok ] Opening the source", "[ .. ] Inspecting the source")
        await screen.hear(*COPYING[len(INSPECTING) :])
        await screen.until_shown("[ ok ] Inspecting the source", "[ .. ] Copying disk 1/2")


async def test_bytes_and_rate_change_more_rarely_than_the_percentage() -> None:
    clock = Clock()
    async with opened(clock=clock) as screen:
        await screen.hear(*COPYING, copied(10, seconds_left=5000.0))
        await screen.until_shown(" 10%", "50.0 of 500.0 GB", "112 MB/s", "1 h 23 min left")
        clock.now += 1
        await screen.hear(copied(20, seconds_left=4000.0))
        await screen.until_shown(" 20%")
        assert "50.0 of 500.0 GB" in screen.text
        clock.now += 10
        await screen.hear(copied(21, seconds_left=3600.0))
        await screen.until_shown(" 21%", "105.0 of 500.0 GB", "1 h 00 min left")


async def test_the_cursor_waits_behind_the_clock_below_the_percentages() -> None:
    clock = Clock()
    async with opened(clock=clock) as screen:
        await screen.hear(*COPYING, copied(100, 7, seconds_left=60.0))
        clock.now += 83
        await screen.hear(copied(100, 8, seconds_left=60.0))
        await screen.until_shown("  8%", "1:23   Copying disk 1/2")
        column, row = screen.app.cursor_position
        lines = screen_lines(screen.app)
        assert lines[row][:column].endswith("1:23")
        assert next(line for line in lines if line.startswith("sdb"))[column] == "%"


async def test_the_clock_of_the_phase_goes_on_while_nothing_is_heard() -> None:
    clock = Clock()
    async with opened(clock=clock) as screen:
        await screen.hear(*INSPECTING)
        await screen.until_shown("0:00   Inspecting the source", "nothing is read from here now")
        clock.now += 3723
        await screen.until_shown("1:02:03   Inspecting the source")


async def test_the_whole_says_how_long_it_ran_and_how_long_it_will() -> None:
    clock = Clock()
    async with opened(clock=clock) as screen:
        await screen.hear(*INSPECTING)
        clock.now += 720
        # 250 GB at the pace of the first disk: 2640 s for 58 % of 500 GB, so 2276 s.
        await screen.hear(*COPYING[len(INSPECTING) :], copied(42, seconds_left=2640.0))
        await screen.until_shown("12 min so far, about 1 h 22 min left", "all", " 12%")


async def test_of_many_disks_the_one_being_copied_shows() -> None:
    async with opened() as screen:
        disks = tuple(
            DiskProgress(f"sd{letter}", 1 << 40, 1 << 38, 0.0, 100 if letter < "e" else 55 if letter == "e" else None)
            for letter in "abcdefghij"
        )
        await screen.hear(*INSPECTING, Progress(disks))
        await screen.until_shown("4 disks before this one are done", "sde", " 55%", "5 more disks to copy")
        assert screen.log.size.height >= 6


# The log.


async def test_another_size_of_the_terminal_wraps_the_lines_anew_and_keeps_the_place() -> None:
    async with opened() as screen:
        await screen.hear(*output(*(f"{number}: " + "word " * 30 for number in range(30))))
        await screen.pilot.press("home", "pagedown")
        heading = next(line for line in screen_lines(screen.app) if "LOOKING BACK" in line)
        await screen.pilot.resize_terminal(132, 43)
        await screen.until(lambda: len(screen_lines(screen.app)) == 43)
        assert heading.rstrip("-") in screen.text
        await screen.pilot.press("end")
        await screen.until_shown("29: word")
        await screen.pilot.resize_terminal(80, 24)
        await screen.until(lambda: len(screen_lines(screen.app)) == 24)
        assert "29: word" in screen.text and "LOOKING BACK" not in screen.text


async def test_a_burst_is_painted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(interval=3600.0) as screen:
        shown: list[int] = []
        show = LogPane.show

        def counted(log: LogPane, lines: Sequence[LogLine]) -> None:
            shown.append(len(lines))
            show(log, lines)

        monkeypatch.setattr(LogPane, "show", counted)
        screen.conversion.say(*STARTED, *output(*(f"line {number}" for number in range(100))))
        await screen.until(lambda: screen.run.snapshot.lines >= 100)
        await screen.pilot.pause()
        assert "line 99" not in screen.text
        screen_of_log = screen.app.screen
        assert isinstance(screen_of_log, RunningScreen)
        screen_of_log.paint()
        await screen.pilot.pause()
        assert "line 99" in screen.text
        assert len(shown) == 1


async def test_the_end_is_shown_at_once() -> None:
    async with opened(interval=3600.0) as screen:
        screen.conversion.say(*FINISHED)
        await screen.until_shown("Conversion finished successfully")


@pytest.mark.parametrize("key", ["up", "pageup", "home", "b", "g", "ctrl+u"])
async def test_scrolling_back_stops_the_tail_and_end_resumes_it(key: str) -> None:
    async with opened() as screen:
        await screen.hear(*output(*(f"line {number}." for number in range(50))))
        assert screen.focused == "log"
        await screen.pilot.press(key)
        await screen.until_shown("LOOKING BACK: line")
        before = screen_lines(screen.app)
        top = before.index(next(line for line in before if "LOOKING BACK" in line))
        await screen.hear(*output("something new"))
        await screen.until_shown("of 51")
        assert screen_lines(screen.app)[top + 1 : top + 8] == before[top + 1 : top + 8]
        assert "something new" not in screen.text
        await screen.pilot.press("end" if key != "g" else "G")
        await screen.until_shown("something new")
        assert "LOOKING BACK" not in screen.text


async def test_walking_down_to_the_end_resumes_the_tail() -> None:
    async with opened() as screen:
        await screen.hear(*output(*(f"line {number}." for number in range(50))))
        await screen.pilot.press("pageup", "pageup", "pagedown", "down", "pagedown")
        assert screen.log.following
        await screen.pilot.press("up", "down")
        assert screen.log.following


async def test_the_focus_on_the_pane_shows_in_characters() -> None:
    async with opened() as screen:
        await screen.until_shown(">- Output of virt-v2v; Up")
        await screen.pilot.press("tab")
        await screen.until_shown("-- Output of virt-v2v -", ">[ Cancel conversion ]")


async def test_help_on_the_pane_names_its_keys() -> None:
    async with opened() as screen:
        await screen.pilot.press("ctrl+w")
        await screen.until_shown("the pane follows again")


async def test_up_and_down_leave_the_pane_where_there_is_nothing_more_to_see() -> None:
    async with opened() as screen:
        await screen.pilot.press("down")
        assert screen.focused == "cancel"
        await screen.pilot.press("up")
        assert screen.focused == "log"
        await screen.hear(*output("one line"))
        await screen.pilot.press("up")
        assert screen.focused != "log"


async def test_every_line_can_be_read_once_and_in_order() -> None:
    lines = [f"{number}: " + "word " * (number % 40) + "end" for number in range(60)]
    async with opened() as screen:
        await screen.hear(*output(*lines))
        await screen.pilot.press("home")
        top = next(n for n, line in enumerate(screen_lines(screen.app)) if "LOOKING BACK" in line)
        seen: list[str] = []
        while not screen.log.following:
            seen.append(screen_lines(screen.app)[top + 1])
            await screen.pilot.press("down")
        seen += screen_lines(screen.app)[top + 1 : top + screen.log.size.height]
        assert "".join("".join(seen).split()) == "".join("".join(lines).split())


async def test_the_colours_of_virt_v2v_are_kept() -> None:
    async with opened() as screen:
        await screen.hear(*output("\x1b[1;31mred and bold\x1b[0m plain"))
        strip = next(strip for strip in screen_strips(screen.app.screen) if "red and bold" in strip.text)
        styles = {segment.text.strip(): segment.style for segment in strip if segment.text.strip()}
        style = styles["red and bold"]
        assert style is not None and style.bold and style.color is not None and style.color.number == 1
        rest = styles["plain"]
        assert rest is not None and not rest.bold


@settings(max_examples=3 * settings().max_examples)
@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([b"\x1b[", b"\x1b]0;", b"\x9b", b"31m", b"\x1b[5;8m"]))
    )
)
def test_no_output_of_the_server_yields_a_control_sequence_but_sgr(pieces: list[bytes]) -> None:
    console = Console(force_terminal=True, color_system="standard", width=20, legacy_windows=False)
    for event in ConversionLog(debug=False).feed(b"".join(pieces), final=True):
        if isinstance(event, RemoteOutput):
            for ascii_only in (True, False):
                for row in rows_of(event.text, ours=False, width=20, ascii_only=ascii_only):
                    with console.capture() as captured:
                        console.print(row, end="", soft_wrap=True)
                    left = SGR.sub("", captured.get())
                    assert all(character.isprintable() or ord(character) > 0x9F for character in left), left
                    assert not ascii_only or left.isascii()


def test_hidden_and_blinking_output_is_shown_as_any_other() -> None:
    console = Console(force_terminal=True, color_system="standard", legacy_windows=False)
    with console.capture() as captured:
        console.print(rows_of("\x1b[5;6;8mboo\x1b[0m", ours=False, width=80, ascii_only=True)[0], end="")
    assert captured.get() == "boo"


@given(st.text(alphabet="ab \t字é", max_size=200), st.integers(2, 30))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    rows = rows_of(text, ours=False, width=width, ascii_only=False)
    assert "".join(row.plain for row in rows) == text.expandtabs(8) or "\t" in text
    assert all(row.cell_len <= width for row in rows)


def test_a_colour_of_thousands_of_digits_is_survived() -> None:
    assert rows_of("\x1b[" + "9" * 5000 + "mtext", ours=False, width=80, ascii_only=True)[0].plain == "text"


@pytest.mark.parametrize("events", [CONNECTING, INSPECTING, COPYING, FINISHED, FAILED])
async def test_the_plain_look_is_ascii_whatever_the_server_says(events: list[Event | BaseException]) -> None:
    odd = "“Größe” \u2013 naïve… 字 \U0001f600 ─━│"
    async with opened(iso=True) as screen:
        await screen.hear(Warned(odd), Status(odd), *output(odd), *events)
        assert screen.text.isascii()
        for key in ("f1", "escape", "escape"):
            await screen.pilot.press(key)
            await screen.pilot.pause()
            assert screen.text.isascii()


async def test_the_rich_look_shows_the_servers_own_characters() -> None:
    async with opened(look=Look.DARK) as screen:
        await screen.hear(*output("Größe 字"))
        await screen.until_shown("Größe 字")
        await screen.pilot.press("f4")
        await screen.until_shown("Gro?e ?")
        assert screen.text.isascii()
        await screen.hear(*output("“naïve” \u2013 e\u0301…"))
        await screen.until_shown('"naive" - e...')


async def test_where_the_logs_are_is_shown_as_soon_as_it_is_known() -> None:
    async with opened() as screen:
        await screen.until_shown("Log files: not yet")
        await screen.hear(*STARTED)
        await screen.until_shown(f"Log files: {LOG_DIRECTORY} on the conversion server")


# Leaving, coming back, cancelling.


async def test_the_screen_can_be_left_and_opened_again_and_nothing_is_lost() -> None:
    async with opened() as screen:
        await screen.hear(*INSPECTING)
        await screen.pilot.press("escape", "right", "enter")
        await screen.until(lambda: not isinstance(screen.app.screen, (RunningScreen, Dialog)))
        screen.conversion.say(*COPYING[len(INSPECTING) :], *output("said while nobody looked"), copied(30))
        count = screen.run.snapshot.lines
        await screen.until(lambda: screen.run.snapshot.lines > count + 10 and screen.run.snapshot.disks[0].percent)
        await screen.app.push_screen(RunningScreen(screen.state, interval=0.0))
        await screen.until_shown("said while nobody looked", "[ .. ] Copying disk 1/2", " 30%")
        assert screen.log.next_number == screen.run.snapshot.lines
        await screen.hear(copied(31))
        await screen.until_shown(" 31%")
        assert screen.conversion.calls == 1


async def test_escape_while_it_runs_asks_and_stays_by_default() -> None:
    async with opened() as screen:
        await screen.pilot.press("escape")
        await screen.until_shown("The conversion is running")
        await screen.pilot.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, RunningScreen))
        await screen.pilot.press("escape", "escape")
        await screen.until(lambda: isinstance(screen.app.screen, RunningScreen))
        assert not screen.run.snapshot.cancelling


async def test_cancel_asks_first_and_no_is_preselected() -> None:
    async with opened() as screen:
        await screen.hear(*INSPECTING)
        await screen.press("cancel")
        await screen.until_shown("Cancel the conversion?")
        assert screen.focused == "no"
        await screen.pilot.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, RunningScreen))
        assert not screen.run.snapshot.cancelling


async def test_a_cancelled_conversion_says_so_and_can_be_tried_again() -> None:
    async with opened() as screen:
        screen.conversion.heeds_cancellation = False
        await screen.hear(*INSPECTING)
        await screen.press("cancel")
        await screen.pilot.press("right", "enter")
        await screen.until_shown("Status: Cancelling; waiting for virt-v2v to end")
        assert screen.action("cancel").disabled
        assert screen.focused == "log"
        screen.conversion.say(Cancelled())
        await screen.until_shown("Cancelled.", "Back")
        assert "Failed during" not in screen.text


async def test_a_question_that_the_end_has_answered_goes_away() -> None:
    async with opened() as screen:
        await screen.hear(*INSPECTING)
        await screen.press("cancel")
        await screen.hear(*FINISHED[len(INSPECTING) :])
        await screen.until_shown("Conversion finished successfully")
        assert screen.focused == "quit"


# The end.


async def test_the_power_buttons_are_off_limits_while_it_runs() -> None:
    async with opened(iso=True) as screen:
        assert screen.action("poweroff").disabled and screen.action("reboot").disabled
        await screen.hear(*FINISHED)
        assert not screen.action("poweroff").disabled and not screen.action("reboot").disabled


async def test_what_switches_the_machine_off_is_only_there_on_the_live_image() -> None:
    async with opened() as screen:
        await screen.hear(*FINISHED)
        assert not screen.app.screen.query("#reboot, #poweroff")
        await screen.until_shown("Never run this machine and the guest at the same time.")
        assert "Shut this machine down" not in screen.text


async def test_enter_pressed_once_too_often_switches_nothing_off() -> None:
    ran: list[Sequence[str]] = []
    async with opened(iso=True, run_command=ran.append) as screen:
        await screen.hear(*FINISHED)
        await screen.until_shown("Shut this machine down now.")
        assert screen.focused == "quit"
        await screen.pilot.press("enter", "enter")
        await screen.until(lambda: isinstance(screen.app.screen, RunningScreen))
        assert ran == []


async def test_quit_is_a_button_at_the_end_and_a_key_everywhere() -> None:
    async with opened() as screen:
        await screen.hear(*INSPECTING)
        for key in ("f10", "ctrl+d"):
            await screen.pilot.press(key, key)
            await screen.until_shown("Leave p2v-tui?", "A conversion is running.")
            await screen.pilot.press("escape")
            await screen.until(lambda: isinstance(screen.app.screen, RunningScreen))
        await screen.hear(*FINISHED[len(INSPECTING) :])
        await screen.until(lambda: screen.focused == "quit")
        await screen.pilot.press("enter")
        await screen.until_shown("Leave p2v-tui?")
        await screen.pilot.press("right", "enter")
    assert screen.app.return_value == 0


async def test_the_first_line_says_which_guest_goes_where() -> None:
    async with opened() as screen:
        first = screen.text.splitlines()[0]
        assert first.endswith("Conversion (3 of 3): db1 -> the server:/var/tmp (local)")


@pytest.mark.parametrize("button, verb", [("poweroff", "poweroff"), ("reboot", "reboot")])
async def test_shutting_down_asks_first_and_then_does_it(button: str, verb: str) -> None:
    ran: list[Sequence[str]] = []
    async with opened(iso=True, run_command=ran.append) as screen:
        await screen.hear(*FINISHED)
        await screen.press(button)
        assert screen.focused == "no"
        await screen.pilot.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, RunningScreen))
        assert ran == []
        await screen.press(button)
        await screen.pilot.press("right", "enter")
        await screen.until(lambda: ran == [["systemctl", verb]])


async def test_a_machine_that_does_not_shut_down_is_told_of() -> None:
    def refuse(_: Sequence[str]) -> None:
        raise PowerFailed("systemctl poweroff failed: no.", "Use the machine's power button.")

    async with opened(iso=True, run_command=refuse) as screen:
        await screen.hear(*FINISHED)
        await screen.press("poweroff")
        await screen.pilot.press("right", "enter")
        await screen.until_shown(
            "The machine was not switched off", "systemctl poweroff failed", "Use the machine's power button."
        )


def test_a_command_that_is_missing_or_fails_is_an_error_in_words() -> None:
    with pytest.raises(PowerFailed, match="cannot be run"):
        running.run_command(["/nonexistent/systemctl", "poweroff"])
    with pytest.raises(PowerFailed, match="failed"):
        running.run_command(["false"])
    running.run_command(["true"])


async def test_a_failure_says_what_where_and_what_to_do() -> None:
    async with opened() as screen:
        await screen.hear(*FAILED)
        await screen.until_shown("The conversion failed: virt-v2v failed: inspection could not detect")
        assert "Failed during: Inspecting the source" in screen.text
        assert "The whole log is" in screen.text
        assert "the boot sector of /dev/sda is odd" in screen.text
        assert screen.focused == "back"
        await screen.press("details")
        await screen.until_shown("Outcome")
        assert "the boot sector" in screen.text


async def test_try_again_starts_the_same_plan_without_the_screens_before(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as screen:
        await screen.hear(*FAILED)
        await screen.until_shown("[ Try again ]")
        second = ScriptedConversion()
        monkeypatch.setattr("p2v_tui.screens.state.ConversionRun", _with(second))
        first = screen.run
        await screen.press("again")
        await screen.until(lambda: screen.run is not first)
        assert screen.run.plan is first.plan
        await screen.until_shown("[ Cancel conversion ]", "[ .. ] Connecting to the server")
        screen.run.cancel()
        assert screen.run.wait(10)


async def test_after_a_success_and_without_the_server_nothing_is_tried_again() -> None:
    async with opened() as screen:
        await screen.hear(*FINISHED)
        await screen.until_shown("Conversion finished successfully")
        assert not screen.action("again").display
    async with opened() as screen:
        screen.state.server = None
        await screen.hear(*FAILED)
        await screen.until_shown("The conversion failed")
        assert not screen.action("again").display


async def test_a_long_error_leaves_room_for_the_advice_and_details_has_it_all() -> None:
    error = ConversionFailed("virt-v2v failed: " + "words of libguestfs, " * 40 + "the end.", "Look there.")
    async with opened() as screen:
        await screen.hear(*INSPECTING, error)
        await screen.until_shown("(Details shows the rest)", "Look there.")
        await screen.press("details")
        await screen.until_shown("the end.", "Look there.")


async def test_an_error_of_our_own_is_shown_and_does_not_end_the_application() -> None:
    async with opened("132x43") as screen:
        await screen.hear(*STARTED, ZeroDivisionError("division by zero"))
        await screen.until_shown("ZeroDivisionError", "report it with these words", "Traceback")


async def test_an_outcome_that_nobody_has_seen_is_shown_before_anything_new_starts() -> None:
    async with opened() as screen:
        await screen.pilot.press("escape", "right", "enter")
        await screen.until(lambda: not isinstance(screen.app.screen, (RunningScreen, Dialog)))
        screen.conversion.say(*FINISHED)
        await screen.until(lambda: screen.run.finished)
        await screen.app.push_screen(RunningScreen(screen.state, interval=0.0))
        await screen.until_shown("Conversion finished successfully")
        assert screen.conversion.calls == 1


@pytest.mark.parametrize("key", ["escape", "enter"])
async def test_after_a_failure_one_goes_back_and_starts_again(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as screen:
        await screen.hear(*FAILED)
        await screen.until(lambda: screen.focused == "back")
        first = screen.run
        await screen.pilot.press(key)
        await screen.until(lambda: not isinstance(screen.app.screen, RunningScreen))
        monkeypatch.setattr("p2v_tui.screens.state.ConversionRun", _with(screen.conversion))
        second = screen.state.start_conversion()
        assert second is not first and second.server is first.server
        await screen.app.push_screen(RunningScreen(screen.state, interval=0.0))
        await screen.hear(*INSPECTING)
        await screen.until_shown("[ .. ] Inspecting the source")
        second.cancel()
        await screen.until(lambda: second.finished)


def _with(conversion: ScriptedConversion) -> Callable[..., ConversionRun]:
    return lambda *arguments, **options: ConversionRun(*arguments, convert=conversion, **options)


async def test_the_screen_starts_a_conversion_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    conversion = ScriptedConversion()
    monkeypatch.setattr("p2v_tui.screens.state.ConversionRun", _with(conversion))
    shown = state()
    shown.server, shown.plan = NoServer().as_server(), plan()
    screen = RunningScreen(shown)
    assert shown.run is screen.run
    assert RunningScreen(shown).run is screen.run
    conversion.say(MADE)
    assert screen.run.wait(10) and conversion.calls == 1


@pytest.mark.parametrize("ended", [False, True])
def test_a_server_that_is_forgotten_is_closed_when_no_conversion_needs_it(ended: bool) -> None:
    conversion, server, shown = ScriptedConversion(), NoServer(), state()
    shown.server = server.as_server()
    shown.run = ConversionRun(shown.server, plan(), convert=conversion)
    shown.run.start()
    if ended:
        conversion.say(MADE)
        shown.run.wait(10)
    shown.forget_server()
    assert server.closed == int(ended)
    conversion.say(MADE)
    assert shown.run.wait(10)
    assert server.closed == 1


# Saving the logs.


async def save_logs(screen: Screen, directory: Path | None = None) -> None:
    """directory: what is typed in place of what is proposed."""
    await screen.press("save")
    await screen.until_shown("Save logs", "Directory or file")
    if directory is not None:
        screen.app.screen.query_one("#text", FormField).value = str(directory)
    await screen.pilot.press("enter")


async def test_saved_logs_hold_everything_and_are_private(tmp_path: Path) -> None:
    async with opened() as screen:
        await screen.hear(*FAILED)
        await save_logs(screen, tmp_path)
        await screen.until_shown("Logs saved")
        (path,) = tmp_path.iterdir()
        assert path.name in re.sub(r"[\s|]", "", screen.text)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_text()
        assert "\x1b" not in content
        for words in (
            "Opening the source",
            "p2v-tui: Opening the control connection",
            FAILURE.message,
            LOG_DIRECTORY,
        ):
            assert words in content


async def test_a_directory_that_does_not_work_is_told_of_and_can_be_corrected(tmp_path: Path) -> None:
    good = tmp_path / "none2"
    good.mkdir()
    async with opened() as screen:
        await screen.hear(*STARTED)
        await save_logs(screen, tmp_path / "none/x")
        await screen.until_shown("Nothing was saved", "No such file or directory")
        await screen.pilot.press("enter")
        # What was typed is still there.
        await screen.pilot.press("end", "backspace", "backspace", "2", "enter")
        await screen.until_shown("Logs saved")
    assert len(list(good.iterdir())) == 1


async def test_the_place_where_logs_were_saved_is_proposed_again_also_for_the_next_conversion(tmp_path: Path) -> None:
    async with opened() as screen:
        await screen.hear(*STARTED)
        await save_logs(screen, tmp_path / "my.log")
        await screen.until_shown("Logs saved")
        await screen.pilot.press("enter")
        await screen.press("save")
        await screen.until_shown("Directory or file")
        assert screen.app.screen.query_one("#text", FormField).value == f"{tmp_path}/"
        assert screen.state.places.to_save(Kind.HERE, "") == f"{tmp_path}/"


async def test_logs_of_a_conversion_that_runs_do_not_go_over_its_connection() -> None:
    async with opened() as screen:
        screen.state.server = screen.run.server
        await screen.hear(*STARTED)
        assert await places_on_offer(screen) == ["URL", "USB stick", "this machine"]
        await screen.hear(*FAILED)
        assert await places_on_offer(screen) == ["URL", "USB stick", "conversion server", "this machine"]


async def places_on_offer(screen: Screen) -> list[str]:
    await screen.press("save")
    await screen.until_shown("Where")
    choice = screen.app.screen.query_one("#where", Choice)
    choice.focus()
    offered = set()
    while choice.value not in offered:
        offered.add(choice.value)
        await screen.pilot.press("right")
    await screen.pilot.press("escape")
    await screen.pilot.pause()
    return sorted(offered)


async def test_a_log_that_is_there_is_replaced_only_after_a_question(tmp_path: Path) -> None:
    path = tmp_path / "my.log"
    path.write_text("old")
    async with opened() as screen:
        await screen.hear(*STARTED)
        await save_logs(screen, path)
        await screen.until_shown("Replace it?", "is there already")
        await screen.pilot.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, PlaceDialog))
        assert path.read_text() == "old"
        await screen.pilot.press("enter")
        await screen.until_shown("Replace it?")
        await screen.pilot.press("right", "enter")
        await screen.until_shown("Logs saved")
    assert path.read_text().startswith("p2v-tui ")


def test_lines_of_any_kind_keep_their_kind() -> None:
    assert [event.kind for event in said("virt-v2v: error: x\n") if isinstance(event, RemoteOutput)] == [
        OutputKind.ERROR
    ]
