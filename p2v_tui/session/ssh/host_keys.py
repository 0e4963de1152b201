"""Host keys: how to compare one, and which of the server's keys is the pinned one.

ssh itself tells which: it asks about an unknown key before it authenticates. The first connection is usually enough;
ssh-keyscan would open five more without a login, and sshd takes only a few of those at once (MaxStartups).
"""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from p2v_tui.errors import ConnectionFailed, NothingInCommon, WrongHostKey, as_failure
from p2v_tui.session.ssh.login import Login

# A server has one key of each kind and shows one. First try ssh's own order (ed25519 first), then each kind.
_KINDS: Final = (
    "",
    "rsa-sha2-512,rsa-sha2-256",
    "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521",
    "ssh-ed25519",
)
# As ssh names them; the server has a file for each.
_TYPES: Final = frozenset({"ECDSA", "ED25519", "RSA"})

Opened = TypeVar("Opened")


def fingerprint_command(kind: str = "") -> str:
    """What shows the fingerprint on the server: of its key of this type (ED25519), or else of all that it has."""
    if kind in _TYPES:
        return f"ssh-keygen -lf /etc/ssh/ssh_host_{kind.lower()}_key.pub"
    return "cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -"


def check_stored(known_hosts: Path) -> None:
    """Checks that the accepted key was stored: ssh continues if it cannot store it, and would then take any key.

    Raises LocalFailure.
    """
    try:
        stored = known_hosts.read_bytes()
    except FileNotFoundError:
        stored = b""
    if not stored.endswith(b"\n"):
        raise as_failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(known_hosts)))


def open_pinned(login: Login, pinned: Sequence[str], open_it: Callable[[Login], Opened]) -> Opened:
    """Calls open_it with a login that knows only the pinned key, and returns its result. Raises ConnectionFailed if
    the server has no pinned key, and whatever open_it raises.
    """
    offered: list[str] = []

    def accept(fingerprint: str, kind: str) -> bool:
        if fingerprint not in pinned:
            offered.append(fingerprint)
            return False
        return login.accept_host_key(fingerprint, kind)

    for algorithms in _KINDS:
        before = len(offered)
        try:
            return open_it(dataclasses.replace(login, accept_host_key=accept, host_key_algorithms=algorithms))
        except NothingInCommon:
            if not algorithms:
                raise
        except ConnectionFailed:
            if len(offered) == before:
                raise
    raise WrongHostKey(
        f"{login.host} port {login.port} is not the server that p2v.remote.hostkey pins. Its host keys are "
        f"{', '.join(dict.fromkeys(offered))}; pinned is {', '.join(pinned)}.",
        f"Nothing was sent to it. Compare with what `{fingerprint_command()}` prints on the server itself.",
        setting="remote.hostkey",
    )
