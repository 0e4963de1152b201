"""Starts the OpenSSH client on a terminal of its own, and ends it.

Its command line is in `login.py`, the conversation until the login is complete in `login_dialogue.py`. What runs over
a connection is the business of `shell.py` and of the tunnels in the room `data`.
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
    """Starts ssh, logs in, and returns it as soon as its output matches `ready` (a pattern of bytes).

    Its terminal is then raw: what is sent and received passes unchanged. Raises ConnectionFailed or PreflightRefused
    with ssh's reason in words, or Cancelled; ssh is then gone.
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
    # pexpect's pause before each send is for programs that switch the echo off after they ask; ssh does it before.
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


def _die_with_us() -> None:
    """In the process that becomes ssh. When we are killed its terminal hangs up, and nothing else ends it.

    nohup's ignored HUP would be inherited: the tunnel would stay, and with it the NBD server that it reads from.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _make_raw(child: pexpect.spawn[bytes]) -> None:
    # Without this a line of more than 4096 bytes would be cut, and CRs added to what comes back.
    # TCSANOW: the other modes wait until ssh's output is written, which is never if it floods and nobody reads.
    tty.setraw(child.child_fd, termios.TCSANOW)
    os.set_blocking(child.child_fd, False)
