"""Gets the SSH identity (private key) that `p2v.identity` names, and checks that ssh can use it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from p2v_tui.errors import LoginRefused, P2VError
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.ssh.fetch import TIMEOUT, FetchFailed, Persistence, Wanted, fetch, fetch_persistently
from p2v_tui.session.ssh.openssh_tools import run_tool

MAX_SIZE: Final = 64 * 1024
SETTING: Final = "auth.identity.url"
# PEM and OpenSSH. PuTTY's format is recognized as a key, but cannot be used.
_PUTTY_KEY: Final = b"PuTTY-User-Key-File-"
_PRIVATE_KEY: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|" + _PUTTY_KEY)
# A line as in authorized_keys, or the export format of ssh.com's tools.
_PUBLIC_KEY: Final = re.compile(rb"\s*(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ AAAA|-----* ?BEGIN [A-Z0-9 ]*PUBLIC KEY")
_WANTED: Final = Wanted(
    "SSH identity",
    "a private key",
    "p2v.identity",
    MAX_SIZE,
    is_it=lambda content: _PRIVATE_KEY.search(content) is not None,
)


def fetch_identity(url: str, destination: Path, persistence: Persistence | None = None) -> None:
    """Writes the key that `url` names to `destination`, mode 0600.

    persistence: without it one try is made. Raises ConnectionFailed if it was not found, has a passphrase, is not a
    private key, or (file:) can be read by others than its owner, which ssh refuses too; Cancelled.
    """
    try:
        key = fetch_persistently(url, _WANTED, persistence) if persistence else fetch(url, _WANTED)
    except FetchFailed as error:
        raise _error(error.message, error.advice) from error
    descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        # ssh rejects a key without its last newline as damaged, and web servers and editors lose it.
        file.write(key.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n")
    try:
        _check_key(url, destination)
    except P2VError:
        # The next try must not find and use it.
        destination.unlink()
        raise


def _error(message: str, advice: str) -> P2VError:
    return LoginRefused(message, advice, setting=SETTING)


def key_type(path: Path) -> str:
    """The key's type as ssh-keygen prints it (ED25519, RSA); empty if unknown."""
    said = run_tool(["ssh-keygen", "-l", "-f", str(path)], TIMEOUT).stdout.split()
    return said[-1].strip("()") if said else ""


def _check_key(url: str, path: Path) -> None:
    # The empty passphrase on the command line keeps ssh-keygen from asking; a real one is never put there.
    done = run_tool(["ssh-keygen", "-y", "-P", "", "-f", str(path)], TIMEOUT)
    if done.returncode == 0:
        return
    if "passphrase" in done.stderr:
        raise _error(
            f"The SSH identity {without_secrets(url)} has a passphrase.",
            "Nobody is there to type it for every connection. Make a key without one: ssh-keygen -t ed25519 -N ''",
        )
    why, advice = _why_not_a_key(path.read_bytes(), done.stderr)
    raise _error(f"What {without_secrets(url)} gives is not an SSH private key: {why}.", advice)


def _why_not_a_key(content: bytes, said: str) -> tuple[str, str]:
    """The reason, and what to do. said: ssh-keygen's output, which contains the path of our copy."""
    if _PUTTY_KEY in content:
        return "it is in PuTTY's format", "Export it for OpenSSH: puttygen KEY.ppk -O private-openssh -o KEY"
    if _PUBLIC_KEY.match(content):
        return "it is a public key", "Give the URL of the private key (not of the .pub file)."
    if not _PRIVATE_KEY.search(content):
        return "it has no line -----BEGIN ... PRIVATE KEY-----", "Give the URL of the private key."
    last = (said.strip().splitlines() or ["ssh-keygen gives no reason"])[-1]
    return (
        f"ssh-keygen says: {last.rpartition(chr(34) + ': ')[2]}",
        "It may be damaged. Check it where it comes from: ssh-keygen -y -f KEY",
    )
