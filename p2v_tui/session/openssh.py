"""Logs in to the conversion server with the OpenSSH client, answering its questions as a person would (pexpect).

Only ssh's command line and its conversation are here: what runs over a connection is the business of
`remote_shell.py` and `data_connection.py`, what ssh's complaints mean that of `ssh_errors.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import termios
import time
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pexpect

from p2v_tui.errors import ConnectionFailed, PreflightRefused
from p2v_tui.kinds import Secret
from p2v_tui.session import ssh_errors
from p2v_tui.session.cancellation import Cancellation

# ssh gives up on a silent server by itself after CONNECT_TIMEOUT; LOGIN_TIMEOUT also covers its key exchange, its
# name look-ups and PAM, and must be the longer one.
CONNECT_TIMEOUT: Final = 15
LOGIN_TIMEOUT: Final = 75.0
# An idle firewall sees traffic every 15 s, an outage of less than 5 minutes ends nothing (facts/transport.md).
KEEPALIVE_INTERVAL: Final = 15
KEEPALIVE_COUNT: Final = 20
CLOSE_TIMEOUT: Final = 10.0
# How often the login looks up, in seconds: to see whether ssh asks something, or it was cancelled.
LOGIN_SLICE: Final = 0.05
SEND_SLICE: Final = 0.25

_AES: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_CHACHA: Final = ("chacha20-poly1305@openssh.com",)
_OTHERS: Final = ("aes128-ctr", "aes192-ctr", "aes256-ctr")

_HOST_KEY: Final = rb"key fingerprint is (SHA256:[A-Za-z0-9+/]{43})[\s\S]*?\(yes/no(?:/\[fingerprint\])?\)\? ?"


_NEVER: Final = rb"(?!)"


def cipher_preference(cpu_has_aes: bool) -> tuple[str, ...]:
    """The ciphers to offer, the fastest first; always a list, as the server may refuse one.

    With AES instructions AES-GCM is about 1.5 times as fast as OpenSSH's default, chacha20; without them chacha20
    wins (facts/transport.md).
    """
    return (_AES + _CHACHA if cpu_has_aes else _CHACHA + _AES) + _OTHERS


class PasswordSource:
    """The login password: given, or asked for once and then remembered for the run's further connections."""

    def __init__(self, password: Secret | None, ask: Callable[[str], Secret | None] | None) -> None:
        self._password = password
        self._ask = ask

    def answer(self, question: str) -> Secret | None:
        """The password, asked for with ssh's own question where none was given; None where nobody can be asked."""
        if self._password is None and self._ask is not None:
            self._password = self._ask(question)
        return self._password

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (self._password,) if self._password else ()


@dataclass(frozen=True)
class Login:
    """Where and how to log in. identity: a private key file; it excludes the password.

    known_hosts: the file with the accepted host keys; ssh adds the first one it is told to accept.
    accept_host_key: asked with the fingerprint while that file does not exist; then no other key is accepted.
    """

    host: str
    port: int
    user: str
    known_hosts: Path
    ciphers: tuple[str, ...]
    passwords: PasswordSource
    accept_host_key: Callable[[str], bool]
    identity: Path | None = None

    def command(self, options: Sequence[str], remote_command: str | None) -> list[str]:
        """The ssh command line, without the program's name."""
        settings = {
            "StrictHostKeyChecking": "yes" if self.known_hosts.exists() else "ask",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "UpdateHostKeys": "no",
            "HashKnownHosts": "no",
            "ConnectTimeout": str(CONNECT_TIMEOUT),
            "ServerAliveInterval": str(KEEPALIVE_INTERVAL),
            "ServerAliveCountMax": str(KEEPALIVE_COUNT),
            "NumberOfPasswordPrompts": "1",
            "Ciphers": ",".join(self.ciphers),
            "IdentityAgent": "none",
            "LogLevel": "INFO",
        }
        if self.identity is not None:
            settings |= {
                "PreferredAuthentications": "publickey",
                "IdentityFile": str(self.identity),
                "IdentitiesOnly": "yes",
            }
        else:
            settings |= {
                "PreferredAuthentications": "keyboard-interactive,password",
                "PubkeyAuthentication": "no",
            }
        # -F none: an ssh_config of this machine must not change what is measured and promised here.
        arguments = ["-F", "none", "-e", "none", "-p", str(self.port), "-l", self.user]
        for key, value in settings.items():
            arguments += ["-o", f"{key}={value}"]
        return [*arguments, *options, "--", self.host, *([remote_command] if remote_command else [])]


