"""The project's exceptions: what happened, what the operator can do about it, and the exit code.

Every failure that a user can meet is one of these. A front end shows `title`, `message` and `advice`; the exit
code follows from the class. The cause is chained (`raise ... from cause`), never hidden in the text.
"""

from __future__ import annotations

from typing import ClassVar


class P2VError(Exception):
    """A failure that the operator is told about.

    message: what happened, one or more sentences that name the input or the machine concerned.
    advice: what to do next; empty only where nothing can be done.
    """

    title: ClassVar[str] = "p2v-tui failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}\n{self.advice}" if self.advice else self.message


class SettingsError(P2VError):
    """A setting cannot be used: its syntax, its value, or what it names does not exist on this machine.

    setting: the full name of the setting (`remote.port`), where one is concerned.
    """

    title = "Wrong settings"
    exit_code = 2

    def __init__(self, message: str, advice: str = "", *, setting: str | None = None) -> None:
        super().__init__(message, advice)
        self.setting = setting


class ConnectionFailed(P2VError):
    """The conversion server cannot be reached, is not the one expected, or does not let us in."""

    title = "No connection to the conversion server"
    exit_code = 3

    def __init__(self, message: str, advice: str = "", *, setting: str | None = None) -> None:
        super().__init__(message, advice)
        self.setting = setting


class PreflightRefused(P2VError):
    """Both ends can be reached, but something that the conversion needs is missing or forbidden."""

    title = "The conversion cannot start"
    exit_code = 4


class ConversionFailed(P2VError):
    """The conversion started and did not succeed."""

    title = "The conversion failed"
    exit_code = 5


class CommandFailed(P2VError):
    """The operator's own command, p2v.pre or p2v.post, failed; what it stands beside may have succeeded."""

    title = "A command failed"
    exit_code = 7


class Cancelled(P2VError):
    """The operator stopped it."""

    title = "Cancelled"
    exit_code = 6

    def __init__(self, message: str = "Cancelled by the operator.", advice: str = "") -> None:
        super().__init__(message, advice)


class Detached(P2VError):
    """This program was told to end, not the conversion: that waits on the server for us to come back."""

    title = "The conversion waits"
    exit_code = 8

    def __init__(self, message: str = "p2v-tui was ended from outside.", advice: str = "") -> None:
        super().__init__(message, advice)
