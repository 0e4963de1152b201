"""Turns ssh's error output into errors that tell the operator what to do. ssh runs in the C locale."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

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
from p2v_tui.session.words.terminal_text import plain

# ssh's exit code for its own failures; any other is from the remote command or the login shell.
SSH_FAILED = 255

_LOGGED_IN = re.compile(rb"^Authenticated to [^\n]*\.\r*$", re.MULTILINE)
_PARTLY = re.compile(r"^Authenticated (using \S+ )?with partial success", re.MULTILINE)
# How ssh's own messages about the network begin: a banner may say "timed out" about anything.
_OF_SSH = r"^(?:ssh: connect to |(?:kex|ssh)_exchange_identification: |banner exchange: |Connection |Timeout, )"


@dataclass(frozen=True)
class _Attempt:
    """key_type: of the identity, such as RSA; empty if unknown or without one."""

    host: str
    port: int
    user: str
    by_identity: bool
    key_type: str
    partly: bool

    @property
    def place(self) -> str:
        return f"{self.host} port {self.port}"

    @property
    def by_hand(self) -> str:
        return f"ssh -p {self.port} {self.user}@{self.host}"


def explain(
    transcript: bytes,
    host: str,
    port: int,
    user: str,
    by_identity: bool,
    *,
    key_type: str = "",
    exit_code: int | None = None,
) -> P2VError:
    """The error for a login that ssh gave up. transcript: all that it printed. exit_code: ssh's, if known."""
    # Parts of it appear in messages, and the server's banner can contain anything.
    text = "\n".join(plain(line) for line in transcript.decode(errors="replace").splitlines())
    attempt = _Attempt(host, port, user, by_identity, key_type, _PARTLY.search(text) is not None)
    for pattern, make in _EXPLANATIONS:
        if match := re.search(pattern, text, re.MULTILINE):
            return make(attempt, match)
    if is_logged_in(transcript):
        said = _after_login(transcript)
        if exit_code in {None, SSH_FAILED}:
            return _session_closed(attempt, said)
        return _session_ended(attempt, said, exit_code or 0)
    said = " / ".join(last_lines(text, 3)) or "nothing"
    return ConnectionFailed(
        f"ssh to {attempt.place} as {user} ended before the login was complete. It said: {said}.",
        f"Try the same by hand from the shell: {attempt.by_hand}",
    )


def is_logged_in(transcript: bytes) -> bool:
    """Whether sshd has let us in; later output is from the account's shell."""
    return _LOGGED_IN.search(transcript) is not None


def last_heard(transcript: bytes) -> str:
    """A space and a sentence with the last words of ssh or the server; empty if they said nothing."""
    said = " / ".join(last_lines(_after_login(transcript), 3))
    return f" Last heard: {said}." if said else ""


def password_refused(user: str, host: str) -> ConnectionFailed:
    """sshd does not say why. PermitRootLogin is the usual reason for root: by default it takes no password."""
    root = (
        " Root needs `PermitRootLogin yes` in sshd_config for it; or use p2v.identity, or a user with p2v.sudo."
        if user == "root"
        else ""
    )
    return LoginRefused(
        f"The conversion server {host} refused the password of {user}.",
        "It was sent once. Check the user name and the password, and that the server lets this user log in with "
        f"one.{root}",
        setting="auth.password",
    )


def _after_login(transcript: bytes) -> str:
    match = _LOGGED_IN.search(transcript)
    return transcript[match.end() if match else 0 :].decode(errors="replace")


def _session_ended(attempt: _Attempt, said: str, exit_code: int) -> P2VError:
    words = " / ".join(last_lines(said, 3))
    return LoginRefused(
        f"{attempt.user} may log in to {attempt.host} but gets no shell: the session ended at once with exit code "
        f"{exit_code}" + (f" and said: {words}." if words else ", without a word."),
        f"Look at the account's login shell there (getent passwd {attempt.user}: /bin/false and nologin give none), "
        "at its start-up files, and at ForceCommand in sshd_config."
        + (" A command= in authorized_keys takes the shell's place, too." if attempt.by_identity else ""),
        setting="auth.username",
    )


