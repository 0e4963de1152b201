"""Gets a small secret (an SSH identity, the key of an encrypted volume) from the URL that a setting gives.

http and https go through requests, file is read, every other scheme is curl(1)'s business, as in virt-p2v. What the
content has to be is not known here.
"""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from p2v_tui.errors import P2VError
from p2v_tui.kinds import without_password

TIMEOUT = 30.0


class FetchFailed(P2VError):
    """Caught by who fetches, who knows what kind of failure it is."""


@dataclass(frozen=True)
class Wanted:
    """What is to be had, in the words of the errors.

    name: as in "The SSH identity cannot be had". content: what belongs there (`a private key`). setting: with its
    `p2v.`. limit: bytes.
    """

    name: str
    content: str
    setting: str
    limit: int


def fetch(url: str, wanted: Wanted) -> bytes:
    """What the URL gives. Raises FetchFailed when it cannot be had, is too long, or (file:) others may read it."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError as error:
        raise FetchFailed(
            f"The URL of the {wanted.name}, {without_password(url)}, cannot be read: {error}.", "Correct it."
        ) from error
    if scheme == "file":
        content = _read_file(url, wanted)
    elif scheme in {"http", "https"}:
        content = _read_http(url, wanted)
    else:
        content = _read_curl(url, wanted)
    if len(content) > wanted.limit:
        raise FetchFailed(
            f"The {wanted.name} at {without_password(url)} has more than {wanted.limit} bytes.",
            f"Give the URL of {wanted.content}.",
        )
    return content


def _read_file(url: str, wanted: Wanted) -> bytes:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise FetchFailed(
            f"The URL of the {wanted.name}, {without_password(url)}, names the host {parts.netloc!r}.",
            "A file on this machine has three slashes: file:///path/to/file.",
        )
    path = Path(unquote(parts.path))
    try:
        # Non-blocking, so that a FIFO of that name cannot hold us.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise FetchFailed(
                    f"The {wanted.name} cannot be had from {path}: it is not a file.", f"Name {wanted.content}."
                )
            if mode & 0o077:
                raise FetchFailed(
                    f"The {wanted.name} in {path} can be read by other users (mode {stat.S_IMODE(mode):04o}).",
                    f"Run: chmod 600 {path}",
                )
            return file.read(wanted.limit + 1)
    # ValueError: a NUL in the path.
    except (OSError, ValueError) as error:
        raise FetchFailed(
            f"The {wanted.name} in {path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            f"Check {wanted.setting}: the file must be on this machine, not on the conversion server.",
        ) from error


def _read_http(url: str, wanted: Wanted) -> bytes:
    # 40 ms of imports that most runs never need.
    import requests  # noqa: PLC0415
    import urllib3  # noqa: PLC0415

    try:
        response = requests.get(url, timeout=TIMEOUT, stream=True)
        with response:
            if response.status_code != requests.codes.ok:
                raise _not_to_be_had(
                    url,
                    wanted,
                    f"the web server answers {response.status_code} {response.reason}",
                    " and that this machine may fetch it",
                )
            return response.raw.read(wanted.limit + 1, decode_content=True) or b""
    # Reading past requests, whose own reader has no limit, the errors are urllib3's.
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        raise _not_to_be_had(url, wanted, str(error), ", the network and the web server") from error


def _read_curl(url: str, wanted: Wanted) -> bytes:
    # The URL may hold a password: it goes in by standard input, as ps shows every argument.
    command = ["curl", "--silent", "--show-error", "--fail", "--globoff", "--max-time", str(int(TIMEOUT))]
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    config = f'url = "{quoted}"\n'.encode()
    try:
        done = subprocess.run(
            [*command, "--config", "-"], input=config, capture_output=True, timeout=TIMEOUT + 5, check=False
        )
    except FileNotFoundError as error:
        raise FetchFailed(
            f"curl is not installed here, so {without_password(url)} cannot be fetched.", "Use http, https or file."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise _not_to_be_had(url, wanted, "curl does not end") from error
    if done.returncode != 0:
        raise _not_to_be_had(url, wanted, done.stderr.decode(errors="replace").strip())
    return done.stdout


def _not_to_be_had(url: str, wanted: Wanted, reason: str, also: str = "") -> FetchFailed:
    """also: what is to be checked beside the setting."""
    return FetchFailed(
        f"The {wanted.name} cannot be had from {without_password(url)}: {reason}.", f"Check {wanted.setting}{also}."
    )
