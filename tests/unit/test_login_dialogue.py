"""The conversation with ssh, over a stand-in that handles its terminal as ssh does: slowly, and in any order."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from p2v_tui.errors import ConnectionFailed
from p2v_tui.kinds import Secret
from p2v_tui.session.ssh import login_dialogue
from p2v_tui.session.ssh.login import Login, PasswordSource
from p2v_tui.session.ssh.openssh import close_connection, matched_text, open_connection
from p2v_tui.session.words.cancellation import Cancellation

pytestmark = pytest.mark.integration

PASSWORD = "conv@conv's password: "
AUTHENTICATED = 'Authenticated to conv ([192.0.2.1]:22) using "password".\r\n'

# As readpassphrase(3) of OpenSSH: echo off, prompt, answer, a newline, echo on again. DELAY: seconds between the
# answer and the rest. Each step of SCRIPT: a secret's prompt after `?`, a text after `=`, an exit code after `!`.
STAND_IN = """
import os, sys, termios, time
tty = os.open("/dev/tty", os.O_RDWR)
for step in open(sys.argv[0] + ".script", newline="").read().split(chr(0)):
    kind, text = step[:1], step[1:]
    if kind == "!":
        sys.exit(int(text))
    if kind == "=":
        os.write(tty, text.encode())
    if kind == "?":
        before = termios.tcgetattr(tty)
        silent = termios.tcgetattr(tty)
        silent[3] &= ~(termios.ECHO | termios.ECHONL)
        termios.tcsetattr(tty, termios.TCSAFLUSH, silent)
        os.write(tty, text.encode())
        answer = os.read(tty, 1024).decode().strip()
        time.sleep(float(os.environ["DELAY"]))
        os.write(tty, b"\\n")
        termios.tcsetattr(tty, termios.TCSAFLUSH, before)
        with open(sys.argv[0] + ".answers", "a") as answers:
            answers.write(answer + "\\n")
time.sleep(10)
"""


class Ssh:
    """What the stand-in is to do, and what it was answered."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "ssh"
        self.program.write_text(f"#!{sys.executable}{STAND_IN}")
        self.program.chmod(0o755)

    def plays(self, *steps: str) -> None:
        Path(f"{self.program}.script").write_text("\0".join(steps))
        Path(f"{self.program}.answers").write_text("")

    @property
    def answers(self) -> list[str]:
        return Path(f"{self.program}.answers").read_text().split()

    def log_in(self, *, accept_host_key: bool = True) -> str:
        """What the ready mark said: its first group."""
        login = Login(
            host="conv",
            port=22,
            user="conv",
            known_hosts=self.program.with_name("known_hosts"),
            ciphers=("aes128-ctr",),
            passwords=PasswordSource(Secret("s3cret"), None),
            accept_host_key=lambda *_: accept_host_key,
        )
        child = open_connection(login, [], None, rb"ready (\w+)\r?\n", Cancellation())
        try:
            return matched_text(child)
        finally:
            close_connection(child)

    def refusal(self, *, accept_host_key: bool = True) -> ConnectionFailed:
        with pytest.raises(ConnectionFailed) as raised:
            self.log_in(accept_host_key=accept_host_key)
        return raised.value


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssh:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DELAY", "0")
    return Ssh(tmp_path)


