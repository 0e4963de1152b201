"""A dialog that is over at once, as that of work which fails at once, leaves nothing behind that fails."""

from __future__ import annotations

from textual.app import App

from p2v_tui.screens.dialogs import Dialog


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
