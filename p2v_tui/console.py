"""Shows a session's events as lines of text, so that a serial console, a log file and a pipe read the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, TextIO

from p2v_tui.errors import P2VError
from p2v_tui.front.event_printer import EventPrinter
from p2v_tui.front.event_text import (
    NEVER_BOTH,
    Said,
    Tone,
    error_lines,
    finished_text,
    lines_of,
    loss_lines,
    made_text,
)
from p2v_tui.front.pace_words import quiet_line
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.words.events import (
    Converted,
    DiskProgress,
    Event,
    PhaseStarted,
    Progress,
    RemoteOutput,
)
from p2v_tui.session.words.quantities import duration_text, size_text
from p2v_tui.session.words.terminal_text import plain

# Seconds between lines of progress: a serial console must stay readable, but must not look dead.
COPY_LINE_INTERVAL: Final = 10.0
QUIET_LINE_INTERVAL: Final = 60.0

_GREEN, _RED, _MAGENTA, _YELLOW, _RESET = (f"\x1b[{code}m" for code in ("32", "1;31", "35", "33", "0"))
_COLOURS: Final = {Tone.PLAIN: _MAGENTA, Tone.GOOD: _GREEN, Tone.WARNING: _YELLOW, Tone.BAD: _RED}


class Console(EventPrinter):
    """Prints events as lines, each with the program's name except virt-v2v's own."""

    def __init__(
        self, out: TextIO, *, colours: bool, verbose: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(out, verbose=verbose, clock=clock)
        self._colours = colours or out.isatty()
        self._last_progress = clock()
        self._last_shown: list[tuple[int, int]] = []

    def text(self, text: str) -> None:
        self._line(text)

    def verdict(self, text: str, *, good: bool) -> None:
        self._say(text, _GREEN if good else _RED)

    def error(self, error: P2VError) -> None:
        """Does not repeat the text of a check that was printed."""
        self._say_all(error_lines(error, self._checks, self._failed_phase(error)))

    def _print(self, event: Event) -> None:
        match event:
            case RemoteOutput(text):
                # virt-v2v repeats its arguments.
                said = without_secrets(text)
                self._line(_closed(said) if self._colours else plain(said))
            case PhaseStarted():
                # virt-v2v's own line says it.
                self._last_progress = self._clock()
            case Progress(disks):
                self._progress(disks)
            case Converted():
                self._converted(event)
            case _:
                self._say_all(lines_of(event))

    def _converted(self, outcome: Converted) -> None:
        self._say(finished_text(outcome), _GREEN)
        self._say(made_text(outcome), _GREEN)
        for line in loss_lines(outcome):
            self._say(line, _YELLOW)
        for line in outcome.next_steps:
            self._say(line, _GREEN)
        self._say(NEVER_BOTH, _GREEN)

    def _progress(self, disks: tuple[DiskProgress, ...]) -> None:
        shown = [(disk.percent, disk.served) for disk in disks if disk.percent is not None]
        copying = shown != self._last_shown
        waited = self._clock() - self._last_progress
        if waited < COPY_LINE_INTERVAL or (waited < QUIET_LINE_INTERVAL and not copying):
            return
        self._last_progress = self._clock()
        self._last_shown = shown
        if (pace := self._pace) is not None and (not copying or waited >= QUIET_LINE_INTERVAL):
            self._say(quiet_line(pace), _MAGENTA)
        for disk in disks:
            self._say(_progress_line(disk), _MAGENTA)

    def _say_all(self, lines: Iterable[Said]) -> None:
        for line in lines:
            self._say(line.text, _COLOURS[line.tone])

    def _say(self, text: str, colour: str) -> None:
        line = f"p2v-tui: {plain(text)}"
        self._line(f"{colour}{line}{_RESET}" if self._colours else line)


def _closed(text: str) -> str:
    """The text with its last colour ended, so that it does not run into the next line."""
    return text if "\x1b" not in text or text.endswith(_RESET) else text + _RESET


def _progress_line(disk: DiskProgress) -> str:
    done = f"{size_text(disk.served)} read"
    if disk.percent is not None and disk.copied is not None:
        done = f"{disk.percent}% copied, {size_text(disk.copied)} of {size_text(disk.size)}"
    parts = [done, f"{size_text(disk.rate)}/s"]
    if disk.percent != 100 and disk.seconds_left is not None:
        parts.append(f"about {duration_text(disk.seconds_left)} left")
    return f"{disk.name}: {', '.join(parts)}"