def _session_closed(attempt: _Attempt, said: str) -> P2VError:
    words = " / ".join(last_lines(said, 3))
    return ConnectionFailed(
        f"The conversion server {attempt.host} let {attempt.user} in and closed the connection at once"
        + (f". ssh said: {words}." if words else ", without a word."),
        f"Look at sshd's log there (journalctl -u ssh -u sshd), at ChrootDirectory, ForceCommand and MaxSessions in "
        f"its sshd_config, and at the limits of {attempt.user} (ulimit -u). By hand: {attempt.by_hand}",
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
        "Check p2v.port, and on the server that sshd runs and that no firewall rejects this machine (fail2ban does "
        "after failed logins: fail2ban-client status sshd).",
        setting="remote.port",
    )


def _dropped(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return ConnectionDropped(
        f"{attempt.place} closed the connection before the login: {match[0].strip()}.",
        "sshd does so when too many log in at once (MaxStartups), to an address with failed logins before "
        "(PerSourcePenalties, fail2ban), and where hosts.deny or a firewall forbids this machine; another service on "
        "this port does, too (p2v.port). Look at sshd's log there: journalctl -u ssh -u sshd",
    )


def _silent(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.place} does not answer.",
        "Check the address, that the server is up, and that no firewall drops the packets.",
        setting="remote.server",
    )


def _no_ssh(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.place} takes the connection, but no SSH server answers there.",
        f"Check p2v.port: another service may listen on {attempt.port}. An sshd that is overloaded is as silent.",
        setting="remote.port",
    )


