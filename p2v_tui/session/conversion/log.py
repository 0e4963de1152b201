"""Reads virt-v2v's growing output: lines with their kind, phases, the copy's percentage, and what it proves.

The log contains what virt-v2v and its helpers print on both streams. Unknown lines are passed on, too. Memory use is
bounded, however long the log gets.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from typing import Final

from p2v_tui.session.conversion.failure_reason import Reason, ReasonFinder
from p2v_tui.session.words.events import OutputKind, PhaseStarted, RemoteOutput
from p2v_tui.session.words.terminal_text import harmless, plain

# virt-v2v's own messages; kernel messages of the appliance have six decimals.
_PHASE = re.compile(r"\[ *(\d{1,9}\.\d)\] (.+)$")
_COPYING = re.compile(r"Copying disk (\d{1,4})/(\d{1,4})(?!\d)")
_LAST_PHASE = "Finishing off"
# The first phases of every virt-v2v that speaks English.
_FIRST_PHASES = ("Setting up the source", "Opening the source")
_WARNING = re.compile(r"\S+: warning: ")
_OWN_WARNING = re.compile(r"virt-v2v: warning: ")
# The beginning of another message, which cannot belong to a warning.
_ANOTHER: Final = re.compile(r"(?:virt-v2v|nbdkit|nbdcopy|qemu-\S+|libguestfs|error): ")
_BLUE: Final = "\x1b[1;34m"
_RESET: Final = "\x1b[0m"
# nbdcopy: "42% [***---]" on stderr after a carriage return; qemu-img (virt-v2v 1.x): "(42.10/100%)".
_PERCENT = re.compile(r"(?:(\d{1,3})% \[[*-]+\]|\((\d{1,3})\.\d+/100%\))")
_PIECE = re.compile(r"\n|\r|[^\r\n]+")
MAX_LINE = 16 * 1024
MAX_WARNINGS: Final = 100
_MAX_WARNING: Final = 500
_MAX_WARNING_LINES: Final = 6
# More than any guest has.
_MAX_DISKS: Final = 1000


@dataclass(frozen=True)
class Warnings:
    """virt-v2v's own. first: the first ones, each on one line. count: of all."""

    first: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Copies:
    """What the log says about the copy. begun: the disks whose copy began, counted from 0. total: virt-v2v's number
    of disks, None before the first. finished: the last phase was reached. understood: the log's language is known; if
    not, the log proves and disproves nothing.
    """

    begun: frozenset[int] = frozenset()
    total: int | None = None
    finished: bool = False
    understood: bool = True


@dataclass(frozen=True)
class CopyPercent:
    """disk: counted from 0. percent: of its copy."""

    disk: int
    percent: int


LogEvent = RemoteOutput | PhaseStarted | CopyPercent


