"""The environment that an account's start-up files make, for the virt-v2v that runs without a login shell.

virt-p2v types its commands into a login shell, so that its virt-v2v sees what profiles set: OS_* for OpenStack,
LIBGUESTFS_BACKEND, VIRTIO_WIN, PATH. So the account's login shell is asked once, apart from the control connection,
for its environment; whatever profiles print, ask or break does no harm there.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from p2v_tui.kinds import Secret
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.ssh.shell import RemoteShell

# How long the start-up files may take, in seconds.
PROFILE_SECONDS: Final = 10

_NAME: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
# Variables of a shell and its terminal, of the language, and those that are read-only where sh is bash.
_OF_A_SHELL: Final = re.compile(
    rb"BASH.*|SHELLOPTS|E?UID|E?GID|PPID|GROUPS|IFS|OPT(IND|ARG|ERR)|PS[0-4]|PROMPT.*|ENV|TMOUT|HIST.*|_|PWD|OLDPWD|"
    rb"SHLVL|LC_.*|LANG(UAGE)?|TERM.*|SSH_.*|RANDOM|SECONDS|LINENO|FUNCNAME|POSIXLY_CORRECT|XDG_SESSION.*|MAIL"
)
# Variables that virt-v2v and its children read; sudo may drop all others without a warning.
_OF_VIRT_V2V: Final = re.compile(
    r"OS_\w+|LIBGUESTFS_\w+|GUESTFISH_\w+|VIRT\w+|SUPERMIN_\w+|LIBVIRT_\w+|NBDKIT_\w+|QEMU_\w+|TMPDIR|"
    r"(https?|ftp|all|no)_proxy|(HTTPS?|FTP|ALL|NO)_PROXY|REQUESTS_CA_BUNDLE|SSL_CERT_\w+|CURL_CA_BUNDLE"
)


@dataclass(frozen=True)
class LoginEnvironment:
    """variables: those that the start-up files set or change. skipped: why they are unknown; else empty."""

    variables: Mapping[str, Secret] = field(repr=False)
    skipped: str = ""


@dataclass(frozen=True)
class SudoEnvironment:
    """Which variables reach virt-v2v through sudo. kept, lost: names, sorted."""

    kept: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    def advice(self, user: str) -> str:
        return f'Add this line there with visudo: Defaults:{user} env_keep += "{" ".join(self.lost)}"'


def ask_login_environment(shell: RemoteShell) -> LoginEnvironment:
    """Asks the account's login shell. Raises as `RemoteShell.run` does, whatever the login shell does."""
    token = secrets.token_hex(12)
    result = shell.run(remote_commands.login_environment(token, PROFILE_SECONDS))
    own, mark, login = result.output.rpartition(b"\n" + token.encode() + b"\n")
    if not mark or result.status != 0:
        how = (
            f"they did not end within {PROFILE_SECONDS} seconds"
            if result.status in remote_commands.TIMED_OUT
            else "they end the shell, or start another one"
        )
        return LoginEnvironment({}, f"its start-up files set no environment that could be read: {how}")
    before, after = _parse(own), _parse(login)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    return LoginEnvironment({name.decode(): Secret.from_bytes(value) for name, value in changed.items()})


def ask_sudo(shell: RemoteShell) -> SudoEnvironment:
    """Which of virt-v2v's variables sudo passes on if asked to. Raises as `RemoteShell.run` does."""
    names = shell.run("env -0 | tr -d '\\n' | tr '\\0' '\\n' | sed -n 's/^\\([A-Za-z0-9_]*\\)=.*/\\1/p'").text.split()
    wanted = sorted({name for name in names if _OF_VIRT_V2V.fullmatch(name)})
    if not wanted:
        return SudoEnvironment()
    result = shell.run(remote_commands.virt_v2v_version(True, keeping=wanted))
    if result.status == 0:
        return SudoEnvironment(tuple(wanted))
    # sudo names exactly those that neither env_keep nor SETENV lets through.
    refused = re.search(r"not allowed to set the following environment variables: ([\w, ]+)", result.text)
    lost = sorted(set(re.findall(r"\w+", refused[1])) & set(wanted)) if refused else wanted
    kept = [name for name in wanted if name not in lost]
    return SudoEnvironment(tuple(kept), tuple(lost))


def _parse(output: bytes) -> dict[bytes, bytes]:
    variables = {}
    for entry in output.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and _NAME.fullmatch(name) and not _OF_A_SHELL.fullmatch(name):
            variables[name] = value
    return variables
