"""Finds out from the lines of the log, as they come, why virt-v2v failed.

virt-v2v's first own error is the reason. If it only points at earlier output of other programs, their lines are
added; what comes after it is noise of programs that lose each other. In a log without an error of virt-v2v (sudo's
refusal, an exception, a wrong option) the last lines tell the reason. Memory use is bounded.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

# How virt-v2v's own errors begin.
_OWN: Final = re.compile(r"virt-v2v: (?:fatal )?error: ")
_RED: Final = "\x1b[1;31m"
# In virt-v2v's error(): "see earlier error messages", "nbdcopy command failed", "There may be errors printed by
# nbdkit above", "subprocess exited with non-zero error code 1", "See previous messages for problems", and so on.
_POINTS_ELSEWHERE: Final = re.compile(
    r"\b(?:earlier|previous) (?:error|message)|\bsee (?:the )?(?:above|earlier|previous)"
    r"|\b(?:messages?|errors?|printed)[^.]* above\b|\bcommand failed|\bexited with"
    r"|\b(?:exit|exited|return) (?:code|status)"
    r"|did not start up|not installed or not working|guestfs_launch failed|appliance (?:failed|closed)",
    re.IGNORECASE,
)
# Errors of the programs that copy.
_COPIER: Final = re.compile(
    r"nbdkit: (?!.*\bdebug: ).*\berror: |nbd(?:copy|info): (?!debug)|qemu-(?:img|nbd|kvm|system-\S+): "
)
# Errors of virt-v2v's other programs. In debugging output they print "error" all the time without meaning it.
_OTHER: Final = re.compile(
    r"libguestfs: error: |libvirt: .*\berror ?: |supermin: (?:.*error|failed)|mount(?:\.\S+)?: |ssh(?:fs)?: |scp: "
    r"|curl: |cp: |error: "
)
_LOUD: Final = re.compile(r"(?:nbdcopy|nbdkit|qemu-img)(?:: \S+)?: (?:fatal )?error: ")
# What programs say when another one ends, or about a failure that another one has named already.
_CONSEQUENCE: Final = re.compile(
    r"Broken pipe|Bad message|Connection reset|write (?:error )?reply|Transport endpoint|Shutting down"
    r"|Exiting on signal|unexpected(?:ly)? (?:EOF|end|closed|disconnect)|server is shutting down"
)
# virt-v2v -v -x, libguestfs, the appliance's kernel and daemon: never the reason.
_NOISE: Final = re.compile(
    r"libguestfs: (?!error)|guestfsd: |nbdkit: (?:\S+: )?debug: |libnbd: debug: |nbdcopy: debug|supermin: (?!failed)"
    r"|\[ *\d+\.\d{4,}\]|\+|command(?:rvf?)?: |running |rm -rf |info: |check_host_free_space|If reporting bugs"
    r"|\s*virt-v2v -v -x |(?:Raised|Re-raised|Called) (?:at|from|by)\b|Try .{0,3}virt-v2v"
    r"|\s*$"
)
# The bulk of a log of -v -x, recognized without a search.
_MOST_NOISE: Final = ("libguestfs: trace: ", "guestfsd: ", "commandrvf: ", "nbdkit: debug: ")
_ADVICE: Final = re.compile(r"If reporting bugs|rm -rf |\[|\+ |command(?:rvf?)?: ")
_EXCEPTION: Final = re.compile(r"Fatal error: |Uncaught exception|Stack overflow|Out of memory|fatal error: ")
_TRACEBACK: Final = "Traceback (most recent call last):"
# The last line of a traceback: the exception's name, barely indented. The lines before it are indented more.
_RAISED: Final = re.compile(r" {0,2}(?!File )[A-Za-z_][\w.]*(?::|$)")
# Numbers may differ between two lines that mean the same.
_NUMBERS: Final = re.compile(r"[.\[]?\d+\]?")
MAX_ERROR_LINES: Final = 12
_MAX_HELPERS: Final = 40
_SHOWN: Final = 3
_MAX_TEXT: Final = 1000


@dataclass(frozen=True)
class Reason:
    """error: virt-v2v's own first error, on one line; empty without one.

    lines: of the log, before an error that points at them; without an error the last ones.
    """

    error: str = ""
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """On one line, without a full stop at its end; empty if unknown."""
        lines = "; ".join(self.lines)
        # Without an error the line may be virt-v2v's own.
        parts = [part for part in (self.error.rstrip(".:"), lines.removeprefix("virt-v2v: ")) if part]
        return ": ".join(parts)[:_MAX_TEXT].rstrip(". ")


@dataclass
class _Phase:
    """The output since a phase began. helpers: the first errors of other programs. last: the last lines."""

    helpers: list[str] = field(default_factory=list)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    exception: str = ""

    def causes(self) -> list[str]:
        return [line for line in self.helpers if not _CONSEQUENCE.search(line)]


class ReasonFinder:
    """Takes every line of the log once. debug: virt-v2v -v -x wrote it."""

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug
        self._error: list[str] = []
        self._in_error = False
        self._translated = False
        self._in_traceback = False
        self._now = _Phase()
        self._earlier: list[str] = []

    def phase(self) -> None:
        """virt-v2v starts its next phase."""
        self._in_error = self._in_traceback = False
        if not self._error:
            self._earlier = (self._earlier + self._now.causes())[-_SHOWN:]
            self._now = _Phase()

    def line(self, text: str, shown: str) -> bool:
        """Whether the line is part of virt-v2v's error, or an error of a copying program.

        text: without colours. shown: with them; virt-v2v's errors are red in every language.
        """
        if self._debug and text.startswith(_MOST_NOISE) and not self._in_traceback:
            self._in_error = False
            return False
        if self._belongs_to_error(text, shown):
            return True
        if not self._error:
            self._keep(text, helper=self._ends_traceback(text) or self._is_helper(text))
        return _LOUD.match(text) is not None

    @property
    def reason(self) -> Reason:
        error = " ".join(" ".join(self._error).split())
        if not error:
            return Reason("", self._without_error())
        if not _POINTS_ELSEWHERE.search(error):
            return Reason(error)
        last = [line for line in self._now.last if not line.startswith("virt-v2v: ")]
        lines = self._now.causes() or last or self._earlier or self._now.helpers
        return Reason(error, _distinct(line for line in lines if not _repeats(error, line)))

    @property
    def causes(self) -> tuple[str, ...]:
        """The errors of other programs, without mere consequences."""
        return _distinct([*self._earlier, *self._now.causes()])

    def _is_helper(self, text: str) -> bool:
        if _TRACEBACK in text:
            return False
        return _COPIER.match(text) is not None or (not self._debug and _OTHER.match(text) is not None)

    def _belongs_to_error(self, text: str, shown: str) -> bool:
        is_own = text.startswith("virt-v2v: ")
        own = _OWN.match(text) if is_own else None
        translated = is_own and own is None and shown.startswith(_RED)
        if own or translated:
            # The first error is the reason; later ones are only shown.
            self._in_error = not self._error
            self._translated = translated
            if self._in_error:
                self._error = [text[own.end() :] if own else text.removeprefix("virt-v2v: ")]
            return True
        if not self._in_error:
            return False
        if (
            _ADVICE.match(text)
            or (_NOISE.match(text) and text.strip())
            or self._is_helper(text)
            or len(self._error) >= MAX_ERROR_LINES
            or (self._translated and not text.strip())
        ):
            self._in_error = False
            return False
        self._error.append(text)
        return True

    def _ends_traceback(self, text: str) -> bool:
        if _TRACEBACK in text:
            self._in_traceback = True
            return False
        if not self._in_traceback or not _RAISED.match(text):
            return False
        self._in_traceback = False
        return True

    def _keep(self, text: str, *, helper: bool) -> None:
        if helper and len(self._now.helpers) < _MAX_HELPERS:
            self._now.helpers.append(text.strip()[:_MAX_TEXT])
        if _EXCEPTION.match(text):
            self._now.exception = text.strip()[:_MAX_TEXT]
        elif not self._in_traceback and not _NOISE.match(text):
            self._now.last.append(text.strip()[:_MAX_TEXT])

    def _without_error(self) -> tuple[str, ...]:
        now = self._now
        if now.exception:
            return _distinct([now.exception, *now.causes()])
        telling = [line for line in now.last if not _CONSEQUENCE.search(line)]
        return _distinct([*now.causes()[: _SHOWN - 1], *telling] or now.last)


def _repeats(error: str, line: str) -> bool:
    """Whether the error repeats the line's words, as when virt-v2v passes on libguestfs's error."""
    return " ".join(line.removeprefix("libguestfs: error: ").split()).rstrip(".") in error


def _distinct(lines: Iterable[str]) -> tuple[str, ...]:
    """The first lines, without those that differ from another one only in numbers."""
    found: dict[str, str] = {}
    for line in lines:
        found.setdefault(_NUMBERS.sub("", line), line)
    return tuple(found.values())[:_SHOWN]