def open_connection(
    login: Login,
    options: Sequence[str],
    remote_command: str | None,
    ready: bytes,
    cancellation: Cancellation,
) -> pexpect.spawn[bytes]:
    """Starts ssh, logs in, and returns it as soon as its output matches `ready` (a pattern of bytes).

    Its terminal is then raw: what is sent and received passes unchanged. Raises ConnectionFailed or PreflightRefused
    with ssh's reason in words, or Cancelled; ssh is then gone.
    """
    command = login.command(options, remote_command)
    try:
        child: pexpect.spawn[bytes] = pexpect.spawn(
            "ssh", command, echo=True, timeout=None, encoding=None, maxread=65536
        )
    except pexpect.ExceptionPexpect as error:
        raise PreflightRefused(
            "ssh is not installed on this machine.", "Install the OpenSSH client (openssh-client)."
        ) from error
    # pexpect's pause before each send is for programs that switch the echo off after they ask; ssh does it before.
    child.delaybeforesend = None
    child.delayafterclose = child.delayafterterminate = 0.02
    try:
        _log_in(child, login, ready, cancellation)
    except BaseException:
        close_connection(child)
        raise
    _make_raw(child)
    return child


def matched_text(child: pexpect.spawn[bytes]) -> str:
    """The first group of the pattern that the last wait matched."""
    assert isinstance(child.match, re.Match)
    return str(child.match.group(1), errors="replace")


def close_connection(child: pexpect.spawn[bytes]) -> None:
    """Ends ssh and waits until it is gone: HUP, then KILL. One that even that does not end is left to itself."""
    deadline = time.monotonic() + CLOSE_TIMEOUT
    while time.monotonic() < deadline:
        # pexpect gives up a moment after KILL; a loaded machine takes longer.
        with contextlib.suppress(pexpect.ExceptionPexpect):
            child.close(force=True)
            return


def send(child: pexpect.spawn[bytes], data: bytes, look_up: Callable[[], None]) -> None:
    """Sends all of it, unless ssh has ended, which whoever reads then finds out.

    look_up: called now and then while ssh takes nothing, as when the network is silent; what it raises ends this.
    """
    while data and child.isalive():
        # Writing to a terminal whose other side is gone blocks for ever once its buffer is full.
        if select.select([], [child.child_fd], [], SEND_SLICE)[1]:
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(child.child_fd, data) :]
                continue
        look_up()


def _log_in(child: pexpect.spawn[bytes], login: Login, ready: bytes, cancellation: Cancellation) -> None:
    transcript = b""
    answered = False
    # ssh asks about the key only while none is known, once, and before the server can send a banner that looks alike.
    host_key = _NEVER if login.known_hosts.exists() else _HOST_KEY
    deadline = time.monotonic() + LOGIN_TIMEOUT
    while True:
        cancellation.check()
        matched = child.expect([ready, pexpect.EOF, host_key, pexpect.TIMEOUT], timeout=LOGIN_SLICE)
        if matched == 0:
            return
        if matched == 1:
            transcript += child.before or b""
            raise ssh_errors.explain(transcript, login.host, login.port, login.user, login.identity is not None)
        if matched == 2:
            _decide_on_host_key(child, login)
            host_key = _NEVER
            deadline = time.monotonic() + LOGIN_TIMEOUT
        elif question := _secret_question(child):
            if answered:
                raise ssh_errors.password_refused(login.user, login.host)
            transcript += child.buffer
            child.buffer = b""
            _answer(child, login, question)
            answered = True
            deadline = time.monotonic() + LOGIN_TIMEOUT
        elif time.monotonic() > deadline:
            raise ssh_errors.no_answer(transcript + child.buffer, login.host, login.port, LOGIN_TIMEOUT)


def _secret_question(child: pexpect.spawn[bytes]) -> str | None:
    """The question that ssh waits for an answer to, or None.

    ssh switches the terminal's echo off before it asks for a secret and on again after the answer: that, and not
    the words, tells a question from a banner that says "password:".
    """
    last_line: bytes = child.buffer.rpartition(b"\n")[2].strip()
    if not last_line or child.getecho():
        return None
    return last_line.decode(errors="replace")


def _decide_on_host_key(child: pexpect.spawn[bytes], login: Login) -> None:
    fingerprint = matched_text(child)
    if not login.accept_host_key(fingerprint):
        raise ConnectionFailed(
            f"The host key of {login.host} ({fingerprint}) was not accepted.",
            "Compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the server.",
            setting="remote.hostkey",
        )
    child.sendline(b"yes")


def _answer(child: pexpect.spawn[bytes], login: Login, question: str) -> None:
    # "user@host's password:" is the client's own text; "(user@host) ..." is what PAM asks for on the server.
    if not re.search(r"pass(word|code|phrase)|pwd", question, re.IGNORECASE):
        raise ConnectionFailed(
            f"The conversion server asks for more than a password: {question!r}.",
            "p2v-tui cannot answer that for every connection; use an SSH identity (p2v.identity).",
            setting="auth.identity.url",
        )
    password = login.passwords.answer(question)
    if password is None:
        raise ConnectionFailed(
            f"The conversion server asks {login.user} for a password, and none was given.",
            "Give p2v.password or p2v.identity.",
            setting="auth.password",
        )
    child.sendline(password.reveal().encode())


def _make_raw(child: pexpect.spawn[bytes]) -> None:
    # Without this a line of more than 4096 bytes would be cut, and CRs added to what comes back.
    # TCSANOW: the other modes wait until ssh's output is written, which is never if it floods and nobody reads.
    tty.setraw(child.child_fd, termios.TCSANOW)
    os.set_blocking(child.child_fd, False)
