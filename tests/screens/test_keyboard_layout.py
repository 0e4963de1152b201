"""The choice of the layout of the machine's keyboard, on the first screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from p2v_tui import cmdline
from p2v_tui.app import P2VTui
from p2v_tui.cmdline import write_settings
from p2v_tui.keyboard import Keyboard
from p2v_tui.screens import keyboard_layout
from p2v_tui.screens.dialogs import Dialog
from p2v_tui.screens.look import Look
from p2v_tui.screens.state import State
from tests.screens.conftest import SIZES, screen_text, wait_until
from tests.unit.test_keyboard import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def app_for(keyboard: Keyboard | None, words: str = "") -> P2VTui:
    return P2VTui(State(cmdline.parse(words).settings, keyboard=keyboard), look=Look.PLAIN)


async def open_dialog(pilot: Pilot[int], monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setattr(keyboard_layout, "terminal_in_front", lambda: terminal)
    pilot.app.screen.query_one("#keyboard").focus()
    await pilot.press("enter")
    await wait_until(pilot, lambda: ">Layout: [" in screen_text(pilot.app))


@pytest.mark.parametrize("size", SIZES)
async def test_at_the_machine_itself(
    size: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    app = app_for(lab.keyboard, "p2v.keymap=de")
    async with app.run_test(size=SIZES[size]) as pilot:
        await open_dialog(pilot, monkeypatch, "tty1")
        assert "German" in screen_text(app)
        assert screen_text(app) == snapshot


@pytest.mark.parametrize("terminal", ["ttyS0", "pts/3"])
async def test_elsewhere_the_terminals_own_layout_counts(
    terminal: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for(lab.keyboard)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_dialog(pilot, monkeypatch, terminal)
        assert f"You are at {terminal}: there the layout of your own terminal" in screen_text(app)


async def test_the_layout_is_loaded_and_belongs_to_the_settings_then(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for(lab.keyboard)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_dialog(pilot, monkeypatch, "tty1")
        await pilot.press(*"ch", "enter")
        await wait_until(pilot, lambda: "now has the layout ch (Swiss German)" in screen_text(app))
        assert lab.asked() == ["--quiet --console=/dev/tty0 sg-latin1"]
        assert write_settings(app.state.settings).words == ("p2v.keymap=ch",)
        await pilot.press("enter")
        await wait_until(pilot, lambda: not isinstance(app.screen, Dialog))


async def test_after_an_error_the_name_can_be_corrected(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_for(lab.keyboard)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_dialog(pilot, monkeypatch, "tty1")
        await pilot.press(*"brokn", "enter")
        await wait_until(pilot, lambda: "Common layouts: us (American), de" in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: ">Layout: [brokn " in screen_text(app))
        await pilot.press("end", "left", "e", "enter")
        await wait_until(pilot, lambda: "unexpected ERROR" in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: ">Layout: [broken " in screen_text(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: not isinstance(app.screen, Dialog))
        assert app.state.settings.keymap is None


async def test_where_no_layout_can_be_changed_it_is_not_offered() -> None:
    app = app_for(None)
    async with app.run_test(size=(80, 24)):
        assert "[ Keyboard ]" not in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_where_it_can_it_is_offered(size: str, lab: Lab, snapshot: SnapshotAssertion) -> None:
    app = app_for(lab.keyboard)
    async with app.run_test(size=SIZES[size]):
        assert "[ Shell ] [ Keyboard ] [ More ]" in screen_text(app)
        assert screen_text(app) == snapshot