def _unreachable(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return ConnectionFailed(
        f"{attempt.host} cannot be reached from this machine: {match[1]}.",
        "Check this machine's cable, address and gateway.",
        setting="remote.server",
    )


def _host_key(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return WrongHostKey(
        f"{attempt.host} shows another host key than before: it may not be the same server.",
        "Nothing was sent to it. If the server was reinstalled, start again; otherwise somebody may intercept the "
        "connection.",
        setting="remote.hostkey",
    )


def _unknown_host_key(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return WrongHostKey(
        f"The host key of {attempt.place} is not one of the known ones.",
        "Nothing was sent to it. Run `ssh-keyscan` on its address in the shell to see what it answers.",
        setting="remote.hostkey",
    )


def _expired(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return LoginRefused(
        f"The password of {attempt.user} on the conversion server {attempt.host} has expired: {match[1].strip()}",
        f"Log in there by hand and change it: {attempt.by_hand}",
        setting="auth.password",
    )


def _account_closed(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return LoginRefused(
        f"The conversion server {attempt.host} does not let {attempt.user} in: {match[1].strip()}",
        f"Look there as root with `chage -l {attempt.user}` and `ls /run/nologin`, or use another user.",
        setting="auth.username",
    )


def _denied(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    methods = match[1].split(",")
    if attempt.by_identity:
        return _identity_refused(attempt, methods)
    if attempt.partly:
        return LoginRefused(
            f"The conversion server {attempt.host} took the password of {attempt.user} and wants more: {match[1]}.",
            "p2v-tui logs in with one of the two, a password or an SSH identity (p2v.identity). Let this user in "
            "with one: AuthenticationMethods in a Match block of its sshd_config.",
            setting="auth.identity.url",
        )
    if not {"password", "keyboard-interactive"} & set(methods):
        return LoginRefused(
            f"The conversion server {attempt.host} lets {attempt.user} log in only by {match[1]}, not by password.",
            "Use p2v.identity, or allow passwords in its sshd_config (PasswordAuthentication, PermitRootLogin).",
            setting="auth.identity.url",
        )
    return password_refused(attempt.user, attempt.host)


def _identity_refused(attempt: _Attempt, methods: list[str]) -> P2VError:
    if attempt.partly:
        wanted = "a password" if {"password", "keyboard-interactive"} & set(methods) else ", ".join(methods)
        return LoginRefused(
            f"The conversion server {attempt.host} accepted the SSH identity of {attempt.user}, and wants {wanted} "
            "besides.",
            "p2v-tui logs in with the identity alone. Let this user in so: `AuthenticationMethods publickey` in a "
            "Match block of its sshd_config.",
            setting="auth.identity.url",
        )
    if "publickey" not in methods:
        return LoginRefused(
            f"The conversion server {attempt.host} takes no SSH identity from {attempt.user}, only "
            f"{', '.join(methods)}.",
            "Leave p2v.identity out and give p2v.password, or set `PubkeyAuthentication yes` in its sshd_config.",
            setting="auth.identity.url",
        )
    kind = attempt.key_type
    hint = f" It is of type {kind}: the server may take others only (PubkeyAcceptedAlgorithms" if kind else ""
    hint += (", RequiredRSASize)." if kind == "RSA" else ").") if kind else ""
    root = " Root may be forbidden to log in (PermitRootLogin)." if attempt.user == "root" else ""
    return LoginRefused(
        f"The conversion server {attempt.host} refused the SSH identity for {attempt.user}.",
        f"Add the public key to ~{attempt.user}/.ssh/authorized_keys there; check that file's owner and mode, and "
        f"from= before the key.{hint}" + root,
        setting="auth.identity.url",
    )


def _negotiation(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return NothingInCommon(
        f"{attempt.host} and this machine's ssh have nothing in common: {plain(match[0]).strip()}.",
        "The server's sshd is too old or too strict; update it or allow one of the algorithms named.",
    )


def _forwarding(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return PreflightRefused(
        f"The conversion server {attempt.host} does not allow remote port forwarding (ssh -R) for {attempt.user}.",
        "Set `AllowTcpForwarding yes`" + _where_forwarding_is_set(attempt),
    )


def _socket_forwarding(attempt: _Attempt, _: re.Match[str]) -> P2VError:
    return PreflightRefused(
        f"The conversion server {attempt.host} does not forward a Unix socket (ssh -R) for {attempt.user}.",
        "Set `AllowTcpForwarding yes` and `AllowStreamLocalForwarding yes`" + _where_forwarding_is_set(attempt),
    )


def _where_forwarding_is_set(attempt: _Attempt) -> str:
    """Lists every place that may forbid forwarding, as sshd does not say. Usually it is a hardening profile."""
    key = (
        " The key's options in authorized_keys (restrict, no-port-forwarding) forbid it too."
        if attempt.by_identity
        else ""
    )
    return (
        f" for {attempt.user} in its sshd_config, and reload sshd. CIS and STIG profiles set AllowTcpForwarding to "
        "no; `local`, DisableForwarding, PermitListen and Match blocks forbid it as well. To see them there: "
        f"grep -riE 'forwarding|permitlisten' /etc/ssh/sshd_config*.{key}"
    )


def _no_shell(attempt: _Attempt, match: re.Match[str]) -> P2VError:
    return LoginRefused(
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
    (
        r"^([^\r\n]*(?:[Pp]assword (?:change required|has expired)|required to change your password)[^\r\n]*)",
        _expired,
    ),
    (
        r"^([^\r\n]*(?:account has expired|account is locked|System is (?:booting up|going down))[^\r\n]*)",
        _account_closed,
    ),
    (r"Permission denied \(([^)]*)\)", _denied),
    (
        r"(Too many authentication failures)|Disconnected from authenticating",
        lambda a, _: password_refused(a.user, a.host),
    ),
    (r"(This account is currently not available|[Ss]hell [^\r\n]*(?:not found|not executable)[^\r\n]*)", _no_shell),
    (r"^ssh: connect to [^\r\n]*Connection refused", _refused),
    (
        r"^ssh: connect to [^\r\n]*: (No route to host|(?:Network|Host) is (?:unreachable|down)|"
        r"Cannot assign requested address|Permission denied|Invalid argument)",
        _unreachable,
    ),
    (
        r"^Connection timed out during banner exchange|^(?:kex_exchange_identification|ssh_exchange_identification|"
        r"banner exchange): [^\r\n]*banner line (?:too long|contains invalid|\d+: (?:HTTP/|<|220[ -]|\* OK|\+OK))",
        _no_ssh,
    ),
    (_OF_SSH + r"[^\r\n]*(?:timed out|not responding)", _silent),
    (
        r"^(?:kex_exchange_identification: |ssh_exchange_identification: |banner exchange: |kex_\w+: )[^\r\n]*|"
        r"^Connection (?:closed|reset) by [^\r\n]* port \d+[^\r\n]*|Exceeded MaxStartups|Not allowed at this time",
        _dropped,
    ),
)
