"""Gets a small secret (an SSH identity, the key of an encrypted volume) from the URL that a setting gives.

`file:` is read, everything else is fetched (`web.py`). Callers say what the content has to be.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from p2v_tui.errors import P2VError, Retry
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.ssh.web import WebFailure, read_url
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Report, Warned
from p2v_tui.session.words.quantities import duration_text

# For `ssh-keygen`, in seconds.
TIMEOUT: Final = 30.0


class FetchFailed(P2VError):
    """The caller turns this into its own kind of error."""


class FetchFailedForNow(FetchFailed):
    """The network or the server does not answer; it may later."""

    retry = Retry.LATER


@dataclass(frozen=True)
class Wanted:
    """What to fetch, in the words of the error messages.

    name: as in "The SSH identity was not fetched". content: what belongs there (`a private key`). setting: with its
    `p2v.`. limit: bytes. is_it: whether some content can be what is wanted; only then is a file's mode checked.
    private: only a file's owner may read it.
    """

    name: str
    content: str
    setting: str
    limit: int
    is_it: Callable[[bytes], bool] = lambda _: True
    private: bool = True


@dataclass(frozen=True)
class Persistence:
    """For how many seconds a passing failure is retried, and who is told and can cancel that."""

    retry_for: float
    report: Report
    cancellation: Cancellation


def fetch_persistently(url: str, wanted: Wanted, persistence: Persistence) -> bytes:
    """Like `fetch`, but retries while the network or the server does not answer. Also raises Cancelled."""
    again = f"Trying again for up to {duration_text(persistence.retry_for)}."
    return open_again(
        lambda: fetch(url, wanted, persistence.cancellation),
        retry_for=persistence.retry_for,
        wait=persistence.cancellation.wait,
        on_failure=lambda error: persistence.report(Warned(f"{error.message} {again}")),
    )


def fetch(url: str, wanted: Wanted, cancellation: Cancellation | None = None) -> bytes:
    """The content of the URL. Raises FetchFailed if it was not found, is too long, or (file:) others may read it."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError as error:
        raise _wrong_url(url, wanted) from error
    content = _read_file(url, wanted) if scheme == "file" else _read_web(url, wanted, cancellation or Cancellation())
    if len(content) > wanted.limit:
        raise FetchFailed(
            f"The {wanted.name} at {without_secrets(url)} has more than {wanted.limit} bytes.",
            f"Give the URL of {wanted.content}.",
        )
    return content


def _wrong_url(url: str, wanted: Wanted) -> FetchFailed:
    return FetchFailed(
        f"The URL of the {wanted.name}, {without_secrets(url)}, is not valid.",
        f"Correct {wanted.setting}: https://HOST/FILE or file:///PATH.",
    )


def _read_file(url: str, wanted: Wanted) -> bytes:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise FetchFailed(
            f"The URL of the {wanted.name}, {without_secrets(url)}, names the host {parts.netloc!r}.",
            "A file on this machine has three slashes: file:///path/to/file.",
        )
    path = Path(unquote(parts.path))
    try:
        # Non-blocking, so that a FIFO cannot hang us.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise FetchFailed(
                    f"The {wanted.name} was not read from {path}: it is not a file.", f"Name {wanted.content}."
                )
            content = file.read(wanted.limit + 1)
    # ValueError: a NUL in the path.
    except (OSError, ValueError) as error:
        raise FetchFailed(
            f"The {wanted.name} in {path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            f"Check {wanted.setting}: the file must be on this machine, not on the conversion server.",
        ) from error
    # A file that was named by mistake, such as /etc/passwd, has the right mode.
    if wanted.private and mode & 0o077 and wanted.is_it(content):
        raise FetchFailed(
            f"The {wanted.name} in {path} can be read by other users (mode {stat.S_IMODE(mode):04o}).",
            f"If it is the right file, run: chmod 600 {shlex.quote(str(path))}",
        )
    return content


def _read_web(url: str, wanted: Wanted, cancellation: Cancellation) -> bytes:
    try:
        return read_url(url, wanted.limit, cancellation)
    except WebFailure as error:
        if error.address_at_fault:
            raise _wrong_url(url, wanted) from error
        also = ", the network and the web server" if error.temporary else " and that this machine may fetch it"
        kind = FetchFailedForNow if error.temporary else FetchFailed
        raise kind(
            f"The {wanted.name} was not fetched from {without_secrets(url)}: {error}.",
            f"Check {wanted.setting}{also}.",
        ) from error
    except FileNotFoundError as error:
        raise FetchFailed(
            f"curl is not installed here, so {without_secrets(url)} cannot be fetched.", "Use http, https or file."
        ) from error
