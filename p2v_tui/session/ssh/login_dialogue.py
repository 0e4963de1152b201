"""The dialogue with ssh from its start until the login is complete.

ssh's terminal is read once and in order, and the place of each answer is remembered: earlier output is never taken
for a new question, however late ssh reads the answer or restores the echo.
"""

from __future__ import annotations

import re
import time
from typing import Final

import pexpect

from p2v_tui.errors import P2VError
from p2v_tui.session.remote.result import last_lines
from p2v_tui.session.ssh import errors as ssh_errors
from p2v_tui.session.ssh import login_errors
from p2v_tui.session.ssh.login import Login
from p2v_tui.session.ssh.login_questions import Question, kind_of
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.terminal_text import plain

# Seconds for a whole login, restarted at each answer: longer than ssh's own CONNECT_TIMEOUT, as it also covers the
# key exchange, name look-ups and PAM.
LOGIN_TIMEOUT: Final = 75.0
# How often the login checks, in seconds, for a question of ssh and for a cancellation.
LOGIN_SLICE: Final = 0.05
# Something like a question, then silence for so many seconds: it waits for a person.
PROMPT_SECONDS: Final = 8.0
# How long ssh may take to end when it has closed its terminal, in seconds.
_END_SECONDS: Final = 2.0
# How much output of an endlessly talking server is kept, in bytes.
_MAX_OUTPUT: Final = 256 * 1024

_PROMPT: Final = re.compile(r"[:?>$#%\])]$|\b(press|enter|type|choose|select)\b", re.IGNORECASE)
_HOST_KEY: Final = re.compile(
    rb"(\S+) key fingerprint is (SHA256:[A-Za-z0-9+/]{43})[\s\S]*?\(yes/no(?:/\[fingerprint\])?\)\? ?"
)


def log_in(
    child: pexpect.spawn[bytes], login: Login, ready: bytes, cancellation: Cancellation
) -> tuple[re.Match[bytes], bytes]:
    """Answers ssh's questions until its output matches `ready`. Returns the match and the output after it.

    Raises ConnectionFailed or PreflightRefused with ssh's reason in words, or Cancelled.
    """
    return _Dialogue(child, login, re.compile(ready)).run(cancellation)


class _Dialogue:
    def __init__(self, child: pexpect.spawn[bytes], login: Login, ready: re.Pattern[bytes]) -> None:
        self._child = child
        self._login = login
        self._ready = ready
        self._output = b""
        # The length of the output that was answered already.
        self._handled = 0
        self._answered = False
        # ssh asks about the key once, only while none is known, and before the server can send a banner that looks
        # the same.
        self._key_is_open = not login.known_hosts.exists()
        self._last_output_at = self._last_answer_at = time.monotonic()

    def run(self, cancellation: Cancellation) -> tuple[re.Match[bytes], bytes]:
        while True:
            cancellation.check()
            try:
                quiet = self._read_output()
            except pexpect.EOF:
                raise self._failure() from None
            if match := self._ready.search(self._output):
                return match, self._output[match.end() :]
            if self._key_is_open and (asked := _HOST_KEY.search(self._output)):
                self._decide_on_host_key(asked)
            elif quiet:
                self._answer_or_give_up()

    def _read_output(self) -> bool:
        """Reads ssh's new output; returns whether it was empty. Raises pexpect.EOF at its end."""
        try:
            output = self._child.read_nonblocking(self._child.maxread, LOGIN_SLICE)
        except pexpect.TIMEOUT:
            return True
        self._last_output_at = time.monotonic()
        self._output += output
        if (surplus := len(self._output) - _MAX_OUTPUT) > 0:
            self._output = self._output[surplus:]
            self._handled = max(0, self._handled - surplus)
        return False

    def _answer_or_give_up(self) -> None:
        now = time.monotonic()
        line = self._open_line()
        if line and not self._child.getecho():
            # ssh switches the echo off before it asks for a secret and on again after the answer: that, not the
            # words, tells a question from a banner that says "password:".
            self._answer(line)
        elif now - self._last_output_at > PROMPT_SECONDS and (waiting := self._unanswered(line)):
            raise login_errors.nobody_answers(self._login, waiting, logged_in=self._logged_in)
        elif now - self._last_answer_at > LOGIN_TIMEOUT:
            raise login_errors.no_end(self._login, self._output, LOGIN_TIMEOUT, logged_in=self._logged_in)

    def _open_line(self) -> str:
        """The last line, if it has no line end and still needs an answer; else empty."""
        fresh = self._output[self._handled :]
        if self._answered:
            # ssh ends the line of a secret as soon as it has the answer; the text before that is the old question.
            fresh = fresh.partition(b"\n")[2]
        return plain(fresh.rpartition(b"\n")[2].decode(errors="replace")).strip()

    def _unanswered(self, open_line: str) -> str:
        """Output that looks like a question to a person; else empty. Banners and slow profiles may lack line ends."""
        if open_line and _PROMPT.search(open_line):
            return open_line
        # Menus end their question with a line end.
        lines = last_lines(self._output[self._handled :].decode(errors="replace"), 1)
        return lines[0] if self._logged_in and lines and lines[0][-1] in "?:>" else ""

    @property
    def _logged_in(self) -> bool:
        return ssh_errors.is_logged_in(self._output)

    def _decide_on_host_key(self, asked: re.Match[bytes]) -> None:
        kind, fingerprint = asked.group(1).decode(errors="replace"), asked.group(2).decode()
        self._key_is_open = False
        if not self._login.accept_host_key(fingerprint, kind):
            raise login_errors.host_key_not_accepted(self._login, fingerprint, kind)
        self._send(b"yes", echoed=True)

    def _answer(self, question: str) -> None:
        kind = kind_of(question, self._login.user, self._login.host)
        if kind is Question.CHANGE_PASSWORD:
            raise login_errors.password_expired(self._login.user, self._login.host)
        if kind is Question.OTHER:
            raise login_errors.more_than_a_password(question)
        if self._answered:
            raise ssh_errors.password_refused(self._login.user, self._login.host)
        password = self._login.passwords.answer(question)
        if password is None:
            raise login_errors.no_password(self._login.user)
        self._send(password.reveal().encode(), echoed=False)

    def _send(self, answer: bytes, *, echoed: bool) -> None:
        self._handled = len(self._output)
        self._answered = self._answered or not echoed
        self._child.sendline(answer)
        self._last_output_at = self._last_answer_at = time.monotonic()

    def _failure(self) -> P2VError:
        deadline = time.monotonic() + _END_SECONDS
        while self._child.isalive() and time.monotonic() < deadline:
            time.sleep(LOGIN_SLICE / 5)
        return ssh_errors.explain(
            self._output,
            self._login.host,
            self._login.port,
            self._login.user,
            self._login.identity is not None,
            key_type=self._login.key_type,
            exit_code=self._child.exitstatus,
        )
