"""Reads a secret from the terminal without echo. Unlike getpass, another thread can cancel it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
from typing import Final

from p2v_tui.session.words.cancellation import Cancellation

_LOOK_INTERVAL: Final = 0.1


def ask(question: str, cancellation: Cancellation) -> str:
    """The typed line without its line end; empty at the end of the input.

    Restores the terminal's settings. Raises Cancelled or Detached.
    """
    with contextlib.ExitStack() as closed:
        try:
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            closed.callback(os.close, terminal)
        except OSError:
            terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        unseen = [*before]
        unseen[3] &= ~termios.ECHO
        closed.callback(os.write, terminal, b"\n")
        closed.callback(termios.tcsetattr, terminal, termios.TCSADRAIN, before)
        termios.tcsetattr(terminal, termios.TCSAFLUSH, unseen)
        os.write(terminal, f"{question} ".encode(errors="replace"))
        return _line(terminal, cancellation)


def _line(terminal: int, cancellation: Cancellation) -> str:
    typed = b""
    while not typed.endswith(b"\n"):
        while not select.select([terminal], [], [], _LOOK_INTERVAL)[0]:
            cancellation.check()
        if not (part := os.read(terminal, 1024)):
            break
        typed += part
    return typed.rstrip(b"\n").decode(errors="surrogateescape")