class ConversionLog:
    """Fed with the log's bytes in pieces of any size; returns the events that each piece completes.

    debug: virt-v2v was asked for debugging, so unmarked lines are noise.
    """

    def __init__(self, *, debug: bool) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        # The line so far, since its last carriage return. _returned: nothing has followed that yet. _overwritten: it
        # had one.
        self._rest = ""
        self._returned = False
        self._overwritten = False
        self._last_percent: CopyPercent | None = None
        self._other = OutputKind.DEBUG if debug else OutputKind.MESSAGE
        self._disk: int | None = None
        self._reason = ReasonFinder(debug=debug)
        self._warnings: list[str] = []
        self._warning_count = 0
        # Lines that may still belong to the last warning, and whether it ends with its colour.
        self._warning_left = 0
        self._warning_in_colour = False
        self._phases = 0
        self.copies = Copies()

    def feed(self, data: bytes, *, final: bool = False) -> list[LogEvent]:
        """final: nothing follows, so an unfinished last line counts."""
        events: list[LogEvent] = []
        for piece in _PIECE.findall(self._decode(data, final)):
            if piece == "\n":
                events += self._end_line()
            elif piece == "\r":
                self._returned = self._overwritten = True
            else:
                events += self._extend_line(piece)
        # nbdcopy's bar has no line end until 100 %.
        events += self._percents(self._rest)
        if final and self._rest:
            events += self._end_line()
        return events

    @property
    def reason(self) -> Reason:
        """Why virt-v2v failed, if it did."""
        return self._reason.reason

    @property
    def causes(self) -> tuple[str, ...]:
        """The errors of other programs, whether virt-v2v failed or not."""
        return self._reason.causes

    @property
    def warnings(self) -> Warnings:
        first = tuple(" ".join(warning.split())[:_MAX_WARNING] for warning in self._warnings)
        return Warnings(first, self._warning_count)

    def _extend_line(self, text: str) -> list[LogEvent]:
        events: list[LogEvent] = []
        if self._returned:
            # A carriage return goes back to the line's start: the last text is what a terminal would show. One before
            # a newline erases nothing: the appliance's console ends its lines with both.
            events += self._percents(self._rest)
            self._rest = ""
            self._returned = False
        self._rest += text
        while len(self._rest) > MAX_LINE:
            events += self._line(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        return events

    def _end_line(self) -> list[LogEvent]:
        events = self._percents(self._rest)
        if plain(self._rest).strip() or not self._overwritten:
            events += self._line(self._rest)
        self._rest = ""
        self._returned = self._overwritten = False
        return events

    def _percents(self, text: str) -> list[LogEvent]:
        found = list(_PERCENT.finditer(text)) if self._disk is not None and "%" in text else []
        if not found or self._disk is None:
            return []
        percent = CopyPercent(self._disk, min(100, int(found[-1][1] or found[-1][2])))
        if percent == self._last_percent:
            return []
        self._last_percent = percent
        return [percent]

    def _line(self, shown: str) -> list[LogEvent]:
        text = plain(shown)
        if "%" in text and (bar := _PERCENT.search(shown)):
            # The bar has no line end, so the next output of another program follows on the same line.
            after = shown[bar.end() :]
            return self._line(after) if plain(after).strip() else []
        phase = _PHASE.match(text) if text.startswith("[") else None
        if phase is None:
            return [RemoteOutput(text if text == shown else harmless(shown), self._kind(text, shown))]
        self._warning_left = 0
        self._reason.phase()
        self._note_phase(phase[2])
        return [RemoteOutput(harmless(shown), OutputKind.PHASE), PhaseStarted(phase[2], float(phase[1]))]

    def _note_phase(self, name: str) -> None:
        copies = self.copies
        if self._phases == 0:
            copies = replace(copies, understood=name.startswith(_FIRST_PHASES))
        self._phases += 1
        if copying := _COPYING.match(name):
            self._disk = int(copying[1]) - 1
            begun = copies.begun | {self._disk} if len(copies.begun) < _MAX_DISKS else copies.begun
            copies = replace(copies, begun=begun, total=int(copying[2]))
        self.copies = replace(copies, finished=copies.finished or name.startswith(_LAST_PHASE))

    def _kind(self, text: str, shown: str) -> OutputKind:
        if self._warning_goes_on(text, shown):
            self._warnings[-1] += f" {text}"
            return OutputKind.WARNING
        if (": warning: " in text and _WARNING.match(text)) or (
            shown.startswith(_BLUE) and text.startswith("virt-v2v: ")
        ):
            self._note_warning(text, shown)
            return OutputKind.WARNING
        return OutputKind.ERROR if self._reason.line(text, shown) else self._other

    def _note_warning(self, text: str, shown: str) -> None:
        if not text.startswith("virt-v2v: "):
            return
        self._warning_count += 1
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(_OWN_WARNING.sub("", text))
            # A coloured warning lasts until the colour is reset; otherwise a line that virt-v2v has wrapped ends with
            # a space.
            self._warning_in_colour = shown.startswith("\x1b")
            goes_on = _RESET not in shown if self._warning_in_colour else text.endswith(" ")
            self._warning_left = _MAX_WARNING_LINES if goes_on else 0

    def _warning_goes_on(self, text: str, shown: str) -> bool:
        if self._warning_left == 0:
            return False
        if self._warning_in_colour:
            over = _RESET in shown
        elif _ANOTHER.match(text):
            self._warning_left = 0
            return False
        else:
            over = not text.endswith(" ")
        self._warning_left = 0 if over else self._warning_left - 1
        return bool(text.strip())
