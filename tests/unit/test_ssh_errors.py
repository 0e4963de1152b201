"""What ssh says when it fails, as OpenSSH 7 to 9 say it, and what the operator reads instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.errors import (
    ConnectionDropped,
    ConnectionFailed,
    LoginRefused,
    NothingInCommon,
    P2VError,
    PreflightRefused,
    WrongHostKey,
)
from p2v_tui.session.remote.result import last_lines
from p2v_tui.session.ssh.errors import explain, password_refused
from p2v_tui.session.ssh.login_errors import no_answer
from p2v_tui.session.words.terminal_text import plain

CHANGED = b"""@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
Host key for [conv]:2222 has changed and you have requested strict checking.\r
Host key verification failed.\r
"""

RECORDED_CLOSE = b"kex_exchange_identification: Connection closed by remote host\r\n"

# message, class, setting, a word of the explanation
RECORDED: list[tuple[bytes, type[P2VError], str | None, str]] = [
    (
        b"ssh: Could not resolve hostname conv: Name or service not known\r\n",
        ConnectionFailed,
        "remote.server",
        "Name or service not known",
    ),
    (
        b"ssh: Could not resolve hostname conv: Temporary failure in name resolution\r\n",
        ConnectionFailed,
        "remote.server",
        "Temporary failure",
    ),
    (
        b"ssh: connect to host conv port 2222: Connection refused\r\n",
        ConnectionFailed,
        "remote.port",
        "refuses connections to port 2222",
    ),
    (
        b"ssh: connect to host conv port 2222: Connection timed out\r\n",
        ConnectionFailed,
        "remote.server",
        "does not answer",
    ),
    (b"Connection timed out during banner exchange\r\n", ConnectionFailed, "remote.port", "no SSH server answers"),
    (
        b"kex_exchange_identification: banner line too long\r\n",
        ConnectionFailed,
        "remote.port",
        "no SSH server answers",
    ),
    (
        b"kex_exchange_identification: banner line 0: HTTP/1.1 400 Bad Request\r\n"
        b"kex_exchange_identification: Connection closed by remote host\r\n",
        ConnectionFailed,
        "remote.port",
        "no SSH server answers",
    ),
    (
        b"ssh: connect to host conv port 2222: No route to host\r\n",
        ConnectionFailed,
        "remote.server",
        "No route to host",
    ),
    (
        b"ssh: connect to host conv port 2222: Network is unreachable\r\n",
        ConnectionFailed,
        "remote.server",
        "Network is unreachable",
    ),
    (CHANGED, WrongHostKey, "remote.hostkey", "another host key"),
    (
        b"No ED25519 host key is known for conv and you have requested strict checking.\r\n"
        b"Host key verification failed.\r\n",
        WrongHostKey,
        "remote.hostkey",
        "host key",
    ),
    (
        b"root@conv: Permission denied (publickey,password,keyboard-interactive).\r\n",
        LoginRefused,
        "auth.password",
        "refused the password of root",
    ),
    (
        b"root@conv: Permission denied (publickey,gssapi-keyex,gssapi-with-mic).\r\n",
        LoginRefused,
        "auth.identity.url",
        "only by publickey",
    ),
    (
        b"Received disconnect from 10.0.0.1 port 2222:2: Too many authentication failures\r\n",
        LoginRefused,
        "auth.password",
        "refused the password",
    ),
    (
        b"Unable to negotiate with 10.0.0.1 port 2222: no matching host key type found. Their offer: ssh-dss\r\n",
        NothingInCommon,
        None,
        "Their offer: ssh-dss",
    ),
    (
        b"Error: remote port forwarding failed for listen port 0\r\n",
        PreflightRefused,
        None,
        "remote port forwarding",
    ),
    (
        b"Error: remote port forwarding failed for listen path /tmp/virt-p2v-20261123-abcdefgh/disk0.1.sock\r\n",
        PreflightRefused,
        None,
        "does not forward a Unix socket",
    ),
    (
        b"Warning: remote port forwarding failed for listen port 0\r\n",
        PreflightRefused,
        None,
        "remote port forwarding",
    ),
    (b"This account is currently not available.\r\n", LoginRefused, "auth.username", "gets no shell"),
    (
        b"kex_exchange_identification: Connection closed by remote host\r\n",
        ConnectionDropped,
        None,
        "Connection closed by remote host",
    ),
    (
        b"kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 10.0.0.1 port 22\r\n",
        ConnectionDropped,
        None,
        "Connection reset by peer",
    ),
    (
        b"ssh_exchange_identification: Connection closed by remote host\r\n",
        ConnectionDropped,
        None,
        "before the login",
    ),
    (b"Connection closed by 10.0.0.1 port 22\r\n", ConnectionDropped, None, "Connection closed by 10.0.0.1"),
    (b"kex_exchange_identification: banner line 0: Not allowed at this time\r\n", ConnectionDropped, None, "Not all"),
    (
        b"Password change required but no TTY available.\r\n",
        LoginRefused,
        "auth.password",
        "has expired",
    ),
    (
        b"Your account has expired; please contact your system administrator.\r\n"
        b"Connection closed by 10.0.0.1 port 22\r\n",
        LoginRefused,
        "auth.username",
        "account has expired",
    ),
    (b"", ConnectionFailed, None, "It said: nothing"),
]


@pytest.mark.parametrize(("said", "kind", "setting", "word"), RECORDED)
def test_each_recorded_message_has_its_own_explanation(
    said: bytes, kind: type[P2VError], setting: str | None, word: str
) -> None:
    error = explain(said, "conv", 2222, "root", False)
    assert type(error) is kind
    assert error.setting == setting
    assert word in error.message
    assert error.advice
    assert error.exit_code == 4 if kind is PreflightRefused else 3


def test_a_refused_identity_is_not_called_a_wrong_password() -> None:
    error = explain(b"root@conv: Permission denied (publickey,password).\r\n", "conv", 22, "root", True)
    assert isinstance(error, ConnectionFailed)
    assert error.setting == "auth.identity.url"
    assert "password" not in error.message


PARTLY = b'Authenticated using "publickey" with partial success.\r\n'
TO_CONV = b'Authenticated to conv ([192.0.2.1]:22) using "password".\r\r\n'


@pytest.mark.parametrize(
    ("said", "by_identity", "key_type", "words"),
    [
        (
            PARTLY + b"conv@conv: Permission denied (password).\r\n",
            True,
            "ED25519",
            ["accepted the SSH identity", "wants a password besides", "AuthenticationMethods"],
        ),
        (PARTLY + b"conv@conv: Permission denied (keyboard-interactive).\r\n", True, "RSA", ["a password besides"]),
        (
            b"conv@conv: Permission denied (password).\r\n",
            True,
            "RSA",
            ["takes no SSH identity", "password", "PubkeyAuthentication"],
        ),
        (
            b"conv@conv: Permission denied (publickey).\r\n",
            True,
            "RSA",
            ["refused the SSH identity", "type RSA", "PubkeyAcceptedAlgorithms", "RequiredRSASize"],
        ),
        (b"conv@conv: Permission denied (publickey).\r\n", True, "ECDSA", ["type ECDSA", "PubkeyAccepted"]),
        (
            b'Authenticated using "password" with partial success.\r\nPermission denied (publickey).\r\n',
            False,
            "",
            ["took the password of conv and wants more"],
        ),
        (TO_CONV + b"Sorry, no shell for you\r\n", False, "", ["gets no shell", "exit code 1", "Sorry, no shell"]),
        (TO_CONV, False, "", ["gets no shell", "without a word", "/bin/false", "ForceCommand"]),
    ],
)
def test_login_failures_are_told_apart(said: bytes, by_identity: bool, key_type: str, words: list[str]) -> None:
    error = explain(said, "conv", 22, "conv", by_identity, key_type=key_type, exit_code=1)
    for word in words:
        assert word in str(error)
    assert "Authenticated" not in error.message


@pytest.mark.parametrize("by_identity", [True, False])
def test_root_is_told_of_permit_root_login_and_others_are_not(by_identity: bool) -> None:
    said = b"Permission denied (publickey,password).\r\n"
    assert "PermitRootLogin" in explain(said, "conv", 22, "root", by_identity).advice
    assert "PermitRootLogin" not in explain(said, "conv", 22, "conv", by_identity).advice


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (RECORDED_CLOSE, ["MaxStartups", "PerSourcePenalties", "fail2ban", "hosts.deny"]),
        (b"ssh: connect to host conv port 22: Connection refused\r\n", ["fail2ban"]),
    ],
)
def test_what_shuts_this_machine_out_is_named(said: bytes, words: list[str]) -> None:
    for word in words:
        assert word in explain(said, "conv", 22, "conv", False).advice


@pytest.mark.parametrize("end", ["path /tmp/x/disk0.1.sock", "port 0"])
@pytest.mark.parametrize("by_identity", [True, False])
def test_everything_that_forbids_forwarding_is_named(end: str, by_identity: bool) -> None:
    said = f"Error: remote port forwarding failed for listen {end}\r\n".encode()
    advice = explain(said, "conv", 22, "conv", by_identity).advice
    for word in ("AllowTcpForwarding yes", "CIS", "STIG", "DisableForwarding", "Match"):
        assert word in advice
    assert ("AllowStreamLocalForwarding" in advice) is end.startswith("path")
    assert ("restrict" in advice) is by_identity


def test_a_banner_before_the_refusal_does_not_hide_it() -> None:
    banner = b"Connection refused for the idle: sessions are timed out. password:\r\n"
    error = explain(banner + b"root@conv: Permission denied (password).\r\n", "conv", 22, "root", False)
    assert isinstance(error, ConnectionFailed)
    assert error.setting == "auth.password"


def test_a_refused_password_is_said_to_have_been_sent_once() -> None:
    error = password_refused("conv", "host1")
    assert "conv" in error.message
    assert "host1" in error.message
    assert "once" in error.advice


def test_a_login_that_hangs_is_told_with_the_last_that_was_heard() -> None:
    error = no_answer(b"Welcome\r\nPress ENTER to go on\r\n", "conv", 22, 75.0)
    assert "75 seconds" in error.message
    assert "Press ENTER to go on" in error.message
    assert "heard" not in no_answer(b"", "conv", 22, 75.0).message


def test_the_last_lines_are_those_that_say_something() -> None:
    assert last_lines("one\r\n\x1b[31mtwo\x1b[0m\n\n  \nthree\n\n", 2) == ["two", "three"]


@given(st.binary(), st.booleans())
def test_whatever_ssh_says_the_explanation_is_one_of_ours_and_drives_no_terminal(said: bytes, identity: bool) -> None:
    error = explain(said, "conv", 22, "root", identity)
    assert isinstance(error, P2VError)
    assert plain(error.message) == error.message


@given(
    st.sampled_from([said for said, *_ in RECORDED]),
    st.sampled_from(["\x1b[2J", "\x1b]0;x\x07", "\x9b2J", "\x08"]),
    st.integers(0, 200),
)
def test_no_explanation_carries_a_control_sequence_of_the_servers(said: bytes, sequence: str, place: int) -> None:
    text = said[:place] + sequence.encode() + said[place:]
    error = explain(text, "conv", 2222, "root", False)
    assert plain(error.message) == error.message


HOST_KEY_QUESTION = (
    b"The authenticity of host '[conv]:2222 ([10.0.0.1]:2222)' can't be established.\r\n"
    b"ED25519 key fingerprint is SHA256:C4LD6d6mRduWDArKmix/OtyjLQEtUVHctmjgKKWVHgQ.\r\n"
    b"This key is not known by any other names.\r\n"
    b"Are you sure you want to continue connecting (yes/no/[fingerprint])? yes\r\n"
)


def test_the_question_about_the_host_key_is_no_reason() -> None:
    assert "It said: nothing." in explain(HOST_KEY_QUESTION, "conv", 2222, "root", True, exit_code=255).message


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "without a word."),
        (b"channel 0: open failed: connect failed: open failed\r\n", "ssh said: channel 0: open failed"),
    ],
)
def test_a_session_that_sshd_closes_is_no_failed_login(said: bytes, words: str) -> None:
    """As with a ChrootDirectory that has no shell, or MaxSessions 0."""
    transcript = HOST_KEY_QUESTION + b'Authenticated to conv ([10.0.0.1]:2222) using "publickey".\r\n' + said
    error = explain(transcript, "conv", 2222, "root", True, exit_code=255)
    assert "let root in and closed the connection at once" in error.message
    assert words in error.message
    assert "ChrootDirectory" in error.advice
