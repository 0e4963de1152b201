"""Asks where to save a file, saves it, and tells where it is; a directory that was wrong can be corrected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from p2v_tui.errors import P2VError
from p2v_tui.front.ascii_text import ascii_text
from p2v_tui.front.jobs import AwaitedJob
from p2v_tui.front.saved_file import default_directory
from p2v_tui.screens.base import BaseScreen
from p2v_tui.screens.dialogs import Dialog, TextDialog, error_dialog
from p2v_tui.screens.widgets import Help
from p2v_tui.session.words.terminal_text import plain


def ask_where_to_save(screen: BaseScreen, title: str, what: str, save: Callable[[str], Path]) -> None:
    """what: is saved. save: writes it into a new file in that directory; called in a thread."""
    dialog = TextDialog(
        title,
        f"{what}, as a file in a directory of this machine, such as a USB stick's:",
        label="Directory",
        value=screen.state.save_directory or default_directory(),
        help=Help("Directory", "Where the file is made. It must exist. F2 opens a shell to mount a stick."),
        yes="Save",
    )

    def decide(answer: bool | None) -> None:
        # What was typed is proposed again, whatever comes of it.
        screen.state.save_directory = dialog.value.strip()
        if answer:
            screen.work_on(write(screen.state.save_directory))

    async def write(directory: str) -> None:
        try:
            path = await screen.state.jobs.add(
                AwaitedJob("saved file", lambda *_: save(directory), wanted=screen.is_there)
            )
        except P2VError as error:
            screen.app.push_screen(error_dialog(error), lambda _: ask_where_to_save(screen, title, what, save))
        else:
            screen.app.push_screen(Dialog("Saved", ascii_text(plain(f"It is in\n\n{path}"))))

    screen.app.push_screen(dialog, decide)
