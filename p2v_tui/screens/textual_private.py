"""Everything undocumented that we use of Textual, in one place, with the reasons.

tests/screens/test_textual_private.py says which of these parts a new version of Textual has changed, and checks that
no other module uses one.

- `ConsoleDriver`, a `textual.drivers.linux_driver.LinuxDriver`: Textual's own driver paints too many bytes for a
  serial line (`painter.py`), dies of the first byte that is not valid UTF-8, and reads forever after the terminal has
  hung up. It overrides `write`, `stop_application_mode` and `run_input_thread`; it uses `fileno`, `exit_event`,
  `process_message`, `_app`, `_debug`, and Textual's parser of what a terminal sends, `XTermParser`.
- What a frame looks like (`painter.is_frame`): it starts at the first cell, line ends separate its lines, and the
  cursor's position comes last. That is how a frame is told from a change and compared with the previous one.
- `App._check_bindings`, for `run_binding`: Textual offers `App.active_bindings`, but while a dialog is open, that
  lacks the keys of the application, such as the one for a shell.
- `App._driver`, for `clear_terminal`: Textual itself only writes what changed, which does not help after a line has
  lost something. And for `report_mouse`, with the driver's `_mouse`, `_enable_mouse_support` and
  `_disable_mouse_support`: Textual decides at its start whether to use the mouse, but the look can change later.
- `Screen._compositor`, for `screen_strips`: Textual offers the screen's content only as a picture, but tests compare
  lines.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
from typing import Any

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.screen import Screen
from textual.strip import Strip

from p2v_tui.screens.painter import CLEAR, Painter, Shown


class HungUp(Message):
    """Tells the application that the terminal is gone."""


class ConsoleDriver(LinuxDriver):
    """Textual's driver for a terminal, made fit for slow and noisy ones; `consoles.py` has Textual use it."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._painter = Painter(super().write, self._shown)

    def _shown(self) -> Shown:
        screens = self._app.screen_stack
        return Shown(screens[-1] if screens else None, *self._app.size)

    def write(self, data: str) -> None:
        self._painter.paint(data)

    def write_aside(self, data: str) -> None:
        """Writes text that changes nothing on the screen, past the painter."""
        super().write(data)

    def stop_application_mode(self) -> None:
        self._painter.end()
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        """Reads keys until the application ends or the terminal hangs up. Invalid UTF-8 is noise and is dropped."""
        parser = XTermParser(self._debug)
        decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        while not self.exit_event.is_set():
            if select.select([self.fileno], [], [], 0.05)[0]:
                try:
                    received = os.read(self.fileno, 4096)
                except OSError:
                    received = b""
                if not received:
                    self._app.post_message(HungUp())
                    return
                # Noise decodes to "", which would tell the parser that the input has ended.
                if text := decoder.decode(received):
                    for message in parser.feed(text):
                        self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
        with contextlib.suppress(EOFError, ParseError):
            list(parser.feed(""))


async def run_binding(app: App[Any], key: str, *, priority: bool = False) -> bool:
    """Runs what the key is bound to, to its end. Returns whether it is bound to anything.

    priority: looks among the bindings that precede the focused widget's, else among the others.
    """
    return await app._check_bindings(key, priority=priority)


def clear_terminal(app: App[Any]) -> None:
    """Clears the terminal itself, whatever is on it. The next frame is written whole."""
    if app._driver is not None:
        app._driver.write(CLEAR)


def report_mouse(app: App[Any], wanted: bool) -> None:
    """Makes the terminal report the mouse, or stop reporting it."""
    driver = app._driver
    if isinstance(driver, LinuxDriver):
        if not wanted:
            driver._disable_mouse_support()
        driver._mouse = wanted
        if wanted:
            driver._enable_mouse_support()


def send(app: App[Any], sequence: str) -> None:
    """Writes to the terminal what changes nothing on the screen, such as its title or a bell."""
    if isinstance(app._driver, ConsoleDriver):
        app._driver.write_aside(sequence)


def screen_strips(screen: Screen[Any]) -> list[Strip]:
    """What is on the screen, line by line, for tests."""
    return screen._compositor.render_strips()
