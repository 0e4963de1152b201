"""One ssh that forwards a place on the conversion server to a socket here: a Unix socket there, or a port."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Final

import pexpect

from p2v_tui.errors import ConnectionFailed
from p2v_tui.session.data.gate import Gate, Password
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.result import last_lines
from p2v_tui.session.ssh.login import Login
from p2v_tui.session.ssh.login_dialogue import LOGIN_TIMEOUT
from p2v_tui.session.ssh.openssh import close_connection, matched_text, open_connection, send
from p2v_tui.session.words.cancellation import Cancellation

# How often a wait for ssh's output checks for a cancellation, in seconds.
LOOK_INTERVAL: Final = 0.25
# How much is kept of the output of an ssh that complains for hours, in bytes.
_MAX_WORDS: Final = 4096

# "localhost" and not an address: sshd then listens on both 127.0.0.1 and ::1, and virt-v2v may try either.
_ALLOCATED: Final = rb"Allocated port (\d+) for remote forward"


class Tunnel:
    """ssh, forwarding a place on the server to our socket. port: on the server's loopback, if it ends in a port.

    end: the path of a Unix socket there; None for a port that the server chooses. port_file: tells the relay that
    port, and our gate's password. Raises ConnectionFailed, PreflightRefused (forwarding is forbidden) or Cancelled.
    """

    def __init__(
        self,
        login: Login,
        socket: Path,
        end: str | None,
        cancellation: Cancellation,
        *,
        compressed: bool = False,
        port_file: str | None = None,
        password: Password | None = None,
    ) -> None:
        self.port: int | None = None
        self.gate: Gate | None = None
        self.end = end
        self.compressed = compressed
        options = tunnel_options(socket, end, compressed=compressed, held=port_file is not None)
        if port_file is not None and password is not None:
            token = secrets.token_hex(12)
            hold = remote_commands.hold_port_tunnel(token, port_file)
            self._ssh = open_connection(login, options, hold, _ALLOCATED, cancellation)
            self.port = int(matched_text(self._ssh))
            try:
                line = f"{self.port} {password.question} {password.answer}\n".encode()
                send(self._ssh, line, cancellation.check)
                self._wait_for(rb"\n" + token.encode() + rb"\r?\n", cancellation)
            except BaseException:
                close_connection(self._ssh)
                raise
        elif end is None:
            self._ssh = open_connection(login, options, None, _ALLOCATED, cancellation)
            self.port = int(matched_text(self._ssh))
        else:
            token = secrets.token_hex(12)
            ready = rb"\n" + token.encode() + rb"\r?\n"
            self._ssh = open_connection(login, options, remote_commands.hold_tunnel(token), ready, cancellation)

    def _wait_for(self, ready: bytes, cancellation: Cancellation) -> None:
        deadline = time.monotonic() + LOGIN_TIMEOUT
        while (matched := self._ssh.expect([ready, pexpect.EOF, pexpect.TIMEOUT], timeout=LOOK_INTERVAL)) != 0:
            cancellation.check()
            if matched == 1 or time.monotonic() > deadline:
                raise ConnectionFailed(f"{self.last_words}.", "Check the network between the two machines.")

    @property
    def alive(self) -> bool:
        # Read its complaints as they come: ssh would block on a full terminal.
        self._ssh.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0)
        if self._ssh.isalive():
            self._ssh.buffer = self._ssh.buffer[-_MAX_WORDS:]
            return True
        return False

    @property
    def last_words(self) -> str:
        said = (self._ssh.before or b"").decode(errors="replace")
        return " / ".join(last_lines(said, 2)) or "ssh said nothing"

    def close(self) -> None:
        close_connection(self._ssh)
        if self.gate is not None:
            self.gate.close()


def tunnel_options(socket: Path, end: str | None, *, compressed: bool = False, held: bool = False) -> list[str]:
    """ssh's options for the tunnel from `end` (None: a port that the server chooses) to our socket."""
    forwarding = ["-T", "-o", "ExitOnForwardFailure=yes", "-R", f"{end or 'localhost:0'}:{socket}"]
    # For a port, ssh itself says when it is ready; otherwise, or if held, a command over there does.
    return [*(["-N"] if end is None and not held else []), *(["-C"] if compressed else []), *forwarding]
