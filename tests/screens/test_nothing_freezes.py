"""Whatever a thread of the screens raises, or hangs on, the operator is told and can go on."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot

from p2v_tui import cmdline
from p2v_tui.app import P2VTui
from p2v_tui.hwprobe import Machine
from p2v_tui.screens import conversion, place_dialog
from p2v_tui.screens.connection import ConnectionScreen
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.left_running import Found, WorkDialog
from p2v_tui.screens.look import Look
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.ssh import control, workspace
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Report
from tests.screens.conftest import screen_text, wait_until
from tests.screens.running_screen import opened as running_screen
from tests.screens.scripted_conversion import FINISHED, STARTED
from tests.unit.machines import SERVER

FULL = OSError(errno.ENOSPC, "No space left on device", "/tmp/p2v-tui-x")
BUG = ValueError("a strange machine")
FAILURES = [pytest.param(FULL, "no room left to write", id="full"), pytest.param(BUG, "ValueError", id="bug")]
VIRT_V2V = VirtV2V("2.2.0", frozenset(), ("local",))


class Machines(State):
    """Finds `found`; raises it where it is an exception, and hangs while it is an Event that is not set."""

    found: Machine | Exception | threading.Event = SERVER

    def machine(self) -> Machine:
        if isinstance(self.found, Exception):
            raise self.found
        if isinstance(self.found, threading.Event):
            self.found.wait()
            return SERVER
        return self.found

    look_again = machine


class NoWatch:
    def stop(self) -> None:
        pass


class Opened:
    def __init__(self, pilot: Pilot[int], state: Machines) -> None:
        self.pilot = pilot
        self.state = state

    @property
    def text(self) -> str:
        """What is shown, without frames and line breaks."""
        return " ".join(screen_text(self.pilot.app).replace("|", " ").split())

    async def press(self, name: str) -> None:
        self.pilot.app.screen.query_one(f"#{name}", Action).focus()
        await self.pilot.press("enter")

    async def until_shown(self, *words: str) -> None:
        await wait_until(self.pilot, lambda: all(word in self.text for word in words))


@contextlib.asynccontextmanager
async def opened(found: Machine | Exception | threading.Event = SERVER) -> AsyncIterator[Opened]:
    """The first screen, filled in."""
    words = "p2v.server=127.0.0.1 p2v.port=1 p2v.password=x"
    state = Machines(cmdline.parse(words).settings, virt_v2v=VIRT_V2V)
    state.found = found
    async with P2VTui(state, look=Look.PLAIN).run_test(size=(80, 24)) as pilot:
        yield Opened(pilot, state)


@contextlib.asynccontextmanager
async def second_screen(found: Machine | Exception | threading.Event = SERVER) -> AsyncIterator[Opened]:
    async with opened(found) as it:
        await it.pilot.app.push_screen(ConversionScreen(it.state, watch=lambda _: NoWatch()))
        yield it


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What a tool that hangs waits for; it is let go at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_connection_test_on_a_strange_machine_ends_in_words_and_can_be_repeated(
    error: Exception, words: str
) -> None:
    async with opened(error) as it:
        for _ in range(2):
            await it.press("test")
            await it.until_shown(words, "[ Test connection ]")
        it.state.found = SERVER
        await it.press("test")
        await it.until_shown("refuses connections")
        await it.pilot.press("escape")
        await it.until_shown("Leave p2v-tui?")


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_connection_test_without_a_place_for_its_files_ends_in_words(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> workspace.Workspace:
        raise error

    monkeypatch.setattr(control, "Workspace", fail)
    async with opened() as it:
        await it.press("test")
        await it.until_shown(words, "[ Test connection ]")


async def test_a_connection_test_that_hangs_can_be_stopped_and_left(released: threading.Event) -> None:
    async with opened(released) as it:
        await it.press("test")
        await it.until_shown("[ Stop the test ]")
        await it.press("test")
        await it.until_shown("Cancelled", "[ Test connection ]")
        assert not released.is_set()
        await it.press("test")
        await it.until_shown("[ Stop the test ]")
        await it.pilot.press("escape")
        await it.until_shown("[ Test connection ]")
        await it.pilot.press("escape")
        await it.until_shown("Leave p2v-tui?")
        assert not released.is_set()


async def test_an_edit_during_a_connection_test_ends_it(released: threading.Event) -> None:
    async with opened(released) as it:
        await it.press("test")
        await it.until_shown("[ Stop the test ]")
        it.pilot.app.screen.query_one("#port-input").focus()
        await it.pilot.press("2")
        await it.until_shown("[ Test connection ]")
        assert not released.is_set()


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_machine_that_cannot_be_examined_is_told_and_looked_at_again(error: Exception, words: str) -> None:
    async with second_screen(error) as it:
        await it.until_shown("could not be examined", words)
        it.state.found = SERVER
        await it.pilot.press("f5")
        await it.until_shown("Choose what to convert")


async def test_the_second_screen_is_left_while_the_look_at_the_machine_hangs(released: threading.Event) -> None:
    async with second_screen(released) as it:
        await it.until_shown("Looking at the machine")
        await it.pilot.press("escape")
        await wait_until(it.pilot, lambda: isinstance(it.pilot.app.screen, ConnectionScreen))
        assert not released.is_set()


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_plan_that_cannot_be_made_is_told(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    async with second_screen() as it:
        await it.until_shown("Choose what to convert")
        monkeypatch.setattr(conversion, "make_plan", fail)
        for _ in range(2):
            await it.press("start")
            await it.until_shown(words)
        assert it.state.run is None


async def test_a_plan_that_hangs_can_be_stopped_and_the_screen_left(
    released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with second_screen() as it:
        await it.until_shown("Choose what to convert")
        monkeypatch.setattr(conversion, "make_plan", lambda *_, **__: released.wait())
        await it.press("start")
        await it.until_shown("Checking what is chosen")
        await it.pilot.press("escape")
        await it.until_shown("Cancelled")
        await it.pilot.press("escape")
        await wait_until(it.pilot, lambda: isinstance(it.pilot.app.screen, ConnectionScreen))
        assert not released.is_set()


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_port_that_cannot_be_made_to_blink_is_told(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(conversion, "blink_port", fail)
    async with second_screen() as it:
        await it.until_shown("Choose what to convert")
        screen = it.pilot.app.screen
        assert isinstance(screen, ConversionScreen)
        for _ in range(2):
            screen._blink("em1")
            await it.until_shown(words)


async def test_devices_that_cannot_be_watched_are_told_and_the_screen_opens() -> None:
    def fail(_: object) -> NoWatch:
        raise BUG

    async with opened() as it:
        await it.pilot.app.push_screen(ConversionScreen(it.state, watch=fail))
        await it.until_shown("Choose what to convert")


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_look_for_what_was_left_running_that_fails_is_told(error: Exception, words: str) -> None:
    def fail() -> Found | None:
        raise error

    state = Machines(cmdline.parse("").settings)
    async with P2VTui(state, look=Look.PLAIN, find_saved=fail).run_test(size=(80, 24)) as pilot:
        it = Opened(pilot, state)
        await it.until_shown(words, "[ Close ]")
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, ConnectionScreen))


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_work_behind_a_dialog_that_fails_ends_it(error: Exception, words: str) -> None:
    def work(_report: Report, _cancellation: Cancellation) -> None:
        raise error

    results: list[object] = []
    async with opened() as it:
        it.pilot.app.push_screen(WorkDialog("Working", it.state.jobs, work), results.append)
        await wait_until(it.pilot, lambda: results)
        assert words in str(results[0])


async def test_work_behind_a_dialog_that_hangs_can_be_left(released: threading.Event) -> None:
    def hang(_report: Report, _cancellation: Cancellation) -> None:
        released.wait()

    results: list[object] = []
    async with opened() as it:
        it.pilot.app.push_screen(WorkDialog("Working", it.state.jobs, hang), results.append)
        await it.until_shown("Working")
        await it.pilot.press("escape")
        await wait_until(it.pilot, lambda: results)
        assert not released.is_set()


@pytest.mark.parametrize("key", ["f1", "f10"])
async def test_work_that_ends_below_another_dialog_is_over_when_that_is_closed(
    key: str, released: threading.Event
) -> None:
    def wait(_report: Report, _cancellation: Cancellation) -> None:
        released.wait()

    results: list[object] = []
    async with opened() as it:
        dialog = WorkDialog("Working", it.state.jobs, wait)
        it.pilot.app.push_screen(dialog, results.append)
        await it.until_shown("Working")
        await it.pilot.press(key)
        await wait_until(it.pilot, lambda: it.pilot.app.screen is not dialog)
        released.set()
        await wait_until(it.pilot, lambda: not dialog.working)
        await it.pilot.press("escape")
        await wait_until(it.pilot, lambda: results == [None])
        assert dialog not in it.pilot.app.screen_stack


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_conversion_that_raises_ends_in_words(error: Exception, words: str) -> None:
    async with running_screen() as screen:
        await screen.hear(*STARTED, error)
        await screen.until_shown(words, "[ Back ]")


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_logs_that_cannot_be_saved_are_told(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise error

    monkeypatch.setattr(place_dialog, "save", fail)
    async with running_screen() as screen:
        await screen.hear(*FINISHED)
        await screen.press("save")
        await screen.until_shown("Directory or file:")
        await screen.pilot.press("enter")
        await screen.until_shown(words)


async def test_logs_can_be_saved_elsewhere_when_python_finds_no_directory_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("p2v_tui.front.last_places.tempfile.gettempdir", fail)
    async with running_screen() as screen:
        await screen.press("save")
        await screen.until_shown("Directory or file:", "/tmp")


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_machine_that_cannot_be_switched_off_is_told(error: Exception, words: str) -> None:
    def fail(_: Sequence[str]) -> None:
        raise error

    async with running_screen(iso=True, run_command=fail) as screen:
        await screen.hear(*FINISHED)
        await screen.press("poweroff")
        await screen.pilot.press("right", "enter")
        await screen.until_shown(words)
        await screen.pilot.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, RunningScreen))


async def test_a_shell_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/no/such/shell")
    monkeypatch.setattr(P2VTui, "suspend", lambda _: contextlib.nullcontext())
    async with opened() as it:
        await it.pilot.press("f2")
        await it.until_shown("/no/such/shell (No such file or directory)")
