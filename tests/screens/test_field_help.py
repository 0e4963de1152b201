"""What F1 shows on a field: what it is, when to change it, an example, what happens if it is wrong, its setting."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest
from textual.screen import Screen

from p2v_tui.config import BY_KEY, SETTINGS
from p2v_tui.screens.connection import host_key_dialog
from p2v_tui.screens.dialogs import Question
from p2v_tui.screens.form import setting_help
from p2v_tui.screens.widgets import Action, Choice, FormField, Help, Toggle
from p2v_tui.session.plan.output_modes import find_mode
from p2v_tui.setting import Setting
from tests.screens.connection_screen import app_for
from tests.screens.conversion_screen import ENCRYPTED, MODES, MadeUpState, opened

# Those that only a command line has.
WITHOUT_FIELD = {
    "remote.hostkey",
    *("cpu.vendor", "cpu.model", "cpu.acpi", "cpu.apic", "cpu.pae", "rtc.basis", "rtc.offset"),
    *("root", "nbd", "pre", "post", "fail", "reconnect"),
    *("skip_test_connection", "accept_warnings", "dump_config_and_exit", "dry_run", "interactive"),
    *("keymap", "ssh_key", "shell"),
}
WITH_FIELD = [setting for setting in SETTINGS if setting.name not in WITHOUT_FIELD]
COLUMNS = 76
MOST_LINES = 8
NAME = re.compile(r"^On the kernel command line: (p2v\.[\w.]+)")


def assert_helps(text: str) -> Setting:
    """That a field's help has all of its parts, the setting's name last. Returns the setting."""
    *lines, last = [line for line in text.splitlines() if line]
    named = NAME.match(last)
    assert named, last
    setting = BY_KEY[named[1]]
    assert setting.if_wrong and setting.if_wrong in lines
    assert [line for line in lines if re.match(r"Example: \S", line)]
    assert setting.when in lines[0]
    return setting


@pytest.mark.parametrize("setting", WITH_FIELD, ids=lambda setting: setting.name)
def test_the_help_of_a_field_has_an_example_and_what_happens_if_it_is_wrong_and_the_name_last(
    setting: Setting,
) -> None:
    help = setting_help(setting.name)
    assert assert_helps(help.text) is setting
    assert help.text.startswith(setting.help)


@pytest.mark.parametrize("setting", WITH_FIELD, ids=lambda setting: setting.name)
def test_the_help_of_a_field_is_short(setting: Setting) -> None:
    lines = [row for line in setting_help(setting.name).text.splitlines() for row in textwrap.wrap(line, COLUMNS)]
    assert 4 <= len(lines) <= MOST_LINES


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_help_of_a_setting_is_made_of_sentences(setting: Setting) -> None:
    for text in filter(None, (setting.help, setting.when, setting.if_wrong, setting.notes)):
        assert text.endswith(".") and text == " ".join(text.split())
    assert not setting.in_field.endswith(".")


def helps_of_fields(screen: Screen[Any]) -> list[str]:
    fields = screen.query("FormField, Toggle, Choice")
    shown = [each for each in fields if isinstance(each, FormField | Toggle | Choice)]
    return [each.help.text for each in shown]


async def test_every_field_has_such_a_help_and_every_setting_with_a_help_has_a_field() -> None:
    found: set[str] = set()
    app = app_for("p2v.server=conv.example.com")
    async with app.run_test(size=(80, 24)):
        found |= {assert_helps(text).name for text in helps_of_fields(app.screen)}
    async with opened(MadeUpState(ENCRYPTED)) as it:
        mode = it.screen.query_one("#mode", Choice)
        for name in MODES:
            mode.value = name
            mode.post_message(Choice.Changed(mode, name))
            await it.pilot.pause()
            texts = helps_of_fields(it.screen)
            found |= {assert_helps(text).name for text in texts}
            assert all(f"needs the options {option}" in " ".join(texts) for option in find_mode(name).needed_misc[:1])
    assert found == {setting.name for setting in WITH_FIELD}


async def test_every_button_says_what_it_does() -> None:
    app = app_for("p2v.server=conv.example.com")
    async with app.run_test(size=(80, 24)), opened() as it:
        for screen in (app.screen, it.screen):
            for action in screen.query(Action):
                assert isinstance(action.help, Help) and action.help.text.endswith(".")


async def test_the_question_about_the_host_key_says_what_a_wrong_answer_does() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(host_key_dialog("conv.example.com", "SHA256:x", "ED25519"))
        await pilot.pause()
        assert isinstance(app.screen, Question)
        for action in app.screen.query(Action):
            assert "your password and the disks go to another machine" in action.help.text
            assert action.help.text.endswith("p2v.hostkey")
