"""Starts the OpenSSH client on its own terminal, and ends it.

Its command line is in `login.py`, the dialogue of the login in `login_dialogue.py`. `shell.py` and the tunnels in the
room `data` use the connection.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import termios
import time
import tty
from collections.abc import Callable, Sequence
from typing import Final

import pexpect

from p2v_tui.errors import PreflightRefused
from p2v_tui.session.ssh.login import Login
from p2v_tui.session.ssh.login_dialogue import log_in
from p2v_tui.session.words.cancellation import Cancellation

CLOSE_TIMEOUT: Final = 10.0
SEND_SLICE: Final = 0.25


def open_connection(
    login: Login,
    options: Sequence[str],
    remote_command: str | None,
    ready: bytes,
    cancellation: Cancellation,
) -> pexpect.spawn[bytes]:
    """Starts ssh, logs in, and returns the process as soon as its output matches `ready` (a pattern of bytes).

    Its terminal is then raw: bytes pass unchanged. Raises ConnectionFailed or PreflightRefused with ssh's reason in
    words, or Cancelled; ssh has then ended.
    """
    command = login.command(options, remote_command)
    try:
        child: pexpect.spawn[bytes] = pexpect.spawn(
            "ssh", command, echo=True, timeout=None, encoding=None, maxread=65536, preexec_fn=_die_with_us
        )
    except pexpect.ExceptionPexpect as error:
        raise PreflightRefused(
            "ssh is not installed on this machine.", "Install the OpenSSH client (openssh-client)."
        ) from error
    # pexpect pauses before each send for programs that switch the echo off after the question; ssh does it before.
    child.delaybeforesend = None
    child.delayafterclose = child.delayafterterminate = 0.02
    try:
        child.match, child.buffer = log_in(child, login, ready, cancellation)
    except BaseException:
        close_connection(child)
        raise
    _make_raw(child)
    return child


def matched_text(child: pexpect.spawn[bytes]) -> str:
    """The first group of the pattern that the last wait, or the login, matched."""
    assert isinstance(child.match, re.Match)
    return str(child.match.group(1), errors="replace")


def close_connection(child: pexpect.spawn[bytes]) -> None:
    """Ends ssh and waits for it: HUP, then KILL. If not even that works, leaves it."""
    deadline = time.monotonic() + CLOSE_TIMEOUT
    while time.monotonic() < deadline:
        # pexpect gives up a moment after KILL; a loaded machine may need longer.
        with contextlib.suppress(pexpect.ExceptionPexpect):
            child.close(force=True)
            return


def send(child: pexpect.spawn[bytes], data: bytes, look_up: Callable[[], None]) -> None:
    """Sends all of it, unless ssh has ended; the next read finds that out.

    look_up: called now and then while ssh takes nothing, as in an outage; it may raise to end this.
    """
    while data and child.isalive():
        # Writing to a terminal without a reader blocks for ever once its buffer is full.
        if select.select([], [child.child_fd], [], SEND_SLICE)[1]:
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(child.child_fd, data) :]
                continue
        look_up()


def _die_with_us() -> None:
    """Runs in the process that becomes ssh. If we are killed, only the hang-up of its terminal ends it.

    It would inherit nohup's ignored HUP: the tunnel would stay, and with it the NBD server behind it.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _make_raw(child: pexpect.spawn[bytes]) -> None:
    # Otherwise lines of more than 4096 bytes are cut, and CRs are added to the output.
    # TCSANOW: the other modes wait for ssh's output to be read, for ever if it is flooding.
    tty.setraw(child.child_fd, termios.TCSANOW)
    os.set_blocking(child.child_fd, False)