@pytest.mark.parametrize("delay", ["0", "0.15", "0.2"])
def test_a_right_password_is_not_refused_however_late_the_echo_comes_back(
    ssh: Ssh, delay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELAY", delay)
    for _ in range(20):
        ssh.plays(f"?{PASSWORD}", f"={AUTHENTICATED}", "=ready yes\n")
        assert ssh.log_in() == "yes"
        assert ssh.answers == ["s3cret"]


@pytest.mark.parametrize("delay", ["0", "0.2"])
@pytest.mark.parametrize(
    ("second", "words"),
    [
        (PASSWORD, "refused the password of conv"),
        ("(conv@conv) Password: ", "refused the password of conv"),
        ("(conv@conv) Verification code: ", "asks for more than a password: '(conv@conv) Verification code:'"),
        ("(conv@conv) Current password: ", "has expired"),
        ("(conv@conv) (current) UNIX password: ", "has expired"),
        ("(conv@conv) New password: ", "has expired"),
        ("Enter PASSCODE: ", "asks for more than a password"),
    ],
)
def test_a_second_question_is_one_and_gets_no_answer(
    ssh: Ssh, second: str, words: str, delay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELAY", delay)
    ssh.plays("?(conv@conv) Password: ", f"?{second}")
    assert words in ssh.refusal().message
    assert ssh.answers == ["s3cret"]


@pytest.mark.parametrize(
    "question",
    [
        "(conv@conv) One-time password (OATH) for `conv': ",
        "(conv@conv) Verification code: ",
        "(conv@conv) Enter PASSCODE: ",
        "(conv@conv) First Factor: ",
        "(conv@conv) Password & verification code: ",
        "(conv@conv) Duo two-factor login for conv\n\n 1. Duo Push\n\nPasscode or option (1-1): ",
    ],
)
def test_no_password_is_typed_into_a_question_for_something_else(ssh: Ssh, question: str) -> None:
    ssh.plays(f"?{question}")
    error = ssh.refusal()
    assert "asks for more than a password" in error.message
    assert question.rsplit("\n", maxsplit=1)[-1].strip() in error.message.replace("\\'", "'")
    assert "p2v.identity" in error.advice
    assert ssh.answers == []


@pytest.mark.parametrize(
    "question",
    [
        "(conv@conv) Password: ",
        "Password for conv@EXAMPLE.COM: ",
        "LDAP Password: ",
        "(conv@conv) Passwort: ",
        "(conv@conv) Mot de passe : ",
        "Contrase\u00f1a: ",
        "Warning: it is Monday.\nPassword: ",
    ],
)
def test_a_password_is_typed_into_every_question_for_one(ssh: Ssh, question: str) -> None:
    ssh.plays(f"?{question}", f"={AUTHENTICATED}", "=ready yes\n")
    assert ssh.log_in() == "yes"
    assert ssh.answers == ["s3cret"]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (["=(conv@conv) Verification code: "], ["asks for more than a password", "Verification code:"]),
        ([f"?{PASSWORD}", f"={AUTHENTICATED}", "=Go on? [y/N] "], ["was let in", "no shell answers", "Go on? [y/N]"]),
        ([f"?{PASSWORD}", f"={AUTHENTICATED}", "=1) shell\r\nYour choice:\r\n"], ["was let in", "Your choice:"]),
    ],
)
def test_a_question_that_nobody_answers_is_named_when_silence_follows(
    ssh: Ssh, steps: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_dialogue, "PROMPT_SECONDS", 0.5)
    ssh.plays(*steps)
    error = ssh.refusal()
    for word in words:
        assert word in error.message


@pytest.mark.parametrize("line", ["Authorized use only", "Loading modules..."])
def test_a_line_without_an_end_is_no_question(ssh: Ssh, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_dialogue, "PROMPT_SECONDS", 0.2)
    # The stand-in takes a second for the answer: the server is slow.
    monkeypatch.setenv("DELAY", "1")
    ssh.plays(f"={line}", f"?{PASSWORD}", f"={AUTHENTICATED}={line}", "=ready yes\n")
    assert ssh.log_in() == "yes"


def test_a_login_without_an_end_says_how_far_it_came(ssh: Ssh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_dialogue, "LOGIN_TIMEOUT", 0.5)
    ssh.plays("=")
    assert "did not finish" in ssh.refusal().message
    ssh.plays(f"?{PASSWORD}", f"={AUTHENTICATED}", "=Welcome.\r\n")
    error = ssh.refusal()
    assert "was let in" in error.message
    assert "Welcome." in error.message
    assert "ForceCommand" in error.advice


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("ED25519", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"),
        ("ECDSA", "ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub"),
        ("RSA", "ssh-keygen -lf /etc/ssh/ssh_host_rsa_key.pub"),
        ("ED25519-SK", "cat /etc/ssh/ssh_host_*_key.pub | ssh-keygen -lf -"),
    ],
)
def test_a_host_key_that_is_not_accepted_is_compared_with_the_file_of_its_type(
    ssh: Ssh, kind: str, command: str
) -> None:
    fingerprint = "SHA256:" + "A" * 43
    ssh.plays(f"={kind} key fingerprint is {fingerprint}.\r\nGo on (yes/no/[fingerprint])? ")
    error = ssh.refusal(accept_host_key=False)
    assert fingerprint in error.message
    assert f"`{command}`" in error.advice


def test_what_ssh_said_is_told_once(ssh: Ssh) -> None:
    ssh.plays("=Something odd\r\n", f"?{PASSWORD}", "=Something else\r\n", "!255")
    message = ssh.refusal().message
    assert message.count("Something odd") == message.count("Something else") == message.count("password:") == 1


@pytest.mark.parametrize(
    ("code", "words"), [("1", "exit code 1, without a word"), ("255", "let conv in and closed the connection")]
)
def test_a_session_that_ends_at_once_is_not_a_failed_login(ssh: Ssh, code: str, words: str) -> None:
    ssh.plays(f"?{PASSWORD}", f"={AUTHENTICATED}", f"!{code}")
    assert words in ssh.refusal().message


def test_a_server_that_talks_without_end_is_read_with_bounded_memory(
    ssh: Ssh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_dialogue, "_MAX_OUTPUT", 4096)
    ssh.plays(*["=" + "x" * 4000 + "\r\n"] * 50, f"?{PASSWORD}", *["=" + "y" * 4000 + "\r\n"] * 50, "=ready yes\n")
    assert ssh.log_in() == "yes"
