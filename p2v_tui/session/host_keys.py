"""Pinned host keys: the server's keys are fetched, and only those whose fingerprint is pinned become known."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from p2v_tui.errors import ConnectionFailed
from p2v_tui.session.login import CONNECT_TIMEOUT
from p2v_tui.session.openssh_tools import run_tool


def fingerprint(key: str) -> str:
    """`SHA256:...` as ssh-keygen -l prints it. key: the base64 text of a public key."""
    digest = hashlib.sha256(base64.b64decode(key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def write_pinned(host: str, port: int, pinned: Sequence[str], known_hosts: Path) -> None:
    """Writes the keys of the server whose fingerprint is in `pinned`, as known_hosts lines.

    Raises ConnectionFailed when it has none of these. Whoever answers here gains nothing by lying: ssh later demands
    the proof that the server holds the key.
    """
    command = ["ssh-keyscan", "-T", str(CONNECT_TIMEOUT), "-p", str(port), host]
    done = run_tool(command, 4 * CONNECT_TIMEOUT)
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    if not lines:
        # ssh-keyscan does not say why. ssh itself will, and it connects to no server whose key it does not know.
        known_hosts.touch()
        return
    found = {fingerprint(line.split()[2]): line for line in lines if len(line.split()) >= 3}
    matching = [line for print_, line in found.items() if print_ in pinned]
    if not matching:
        raise ConnectionFailed(
            f"{host} port {port} is not the server that p2v.remote.hostkey pins. Its host keys are "
            f"{', '.join(found)}; pinned is {', '.join(pinned)}.",
            "Nothing was sent to it. Compare with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on "
            "the server itself.",
            setting="remote.hostkey",
        )
    known_hosts.write_text("".join(f"{line}\n" for line in matching))
