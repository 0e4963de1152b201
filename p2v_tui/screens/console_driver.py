"""Textual's driver for a terminal, made fit for slow and noisy ones.

Out: Textual paints a screen several times until it stands, and every time whole. What a later frame paints over is
not written at all, and a screen that is mostly new starts from an empty one, so that its blanks cost nothing. tmux,
between us and a console, then passes on what changed.

In: bytes that are no UTF-8 are noise and are dropped; Textual's own driver dies of the first one. A terminal that has
hung up ends the application; Textual's own driver would read on for ever.

`consoles.py` has Textual use it, by TEXTUAL_DRIVER.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import re
import select
from typing import Final

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from p2v_tui.errors import Cancelled

# How long a frame waits for the next one, in seconds: Textual lays a new screen out in about 40 ms.
HOLD_SECONDS: Final = 0.06
# Less is no frame but a change of a few cells, such as a key's, and is written at once.
_FRAME_CHARACTERS: Final = 1000
# A run of blanks without a style, as Rich writes it, worth moving over; and one up to the end of the line.
_BLANKS: Final = re.compile(r"(?<=\x1b\[0m)\x1b\[(?:39;)?49m( {5,})\x1b\[0m")
_LAST_BLANKS: Final = re.compile(r"(?<=\x1b\[0m)\x1b\[(?:39;)?49m {5,}\x1b\[0m$")
_CLEAR: Final = "\x1b[H\x1b[2J"
_ROW: Final = re.compile(r"\x1b\[(\d+);\d+H")
# Where the cursor is put when a frame is painted.
_CURSOR: Final = re.compile(r"(\x1b\[\d+;\d+H)$")


class ConsoleDriver(LinuxDriver):
    """See the module."""

    # A frame that waits, and what came behind it.
    _frame: str = ""
    _changes: str = ""
    _hold: asyncio.TimerHandle | None = None
    # The lines of the last frame, the screen they are of, and the rows that were changed since, from 1 on.
    _lines: tuple[str, ...] = ()
    _screen: object = None
    _changed_rows: frozenset[int] = frozenset()

    def write(self, data: str) -> None:
        """Writes at once, or a little later what belongs to a frame."""
        if self._hold is None and len(data) < _FRAME_CHARACTERS:
            self._write_changes(data)
            return
        if self._is_whole(data):
            self._frame, self._changes = data, ""
        else:
            self._changes += data
        if self._hold is None:
            try:
                self._hold = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._release)
            except RuntimeError:
                # The loop is over: nothing comes that could paint over this.
                self._release()

    def stop_application_mode(self) -> None:
        self._release()
        self._lines = ()
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        """Reads keys until the application ends or the terminal hangs up."""
        parser = XTermParser(self._debug)
        decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        while not self.exit_event.is_set():
            if select.select([self.fileno], [], [], 0.05)[0]:
                try:
                    received = os.read(self.fileno, 4096)
                except OSError:
                    received = b""
                if not received:
                    self._app.call_later(self._app.exit, Cancelled.exit_code)
                    return
                # Nothing is left of noise, and "" would tell the parser that no more comes.
                if text := decoder.decode(received):
                    for message in parser.feed(text):
                        self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
        with contextlib.suppress(EOFError, ParseError):
            list(parser.feed(""))

    def _release(self) -> None:
        if self._hold is not None:
            self._hold.cancel()
        frame, changes = self._frame, self._changes
        self._frame, self._changes, self._hold = "", "", None
        if frame:
            self._write_frame(frame)
        if changes:
            self._write_changes(changes)

    def _write_changes(self, data: str) -> None:
        if "\x1b[2J" in data:
            self._lines = ()
        self._changed_rows |= {int(row) for row in _ROW.findall(data)}
        super().write(data)

    def _write_frame(self, frame: str) -> None:
        """Writes the lines that are not there yet, or all of them to an empty screen."""
        found = _CURSOR.search(frame)
        body, cursor = (frame[: found.start()], found[0]) if found else (frame, "")
        lines = tuple(body.split("\n"))
        screen = self._app.screen_stack[-1] if self._app.screen_stack else None
        same = [line == before for line, before in zip(lines, self._lines, strict=False)]
        if len(lines) != len(self._lines) or (screen is not self._screen and 2 * sum(same) < len(lines)):
            text = _CLEAR + _BLANKS.sub(lambda blanks: f"\x1b[{len(blanks[1])}C", "\n".join(lines))
        else:
            new = [line for row, line in enumerate(lines, 1) if not same[row - 1] or row in self._changed_rows]
            text = "\n".join(_LAST_BLANKS.sub("\x1b[K", line) for line in new)
        self._lines, self._screen, self._changed_rows = lines, screen, frozenset()
        super().write(text + cursor)

    def _is_whole(self, data: str) -> bool:
        """Whether it paints every line, from the first on."""
        return data.startswith("\x1b[1;1H") and data.count("\n") >= self._app.size.height - 1
