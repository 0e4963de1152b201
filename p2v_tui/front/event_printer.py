"""What the printers of events share: which events are worth printing, the pace, and how a line is written."""

from __future__ import annotations

import abc
import contextlib
import os
import time
from collections.abc import Callable
from typing import ClassVar, TextIO

from p2v_tui.errors import ConversionFailed, P2VError
from p2v_tui.front.pace import Pace, Paces, Timing, first, heard, pace_of
from p2v_tui.session.words.checks import Check
from p2v_tui.session.words.events import Checked, Event, OutputKind, PhaseStarted, RemoteOutput


class EventPrinter(abc.ABC):
    """Prints events to a stream as they come.

    out: flushed after every line. verbose: also virt-v2v's debugging output. clock: seconds, monotonic.
    """

    # The file descriptor that the operator's own commands write to: beside the events, if these are lines of text.
    command_output: ClassVar[int | None] = None

    def __init__(self, out: TextIO, *, verbose: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._verbose = verbose
        self._clock = clock
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
            case RemoteOutput(kind=OutputKind.DEBUG) if not self._verbose:
                return
            case Checked(check):
                if check in self._checks:
                    # The checks are made again after a lost connection.
                    return
                self._checks.append(check)
            case PhaseStarted(name):
                self._phase = name
        self._print(event)

    @abc.abstractmethod
    def text(self, text: str) -> None:
        """Prints lines as they are, such as a file's content."""

    @abc.abstractmethod
    def verdict(self, text: str, *, good: bool) -> None:
        """Prints the verdict of a dry run."""

    @abc.abstractmethod
    def error(self, error: P2VError) -> None:
        """Prints what failed, in which of virt-v2v's phases, and what to do."""

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

    @abc.abstractmethod
    def _print(self, event: Event) -> None: ...

    @property
    def _pace(self) -> Pace | None:
        """None before a conversion begins."""
        return None if self._timing is None else pace_of(self._timing, self._paces, self._clock())

    def _failed_phase(self, error: P2VError) -> str:
        """Empty if virt-v2v did not fail."""
        return self._phase if isinstance(error, ConversionFailed) else ""

    def _line(self, text: str) -> None:
        # A console that has hung up, is full or lacks a character must not end a conversion.
        encoding = self._out.encoding or "utf-8"
        with contextlib.suppress(OSError):
            print(text.encode(encoding, "replace").decode(encoding), file=self._out, flush=True)
