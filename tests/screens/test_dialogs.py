"""What all dialogs share: an early end, which leaves nothing behind that fails, and the help of their parts."""

from __future__ import annotations

from textual.app import App

from p2v_tui.screens.dialogs import Dialog, TextDialog
from p2v_tui.screens.widgets import Help
from tests.screens.conftest import screen_text, wait_until


async def test_a_dialog_may_be_over_before_it_was_drawn() -> None:
    app: App[None] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = Dialog("Over", "One line.")
        await app.push_screen(dialog)
        # What Textual does in its own time when a dialog is dismissed, here before the next time it draws.
        dialog.on_resize()
        await dialog.query("*").remove()
        await pilot.pause()
        dialog.dismiss(False)
        await pilot.pause()
        assert app.screen is not dialog


async def test_help_in_a_dialog_is_about_its_field_or_button_and_closing_it_leads_back() -> None:
    app: App[int] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = TextDialog(
            "Save", "Where to?", label="Directory", value="", help=Help("", "It exists."), yes="Save it"
        )
        await app.push_screen(dialog)
        await wait_until(pilot, lambda: app.focused is dialog.query_one("#text-input"))
        await pilot.press("f1")
        await wait_until(pilot, lambda: "It exists." in screen_text(app))
        assert "Enter: Save it." in screen_text(app)
        assert "previous field or button" in screen_text(app)
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is dialog)
        await pilot.press("tab", "ctrl+w")
        await wait_until(pilot, lambda: "Goes back to the screen." in screen_text(app))


async def test_help_in_the_help_opens_no_other_one() -> None:
    app: App[int] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(Dialog("About", "It is one."))
        await pilot.press("f1")
        await wait_until(pilot, lambda: "Goes back to the screen." in screen_text(app))
        await pilot.press("f1", "escape")
        await wait_until(pilot, lambda: "It is one." in screen_text(app))
