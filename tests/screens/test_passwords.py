"""A password is shown only while it is typed, by a key, and never one that came from the settings."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from p2v_tui.app import P2VTui
from p2v_tui.screens.dialogs import Dialog, TextDialog
from p2v_tui.screens.form import setting_help
from p2v_tui.screens.key_fields import KeyFields
from p2v_tui.screens.look import Look
from p2v_tui.screens.widgets import SECRET_HELP, FieldInput
from tests.screens.conftest import SIZES, screen_text, wait_until
from tests.screens.connection_screen import app_for
from tests.screens.conversion_screen import ENCRYPTED, MadeUpState, opened
from tests.screens.test_keys_help import assert_helps

HIDDEN = "Password (^P shows): [********* "
SHOWN = "Password (^P hides): [swordfish "


def focus(app: P2VTui, name: str) -> None:
    app.screen.query_one(f"#{name}-input", FieldInput).focus()


@pytest.mark.parametrize("size", SIZES)
async def test_a_password_that_is_shown(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("p2v.server=conv.example.com")
    async with app.run_test(size=SIZES[size]) as pilot:
        focus(app, "password")
        await pilot.press(*"swordfish")
        await wait_until(pilot, lambda: HIDDEN in screen_text(app))
        await pilot.press("ctrl+p")
        await wait_until(pilot, lambda: SHOWN in screen_text(app))
        assert screen_text(app) == snapshot


@pytest.mark.parametrize("key", ["ctrl+p", "f9"])
@pytest.mark.parametrize("look", [Look.PLAIN, Look.DARK])
async def test_a_key_shows_what_is_typed_and_hides_it_again(key: str, look: Look) -> None:
    app = app_for("", look=look)
    async with app.run_test(size=(80, 24)) as pilot:
        focus(app, "password")
        await pilot.press(*"sword", key, *"fish")
        await wait_until(pilot, lambda: "swordfish" in screen_text(app))
        await pilot.press(key)
        await wait_until(pilot, lambda: "swordfish" not in screen_text(app))
        assert app.screen.query_one("#password-input", FieldInput).value == "swordfish"


async def test_a_field_that_is_left_hides_its_password() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        focus(app, "password")
        await pilot.press(*"swordfish", "ctrl+p")
        await wait_until(pilot, lambda: SHOWN in screen_text(app))
        await pilot.press("up")
        await wait_until(pilot, lambda: "swordfish" not in screen_text(app))
        assert "  Password: [********* " in screen_text(app)
        await pilot.press("down")
        await wait_until(pilot, lambda: HIDDEN in screen_text(app))


async def test_another_screen_in_front_hides_it() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        focus(app, "password")
        await pilot.press(*"swordfish", "ctrl+p")
        await wait_until(pilot, lambda: SHOWN in screen_text(app))
        await pilot.press("f1")
        await wait_until(pilot, lambda: isinstance(app.screen, Dialog))
        await pilot.press("escape")
        await wait_until(pilot, lambda: HIDDEN in screen_text(app))


async def test_a_password_from_the_command_line_is_not_shown_before_it_is_erased() -> None:
    app = app_for("p2v.server=conv.example.com p2v.password=swordfish")
    async with app.run_test(size=(80, 24)) as pilot:
        focus(app, "password")
        # What is typed behind it does not uncover it, nor does a part of it that is left.
        for keys in ((), ("end", "x"), (*["backspace"] * 9,)):
            await pilot.press(*keys, "ctrl+p")
            await pilot.pause()
            assert " Password: [*" in screen_text(app)
        await pilot.press("backspace", *"own", "ctrl+p")
        await wait_until(pilot, lambda: "Password (^P hides): [own " in screen_text(app))


async def test_a_key_of_an_encrypted_volume_can_be_shown() -> None:
    async with opened(MadeUpState(ENCRYPTED), "80x24") as it:
        it.app.screen.query_one(KeyFields).rows[1].field.input.focus()
        await it.pilot.press(*"opensesame", "f9")
        await wait_until(it.pilot, lambda: "LUKS sdl3 (^P hides): [opensesame " in screen_text(it.app))


async def test_a_password_for_the_output_that_came_from_the_command_line_is_not_shown() -> None:
    words = "p2v.server=conv.example.com p2v.o=rhv-upload p2v.op=swordfish"
    async with opened(MadeUpState(ENCRYPTED, words), "80x24") as it:
        field = it.app.screen.query_one("#password-input", FieldInput)
        assert field.value == "swordfish"
        field.focus()
        await it.pilot.press("ctrl+p")
        await wait_until(it.pilot, lambda: "Password (-op), needed: [********* " in screen_text(it.app))


async def test_a_dialogs_password_can_be_shown() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        asked = TextDialog(
            "Log in", "It:", label="Password", value="", help=setting_help("auth.password"), yes="Yes", password=True
        )
        app.push_screen(asked)
        await wait_until(pilot, lambda: "Password (^P shows): [" in screen_text(app))
        await pilot.press(*"swordfish", "ctrl+p")
        await wait_until(pilot, lambda: SHOWN in screen_text(app))
        assert asked.value == "swordfish"


async def test_a_field_that_is_no_secret_has_no_such_key() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("x", "ctrl+p", "f9", "y")
        await wait_until(pilot, lambda: "[xy " in screen_text(app))
        assert "^P" not in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_the_help_of_a_password_names_its_keys(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("")
    async with app.run_test(size=SIZES[size]) as pilot:
        focus(app, "password")
        await pilot.press("f1")
        await wait_until(pilot, lambda: "Ctrl-P" in screen_text(app))
        assert screen_text(app) == snapshot
    assert_helps(SECRET_HELP, FieldInput.BINDINGS)
