"""Where and how to log in to the conversion server: ssh's command line, its ciphers, the password."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2v_tui.kinds import Secret

# After so many seconds ssh itself gives up on a silent server.
CONNECT_TIMEOUT: Final = 15
# Firewalls see traffic every 15 s, and an outage of less than 5 minutes breaks nothing.
KEEPALIVE_INTERVAL: Final = 15
KEEPALIVE_COUNT: Final = 20

_AES: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_CHACHA: Final = ("chacha20-poly1305@openssh.com",)
_OTHERS: Final = ("aes128-ctr", "aes192-ctr", "aes256-ctr")


def cipher_preference(cpu_has_aes: bool) -> tuple[str, ...]:
    """The ciphers to offer, fastest first. Several, as the server may refuse one.

    With AES instructions AES-GCM is about 1.5 times as fast as OpenSSH's default, chacha20; without them chacha20
    wins.
    """
    return (_AES + _CHACHA if cpu_has_aes else _CHACHA + _AES) + _OTHERS


class PasswordSource:
    """The login password: given, or asked for once and then remembered for the run's further connections."""

    def __init__(self, password: Secret | None, ask: Callable[[str], Secret | None] | None) -> None:
        self._password = password
        self._ask = ask

    def answer(self, question: str) -> Secret | None:
        """The password, asked for with ssh's own question if none was given; None if nobody can be asked."""
        if self._password is None and self._ask is not None:
            self._password = self._ask(question)
        return self._password

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (self._password,) if self._password else ()


@dataclass(frozen=True)
class Login:
    """Where and how to log in. identity: a private key file; it excludes the password.

    known_hosts: the file with the accepted host keys; ssh adds the first one that it is told to accept.
    accept_host_key: called with the fingerprint and type (ED25519) while that file does not exist; later no other key
    is accepted.
    key_type: the identity's, as ssh-keygen prints it (ED25519, RSA). host_key_algorithms: for the server's host key;
    empty for ssh's own order.
    """

    host: str
    port: int
    user: str
    known_hosts: Path
    ciphers: tuple[str, ...]
    passwords: PasswordSource
    accept_host_key: Callable[[str, str], bool]
    identity: Path | None = None
    key_type: str = ""
    host_key_algorithms: str = ""

    def command(self, options: Sequence[str], remote_command: str | None) -> list[str]:
        """The ssh command line, without the program's name."""
        settings = {
            "StrictHostKeyChecking": "yes" if self.known_hosts.exists() else "ask",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "UpdateHostKeys": "no",
            "HashKnownHosts": "no",
            "ConnectTimeout": str(CONNECT_TIMEOUT),
            "ServerAliveInterval": str(KEEPALIVE_INTERVAL),
            "ServerAliveCountMax": str(KEEPALIVE_COUNT),
            "NumberOfPasswordPrompts": "1",
            "Ciphers": ",".join(self.ciphers),
            "IdentityAgent": "none",
            # Then ssh reports when sshd lets us in, and when it wants another method after the first.
            "LogLevel": "VERBOSE",
        }
        if self.host_key_algorithms:
            settings["HostKeyAlgorithms"] = self.host_key_algorithms
        if self.identity is not None:
            settings |= {
                "PreferredAuthentications": "publickey",
                "IdentityFile": str(self.identity),
                "IdentitiesOnly": "yes",
            }
        else:
            settings |= {
                "PreferredAuthentications": "keyboard-interactive,password",
                "PubkeyAuthentication": "no",
            }
        # -F none: this machine's ssh_config must not change the behaviour.
        arguments = ["-F", "none", "-e", "none", "-p", str(self.port), "-l", self.user]
        for key, value in settings.items():
            arguments += ["-o", f"{key}={value}"]
        return [*arguments, *options, "--", self.host, *([remote_command] if remote_command else [])]
