"""What ssh says when it fails, in words that tell the operator what to do. ssh runs in the C locale of its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from p2v_tui.errors import ConnectionFailed, P2VError, PreflightRefused
from p2v_tui.session.terminal_text import plain


@dataclass(frozen=True)
class _Attempt:
    host: str
    port: int
    user: str
    by_identity: bool

    @property
    def place(self) -> str:
        return f"{self.host} port {self.port}"


def explain(transcript: bytes, host: str, port: int, user: str, by_identity: bool) -> P2VError:
    """The error for a login that ssh gave up. transcript: all that it printed."""
    # Parts of it become parts of messages, and the server can put anything before them in its banner.
    text = "\n".join(plain(line) for line in transcript.decode(errors="replace").splitlines())
    attempt = _Attempt(host, port, user, by_identity)
    for pattern, make in _EXPLANATIONS:
        if match := re.search(pattern, text):
            return make(attempt, match)
    said = " / ".join(last_lines(text, 3)) or "nothing"
    return ConnectionFailed(
        f"ssh to {attempt.place} as {user} ended before the login was complete. It said: {said}.",
        "Try the same by hand from the shell: " + f"ssh -p {port} {user}@{host}",
    )


def last_lines(text: str, count: int) -> list[str]:
    """The last lines of a program's output that are not empty, harmless for a terminal."""
    return [line for line in (plain(raw).strip() for raw in text.splitlines()) if line][-count:]


def password_refused(user: str, host: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"The conversion server {host} refused the password of {user}.",
        "It was sent once. Check the user name and the password, and that the server lets this user log in with one.",
        setting="auth.password",
    )


def no_answer(transcript: bytes, host: str, port: int, seconds: float) -> ConnectionFailed:
    said = " / ".join(last_lines(transcript.decode(errors="replace"), 3))
    return ConnectionFailed(
        f"The login to {host} port {port} did not come to an end in {seconds:.0f} seconds."
        + (f" The last that was heard: {said}." if said else ""),
        "Check that an SSH server answers there, and that the user's login scripts do not wait for something.",
        setting="remote.server",
    )


def _unresolved(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"The name of the conversion server, {attempt.host!r}, cannot be resolved ({match[1].strip()}).",
        "Check the spelling and this machine's network and DNS, or give an IP address.",
        setting="remote.server",
    )


def _refused(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.host} refuses connections to port {attempt.port}.",
        "Check p2v.port, and on the server that sshd runs and that no firewall rejects this machine.",
        setting="remote.port",
    )


def _silent(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.place} does not answer.",
        "Check the address, that the server is up, and that no firewall drops the packets.",
        setting="remote.server",
    )


def _unreachable(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.host} cannot be reached from this machine: {match[1]}.",
        "Check this machine's cable, address and gateway.",
        setting="remote.server",
    )


def _host_key(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.host} shows another host key than before: it may not be the same server.",
        "Nothing was sent to it. If the server was reinstalled, start again; otherwise somebody is in the path.",
        setting="remote.hostkey",
    )


def _unknown_host_key(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"The host keys of {attempt.place} could not be read, so none could be compared with p2v.remote.hostkey.",
        "Nothing was sent to it. Run `ssh-keyscan` on its address in the shell to see what it answers.",
        setting="remote.hostkey",
    )


def _denied(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    methods = match[1].split(",")
    if attempt.by_identity:
        return ConnectionFailed(
            f"The conversion server {attempt.host} refused the SSH identity for {attempt.user}.",
            f"Add the public key to ~{attempt.user}/.ssh/authorized_keys there; check that file's owner and mode.",
            setting="auth.identity.url",
        )
    if not {"password", "keyboard-interactive"} & set(methods):
        return ConnectionFailed(
            f"The conversion server {attempt.host} lets {attempt.user} log in only by {match[1]}, not by password.",
            "Use p2v.identity, or allow passwords in its sshd_config (PasswordAuthentication, PermitRootLogin).",
            setting="auth.identity.url",
        )
    return password_refused(attempt.user, attempt.host)


def _negotiation(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.host} and this machine's ssh have nothing in common: {plain(match[0]).strip()}.",
        "The server's sshd is too old or too strict; update it or allow one of the algorithms named.",
    )


def _forwarding(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return PreflightRefused(
        f"The conversion server {attempt.host} does not allow remote port forwarding (ssh -R) for {attempt.user}.",
        "Set `AllowTcpForwarding yes` (and no DisableForwarding) in its sshd_config and reload sshd. Options of a "
        "key in authorized_keys (restrict, no-port-forwarding) forbid it too.",
    )


def _socket_forwarding(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return PreflightRefused(
        f"The conversion server {attempt.host} does not forward a Unix socket (ssh -R) for {attempt.user}.",
        "Set `AllowStreamLocalForwarding yes` (and no DisableForwarding) in its sshd_config and reload sshd. Options "
        "of a key in authorized_keys (restrict, no-port-forwarding) forbid it too.",
    )


def _no_shell(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.user} may log in to {attempt.host} but gets no shell: {match[1]}.",
        "Give the user a login shell there, or use another user.",
        setting="auth.username",
    )


_EXPLANATIONS: tuple[tuple[str, Callable[[_Attempt, re.Match[str]], P2VError]], ...] = (
    (r"Could not resolve hostname [^:]*: ([^\r\n]*)", _unresolved),
    (r"remote port forwarding failed for listen path", _socket_forwarding),
    (r"remote port forwarding failed|forwarding request failed|administratively prohibited", _forwarding),
    (r"No \S+ host key is known for", _unknown_host_key),
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed", _host_key),
    (r"Unable to negotiate with [^\r\n]*", _negotiation),
    (r"Permission denied \(([^)]*)\)", _denied),
    (
        r"(Too many authentication failures)|Disconnected from authenticating",
        lambda a, _: password_refused(a.user, a.host),
    ),
    (r"(This account is currently not available|[Ss]hell [^\r\n]*(?:not found|not executable)[^\r\n]*)", _no_shell),
    (r"Connection refused", _refused),
    (r"(No route to host|Network is unreachable)", _unreachable),
    (r"timed out", _silent),
)
