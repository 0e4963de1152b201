"""The errors of the login dialogue, for failures that ssh itself does not report."""

from __future__ import annotations

from typing import Final

from p2v_tui.errors import ConnectionFailed, LoginRefused, WrongHostKey
from p2v_tui.session.ssh.errors import last_heard
from p2v_tui.session.ssh.host_keys import fingerprint_command
from p2v_tui.session.ssh.login import Login

_IDENTITY: Final = "auth.identity.url"
_START_UP = (
    "Look at the account's start-up files (.bashrc) and at ForceCommand in the server's sshd_config: neither may ask "
    "anything or start another shell without a terminal."
)


def password_expired(user: str, host: str) -> ConnectionFailed:
    return LoginRefused(
        f"The password of {user} on the conversion server {host} has expired: the server wants a new one.",
        f"Log in there by hand and change it: ssh {user}@{host}. Or use an SSH identity (p2v.identity).",
        setting="auth.password",
    )


def more_than_a_password(question: str) -> ConnectionFailed:
    return LoginRefused(
        f"The conversion server asks for more than a password: {question!r}.",
        "p2v-tui cannot answer that for every connection; use an SSH identity (p2v.identity) that the server takes "
        "alone (AuthenticationMethods publickey in a Match block for this user).",
        setting=_IDENTITY,
    )


def no_password(user: str) -> ConnectionFailed:
    return LoginRefused(
        f"The conversion server asks {user} for a password, and none was given.",
        "Give p2v.password or p2v.identity.",
        setting="auth.password",
    )


def host_key_not_accepted(login: Login, fingerprint: str, kind: str) -> ConnectionFailed:
    return WrongHostKey(
        f"The host key of {login.host} ({fingerprint}) was not accepted.",
        f"Compare it with what `{fingerprint_command(kind)}` prints on the server.",
        setting="remote.hostkey",
    )


def nobody_answers(login: Login, question: str, *, logged_in: bool) -> ConnectionFailed:
    """A question waits for a person: PAM's during the login, the session's after it."""
    if not logged_in:
        return more_than_a_password(question)
    return LoginRefused(
        f"{login.user} was let in to {login.host}, but no shell answers: something there waits at {question!r}.",
        _START_UP,
        setting="auth.username",
    )


def no_answer(transcript: bytes, host: str, port: int, seconds: float) -> ConnectionFailed:
    return ConnectionFailed(
        f"The login to {host} port {port} did not finish in {seconds:.0f} seconds." + last_heard(transcript),
        "Check that an SSH server answers there, and that it is not overloaded.",
        setting="remote.server",
    )


def no_end(login: Login, transcript: bytes, seconds: float, *, logged_in: bool) -> ConnectionFailed:
    if not logged_in:
        return no_answer(transcript, login.host, login.port, seconds)
    return ConnectionFailed(
        f"{login.user} was let in to {login.host}, but no shell answered in {seconds:.0f} seconds."
        + last_heard(transcript),
        _START_UP,
        setting="remote.server",
    )
