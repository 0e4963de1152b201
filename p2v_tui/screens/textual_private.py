"""All that we use of Textual and that it does not document, in one place, each with the reason.

tests/screens/test_textual_private.py says in words which of them a new version of Textual has changed, and holds
that no other module uses such a part.

- `ConsoleDriver`, a `textual.drivers.linux_driver.LinuxDriver`: Textual's own paints too many bytes for a serial line
  (`painter.py`), dies of the first byte that is not valid UTF-8, and reads on for ever when the terminal has hung up.
  It overrides `write`, `stop_application_mode` and `run_input_thread`; it uses `fileno`, `exit_event`,
  `process_message`, `_app`, `_debug`, and Textual's parser of what a terminal sends, `XTermParser`.
- What a frame looks like (`painter.is_frame`): it starts at the first cell, its lines are parted by line ends, and
  the place of the cursor comes last. Only so can a frame be told from a change and compared with the one before.
- `App._check_bindings`, for `run_binding`: Textual offers `App.active_bindings`, but there a dialog hides the keys of
  the application, such as the one for a shell.
- `App._driver`, for `clear_terminal`: Textual itself only writes what changed, which is of no use to a line that lost
  something. And for `report_mouse`, with the driver's `_mouse`, `_enable_mouse_support` and `_disable_mouse_support`:
  whether the mouse is used is decided when Textual starts, and a look is chosen later.
- `Screen._compositor`, for `screen_strips`: Textual offers what is on the screen only as a picture, and tests compare
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
    """To the application: the terminal is gone."""


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
        """What changes nothing on the screen: it goes past the painter."""
        super().write(data)

    def stop_application_mode(self) -> None:
        self._painter.end()
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        """Reads keys until the application ends or the terminal hangs up. What is not valid UTF-8 is noise."""
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
                # Nothing is left of noise, and "" would tell the parser that no more comes.
                if text := decoder.decode(received):
                    for message in parser.feed(text):
                        self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
        with contextlib.suppress(EOFError, ParseError):
            list(parser.feed(""))


async def run_binding(app: App[Any], key: str, *, priority: bool = False) -> bool:
    """Runs to its end what the key is bound to; whether that is anything.

    priority: of the bindings that come before what has the focus, else of the others.
    """
    return await app._check_bindings(key, priority=priority)


def clear_terminal(app: App[Any]) -> None:
    """Clears the terminal itself, whatever is on it. The next frame is written whole."""
    if app._driver is not None:
        app._driver.write(CLEAR)


def report_mouse(app: App[Any], wanted: bool) -> None:
    """Has the terminal tell of the mouse, or not."""
    driver = app._driver
    if isinstance(driver, LinuxDriver):
        if not wanted:
            driver._disable_mouse_support()
        driver._mouse = wanted
        if wanted:
            driver._enable_mouse_support()


def send(app: App[Any], sequence: str) -> None:
    """Writes to the terminal itself what changes nothing on the screen, such as its title or a bell."""
    if isinstance(app._driver, ConsoleDriver):
        app._driver.write_aside(sequence)


def screen_strips(screen: Screen[Any]) -> list[Strip]:
    """What is on the screen, line by line, for tests."""
    return screen._compositor.render_strips()
