"""Shows a session's events as lines of text, so that a serial console, a log file and a pipe read the same."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from typing import Final, TextIO

from p2v_tui.errors import ConversionFailed, P2VError
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
from p2v_tui.front.pace import Paces, Timing, first, heard, pace_of
from p2v_tui.front.pace_words import quiet_line
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.words.checks import Check
from p2v_tui.session.words.events import (
    Checked,
    Converted,
    DiskProgress,
    Event,
    OutputKind,
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


class Console:
    """Prints events as lines, each with the program's name except virt-v2v's own.

    verbose: also virt-v2v's debugging output.

    out: flushed after every line. clock: seconds, monotonic.
    """

    def __init__(
        self, out: TextIO, *, colours: bool, verbose: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._colours = colours or out.isatty()
        self._verbose = verbose
        self._clock = clock
        self._last_progress = clock()
        self._last_shown: list[tuple[int, int]] = []
        self._checks: list[Check] = []
        self._phase = ""
        self._timing: Timing | None = None
        self._paces = Paces()

    def expect(self, paces: Paces) -> None:
        """A conversion begins now. paces: what earlier ones took."""
        self._timing, self._paces = first(self._clock()), paces

    def show(self, event: Event) -> None:
        if self._timing is not None:
            self._timing = heard(self._timing, event, self._clock())
        match event:
            case RemoteOutput(text, kind):
                if kind is not OutputKind.DEBUG or self._verbose:
                    # virt-v2v repeats its arguments.
                    said = without_secrets(text)
                    self._line(_closed(said) if self._colours else plain(said))
            case PhaseStarted(name):
                # virt-v2v's own line says it.
                self._last_progress = self._clock()
                self._phase = name
            case Progress(disks):
                self._progress(disks)
            case Converted():
                self._converted(event)
            case Checked(check) if check in self._checks:
                # The checks are made again after a lost connection.
                pass
            case _:
                if isinstance(event, Checked):
                    self._checks.append(event.check)
                self._say_all(lines_of(event))

    def text(self, text: str) -> None:
        """Prints lines as they are, such as a file's content."""
        self._line(text)

    def verdict(self, text: str, *, good: bool) -> None:
        """Prints the verdict of a dry run."""
        self._say(text, _GREEN if good else _RED)

    def error(self, error: P2VError) -> None:
        """Prints what failed, in which of virt-v2v's phases, and what to do, without repeating a check's text."""
        phase = self._phase if isinstance(error, ConversionFailed) else ""
        self._say_all(error_lines(error, self._checks, phase))

    def give_up_unwritten(self) -> None:
        """Drops what a console that has gone never took; call it last.

        Python keeps such text, tries again when it exits, and would then end with 120 instead of our exit code.
        """
        try:
            self._out.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._out.fileno())
            os.close(nowhere)

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
        if self._timing is not None and (not copying or waited >= QUIET_LINE_INTERVAL):
            self._say(quiet_line(pace_of(self._timing, self._paces, self._clock())), _MAGENTA)
        for disk in disks:
            self._say(_progress_line(disk), _MAGENTA)

    def _say_all(self, lines: Iterable[Said]) -> None:
        for line in lines:
            self._say(line.text, _COLOURS[line.tone])

    def _say(self, text: str, colour: str) -> None:
        line = f"p2v-tui: {plain(text)}"
        self._line(f"{colour}{line}{_RESET}" if self._colours else line)

    def _line(self, text: str) -> None:
        # A console that has hung up, is full or lacks a character must not end a conversion.
        encoding = self._out.encoding or "utf-8"
        with contextlib.suppress(OSError):
            print(text.encode(encoding, "replace").decode(encoding), file=self._out, flush=True)


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
