"""Gets the SSH identity (private key) that `p2v.identity` names, and checks that ssh can use it.

http and https go through requests, file is read, every other scheme is curl(1)'s business, as in virt-p2v.
"""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from p2v_tui.errors import ConnectionFailed, P2VError
from p2v_tui.kinds import without_password
from p2v_tui.session.openssh_tools import run_tool

TIMEOUT = 30.0
MAX_SIZE = 64 * 1024
SETTING = "auth.identity.url"


def fetch_identity(url: str, destination: Path) -> None:
    """Writes the key that `url` names to `destination`, mode 0600.

    Raises ConnectionFailed when it cannot be had, has a passphrase, is no private key, or (file:) can be read by
    others than its owner, which ssh refuses too.
    """
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError as error:
        raise _error(
            f"The SSH identity URL {without_password(url)} cannot be read: {error}.", "Correct it."
        ) from error
    if scheme == "file":
        key = _read_file(url)
    elif scheme in {"http", "https"}:
        key = _read_http(url)
    else:
        key = _read_curl(url)
    if len(key) > MAX_SIZE:
        raise _error(
            f"The SSH identity at {without_password(url)} has more than {MAX_SIZE} bytes.",
            "Give the URL of a private key.",
        )
    descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        # ssh takes a key without its last newline for damaged; web servers and editors lose it.
        file.write(key.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n")
    _check_key(url, destination)


def _error(message: str, advice: str) -> P2VError:
    return ConnectionFailed(message, advice, setting=SETTING)


def _read_file(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise _error(
            f"The SSH identity URL {without_password(url)} names the host {parts.netloc!r}.",
            "A file on this machine has three slashes: file:///path/to/id.",
        )
    path = Path(unquote(parts.path))
    try:
        # Non-blocking, so that a FIFO of that name cannot hold us.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise _error(f"The SSH identity {path} is not a file.", "Name a private key.")
            if mode & 0o077:
                raise _error(
                    f"The SSH identity {path} can be read by other users (mode {stat.S_IMODE(mode):04o}).",
                    f"Run: chmod 600 {path}",
                )
            return file.read(MAX_SIZE + 1)
    except OSError as error:
        raise _error(
            f"The SSH identity {path} cannot be read: {error.strerror}.",
            "Check p2v.identity: the file must be on this machine, not on the conversion server.",
        ) from error


def _read_http(url: str) -> bytes:
    # 40 ms of imports that most runs never need.
    import requests  # noqa: PLC0415
    import urllib3  # noqa: PLC0415

    try:
        response = requests.get(url, timeout=TIMEOUT, stream=True)
        with response:
            if response.status_code != requests.codes.ok:
                raise _error(
                    f"The SSH identity cannot be had from {without_password(url)}: the web server answers "
                    f"{response.status_code} {response.reason}.",
                    "Check p2v.identity and that this machine may fetch it.",
                )
            return response.raw.read(MAX_SIZE + 1, decode_content=True) or b""
    # Reading past requests, whose own reader has no limit, the errors are urllib3's.
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        raise _error(
            f"The SSH identity cannot be had from {without_password(url)}: {error}.",
            "Check p2v.identity, the network and the web server.",
        ) from error


def _read_curl(url: str) -> bytes:
    # The URL may hold a password: it goes in by standard input, as ps shows every argument.
    command = ["curl", "--silent", "--show-error", "--fail", "--globoff", "--max-time", str(int(TIMEOUT))]
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    config = f'url = "{quoted}"\n'.encode()
    try:
        done = subprocess.run(
            [*command, "--config", "-"], input=config, capture_output=True, timeout=TIMEOUT + 5, check=False
        )
    except FileNotFoundError as error:
        raise _error(
            f"curl is not installed here, so {without_password(url)} cannot be fetched.", "Use http, https or file."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise _error(
            f"The SSH identity cannot be had from {without_password(url)}: curl does not end.", "Check p2v.identity."
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise _error(f"The SSH identity cannot be had from {without_password(url)}: {said}.", "Check p2v.identity.")
    return done.stdout


def _check_key(url: str, path: Path) -> None:
    # With an empty passphrase on its command line ssh-keygen never asks; the key's own passphrase is not there.
    done = run_tool(["ssh-keygen", "-y", "-P", "", "-f", str(path)], TIMEOUT)
    if done.returncode == 0:
        return
    said = done.stderr.strip().splitlines() or ["ssh-keygen gives no reason"]
    if "passphrase" in done.stderr:
        raise _error(
            f"The SSH identity {without_password(url)} has a passphrase.",
            "Nobody is there to type it for every connection. Make a key without one: ssh-keygen -t ed25519 -N ''",
        )
    raise _error(
        f"What {without_password(url)} gives is not an SSH private key: {said[-1]}.",
        "Give the URL of the private key (not of the .pub file).",
    )
