"""Reads virt-v2v's output as it grows: lines with their kind, phases, the copy's percentage, the final error.

The log holds what virt-v2v and its helpers print on both streams. A line that is not understood is still a line.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from p2v_tui.session.events import OutputKind, PhaseStarted, RemoteOutput
from p2v_tui.session.terminal_text import harmless, plain

# virt-v2v's own messages; kernel messages of the appliance have six decimals.
_PHASE = re.compile(r"^\[ *(\d+\.\d)\] (.+)$")
_COPYING = re.compile(r"^Copying disk (\d{1,4})/\d")
_WARNING = re.compile(r"^\S+: warning: ")
# Of virt-v2v and the programs that it copies with. The appliance's daemon and its commands say "error" in the
# debugging output all the time and mean nothing by it.
_ERROR = re.compile(r"^(?:virt-v2v|nbdcopy|nbdkit|qemu-img)(?:: \S+)?: (?:fatal )?error: ")
# nbdcopy: "42% [***---]" on stderr after a carriage return; qemu-img (virt-v2v 1.x): "(42.10/100%)".
_PERCENT = re.compile(r"(?:(\d{1,3})% \[[*-]+\]|\((\d{1,3})\.\d+/100%\))")
# What cannot be the continuation of an error message.
_NOT_THE_ERROR = re.compile(
    r"^(If reporting bugs|rm -rf |libguestfs: |nbdkit: |nbdcopy: |guestfsd: |\[|\+ |commandrvf)"
)
_PIECE = re.compile(r"\n|\r|[^\r\n]+")
MAX_LINE = 16 * 1024
MAX_ERROR_LINES = 12


@dataclass(frozen=True)
class CopyPercent:
    """disk: counted from 0. percent: of its copy."""

    disk: int
    percent: int


LogEvent = RemoteOutput | PhaseStarted | CopyPercent


class ConversionLog:
    """Fed with the log's bytes in pieces of any size; each returns what they complete.

    debug: virt-v2v was asked for debugging, so that lines without a mark are its noise.
    """

    def __init__(self, *, debug: bool) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        # The line so far, since its last carriage return: _returned, when nothing has followed that one yet;
        # _overwritten, when there was one.
        self._rest = ""
        self._returned = False
        self._overwritten = False
        self._last_percent: CopyPercent | None = None
        self._other = OutputKind.DEBUG if debug else OutputKind.MESSAGE
        self._disk: int | None = None
        self._error: list[str] = []
        self._in_error = False
        self.warnings: list[str] = []

    def feed(self, data: bytes, *, final: bool = False) -> list[LogEvent]:
        """final: nothing follows, so that an unfinished last line counts."""
        events: list[LogEvent] = []
        for piece in _PIECE.findall(self._decode(data, final)):
            if piece == "\n":
                events += self._end_line()
            elif piece == "\r":
                self._returned = self._overwritten = True
            else:
                events += self._extend_line(piece)
        # nbdcopy's bar never ends its line until 100 %.
        events += self._percents(self._rest)
        if final and self._rest:
            events += self._end_line()
        return events

    @property
    def error(self) -> str:
        """The last error message, on one line; empty where there was none."""
        return " ".join(" ".join(self._error).split())

    def _extend_line(self, text: str) -> list[LogEvent]:
        events: list[LogEvent] = []
        if self._returned:
            # A carriage return goes back to the line's start: what stands last is what a terminal would show. One
            # before a newline takes nothing away: the appliance's console ends its lines with both.
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
        found = list(_PERCENT.finditer(text))
        if not found or self._disk is None:
            return []
        percent = CopyPercent(self._disk, min(100, int(found[-1][1] or found[-1][2])))
        if percent == self._last_percent:
            return []
        self._last_percent = percent
        return [percent]

    def _line(self, shown: str) -> list[LogEvent]:
        text = plain(shown)
        if _PERCENT.search(text):
            return []
        phase = _PHASE.match(text)
        events: list[LogEvent] = [RemoteOutput(harmless(shown), self._kind(text, phase is not None))]
        if phase:
            events.append(PhaseStarted(phase[2], float(phase[1])))
            if copying := _COPYING.match(phase[2]):
                self._disk = int(copying[1]) - 1
        return events

    def _kind(self, text: str, is_phase: bool) -> OutputKind:
        if _ERROR.match(text):
            self._error = [_ERROR.sub("", text)]
            self._in_error = True
            return OutputKind.ERROR
        if is_phase or _NOT_THE_ERROR.match(text) or len(self._error) >= MAX_ERROR_LINES:
            self._in_error = False
        if self._in_error:
            self._error.append(text)
            return OutputKind.ERROR
        if is_phase:
            return OutputKind.PHASE
        if _WARNING.match(text):
            self.warnings.append(_WARNING.sub("", text))
            return OutputKind.WARNING
        return self._other
