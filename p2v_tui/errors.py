"""The project's exceptions: what happened, what the operator can do about it, and the exit code.

Every failure that an operator can meet is one of these. A front end shows `title`, `message` and `advice`; the exit
code follows from the class. What the program decides by is typed: `setting` is the field to correct, `retry` says
whether a retry may help. The cause is chained (`raise ... from cause`), never hidden in the text.
"""

from __future__ import annotations

import enum
import errno
import os
import traceback
from typing import ClassVar, Final

from p2v_tui.setting_names import SettingName

# A full file system or quota.
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


class Retry(enum.Enum):
    """Whether a retry may succeed without anybody's intervention. NEVER: not until somebody has changed something.
    AFTER_LOGIN: only if the same login has worked before: the server's directory service may be down. LATER: an
    outage passes. SOON: the server dropped one try of many.
    """

    NEVER = enum.auto()
    AFTER_LOGIN = enum.auto()
    LATER = enum.auto()
    SOON = enum.auto()


class P2VError(Exception):
    """A failure that the operator is told about.

    message: what happened, one or more sentences that name the input or the machine concerned.
    advice: what to do next; empty only if nothing can be done. setting: the one to correct, if the failure is about
    one.
    """

    title: ClassVar[str] = "p2v-tui failed"
    exit_code: ClassVar[int] = 1
    retry: Retry = Retry.NEVER

    def __init__(self, message: str, advice: str = "", *, setting: SettingName | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.setting = setting

    @property
    def headline(self) -> str:
        """What kind of failure it is, and what happened."""
        return f"{self.title}: {self.message}"

    def __str__(self) -> str:
        return f"{self.message}\n{self.advice}" if self.advice else self.message


class SettingsError(P2VError):
    """A setting cannot be used: its syntax, its value, or what it names does not exist on this machine."""

    title = "Wrong settings"
    exit_code = 2


class ConnectionFailed(P2VError):
    """The conversion server cannot be reached, is not the one expected, or does not let us in."""

    title = "No connection to the conversion server"
    exit_code = 3
    retry = Retry.LATER


class ConnectionDropped(ConnectionFailed):
    """The server closed the connection before the login: it is too busy, or blocks this machine."""

    retry = Retry.SOON


class NothingInCommon(ConnectionFailed):
    """ssh and sshd have no algorithm of some kind in common."""


class LoginRefused(ConnectionFailed):
    """The server does not let us in, or gives us no shell; or we have nothing to log in with."""

    title = "Login refused"
    retry = Retry.AFTER_LOGIN


class WrongHostKey(ConnectionFailed):
    """The server's host key is not the accepted one."""

    retry = Retry.NEVER


class ConnectionGivenUp(ConnectionFailed):
    """It was retried for as long as the settings say."""

    retry = Retry.NEVER


class PreflightRefused(P2VError):
    """Both ends can be reached, but something that the conversion needs is missing or forbidden."""

    title = "The conversion cannot start"
    exit_code = 4


class ConversionFailed(P2VError):
    """The conversion started and did not succeed."""

    title = "The conversion failed"
    exit_code = 5


class CommandFailed(P2VError):
    """The operator's own command, p2v.pre or p2v.post, failed; the conversion may have succeeded."""

    title = "A command failed"
    exit_code = 7


class Cancelled(P2VError):
    """The operator stopped it."""

    title = "Cancelled"
    exit_code = 6

    def __init__(self, message: str = "Cancelled by the operator.", advice: str = "") -> None:
        super().__init__(message, advice)

    @property
    def headline(self) -> str:
        return "Cancelled."


class Detached(P2VError):
    """This program was told to end, but not the conversion, which waits on the server for us to come back."""

    title = "The conversion waits"
    exit_code = 8

    def __init__(self, message: str = "p2v-tui was told to end.", advice: str = "") -> None:
        super().__init__(message, advice)


class LocalFailure(P2VError):
    """This machine's system refused something that p2v-tui needs: space, memory, a file."""


class InternalError(P2VError):
    """A bug of p2v-tui. trace: where it happened, line by line."""

    def __init__(self, message: str, advice: str = "", *, trace: tuple[str, ...] = ()) -> None:
        super().__init__(message, advice)
        self.trace = trace


def as_failure(error: BaseException) -> P2VError:
    """Turns any exception into a failure to show to the operator; a P2VError stays as it is."""
    if isinstance(error, P2VError):
        return error
    if isinstance(error, OSError):
        return _system_failure(error)
    if isinstance(error, MemoryError):
        return LocalFailure("This machine has no memory left.", "End other programs here, then try again.")
    place = next((f" ({frame.filename.rpartition('/')[2]}, line {frame.lineno})" for frame in _frames(error)), "")
    return InternalError(
        f"p2v-tui met an unexpected error: {type(error).__name__}: {error}{place}.",
        "Try again. If it happens again, report it with these words.",
        trace=tuple("".join(traceback.format_exception(error)).splitlines()),
    )


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """From where it was raised up to where it was caught."""
    return list(reversed(traceback.extract_tb(error.__traceback__)))


def _system_failure(error: OSError) -> LocalFailure:
    why = error.strerror or str(error) or type(error).__name__
    where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    if error.errno in _FULL:
        return LocalFailure(
            f"This machine has no room left to write{where} ({why}).",
            "Make room: `df -h` in the shell shows what is full, often /tmp. Then try again.",
        )
    return LocalFailure(
        f"This machine's system refused something that p2v-tui needs{where} ({why}).",
        "Look at it in the shell, then try again.",
    )
