"""A typed secret, on a real terminal: unseen, and the terminal is as before, whatever ends it."""

from __future__ import annotations

import sys
from pathlib import Path

import pexpect
import pytest

SCRIPT = """
import signal, termios, threading
from p2v_tui.errors import P2VError
from p2v_tui.front import typed_secret
from p2v_tui.session.words.cancellation import Cancellation
cancellation = Cancellation()
signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=cancellation.cancel).start())
try:
    print("typed", repr(typed_secret.ask("Passphrase?", cancellation)))
except P2VError as error:
    print("raised", type(error).__name__)
print("echo", bool(termios.tcgetattr(0)[3] & termios.ECHO))
"""


@pytest.fixture
def child(tmp_path: Path) -> pexpect.spawn[str]:
    script = tmp_path / "ask.py"
    script.write_text(SCRIPT)
    spawned = pexpect.spawn(sys.executable, [str(script)], encoding="utf-8", timeout=60)
    spawned.expect_exact("Passphrase?")
    spawned.waitnoecho()
    return spawned


def said_by(child: pexpect.spawn[str]) -> str:
    child.expect(pexpect.EOF)
    child.close()
    return child.before or ""


def test_what_is_typed_is_returned_and_not_shown(child: pexpect.spawn[str]) -> None:
    child.sendline("open ses\u00e4me ")
    said = said_by(child)
    assert "typed 'open ses\u00e4me '" in said
    assert said.count("ses\u00e4me") == 1
    assert "echo True" in said


def test_the_end_of_the_input_is_an_empty_answer(child: pexpect.spawn[str]) -> None:
    child.sendeof()
    assert "typed ''" in said_by(child)


def test_a_cancellation_leaves_the_terminal_as_it_was(child: pexpect.spawn[str]) -> None:
    child.sendintr()
    said = said_by(child)
    assert "raised Cancelled" in said
    assert "echo True" in said
