"""Asks the conversion server for virt-v2v's version and features, or why it does not run."""

from __future__ import annotations

import re

from p2v_tui.errors import P2VError, PreflightRefused
from p2v_tui.session.plan.virt_v2v import VirtV2V, parse_features, parse_version, plain_lines
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.result import CommandRunner, Result
from p2v_tui.session.words.terminal_text import plain

# sh's exit status for a program that cannot be run, and for one that was not found.
_CANNOT_BE_RUN, _NO_SUCH_COMMAND = 126, 127
# Messages of sudo, and of sudo-rs, its replacement in Ubuntu 25.10.
_OF_SUDO = re.compile(
    r"^sudo(-rs)?: |may not run sudo|not allowed to (execute|run)|is not in the sudoers|I'm afraid I can't do that",
    re.MULTILINE,
)
_NOT_FOUND = re.compile(r"virt-v2v'?: (command )?not found")


def ask_version(shell: CommandRunner, *, sudo: bool, user: str) -> str:
    """virt-v2v's version on the server. Raises PreflightRefused if it is missing or too old, or sudo refuses."""
    return parse_version(_ask(shell, remote_commands.virt_v2v_version(sudo), sudo=sudo, user=user))


def ask_features(shell: CommandRunner, version: str, *, sudo: bool, user: str) -> VirtV2V:
    """What that virt-v2v can do. Raises as `ask_version` does."""
    return parse_features(version, _ask(shell, remote_commands.virt_v2v_features(sudo), sudo=sudo, user=user))


def _ask(shell: CommandRunner, command: str, *, sudo: bool, user: str) -> str:
    result = shell.run(command)
    if result.status == 0:
        return result.text
    if sudo and (refusal := _sudo_refusal(shell, result, user)):
        raise refusal
    raise _does_not_run(result, _programs(shell).get("virt-v2v"), sudo=sudo, user=user)


def _does_not_run(result: Result, place: str | None, *, sudo: bool, user: str) -> P2VError:
    """place: where the account finds virt-v2v; None if it does not."""
    if loader := re.search(r"error while loading shared libraries: [^\n]*", result.text):
        return PreflightRefused(
            f"virt-v2v on the conversion server does not start: {plain(loader[0]).strip()}.",
            f"Run there: ldd {place or 'virt-v2v'} | grep 'not found'; then install the package that has it.",
        )
    if place is None and (result.status == _NO_SUCH_COMMAND or _NOT_FOUND.search(result.text)):
        return PreflightRefused(
            "virt-v2v is not installed on the conversion server.",
            "Install it there: apt install virt-v2v, or dnf install virt-v2v.",
        )
    if sudo and _NOT_FOUND.search(result.text):
        return PreflightRefused(
            f"sudo on the conversion server does not find virt-v2v. It is {place}: sudo's secure_path lacks that "
            "directory.",
            f'Add this line there with visudo: Defaults:{user} secure_path="{_path_with(place or "")}"',
        )
    if result.status == _CANNOT_BE_RUN:
        return PreflightRefused(
            f"{place or 'virt-v2v'} on the conversion server cannot be run: {result.last_line}.",
            f"Look at its mode and its file system (noexec): ls -lL {place or 'virt-v2v'}; findmnt -T "
            f"{place or 'virt-v2v'}",
        )
    return PreflightRefused(
        f"virt-v2v on the conversion server does not run (exit code {result.status}): {result.last_line}.",
        f"Run `{place or 'virt-v2v'} --version` there and repair the installation.",
    )


def _path_with(program: str) -> str:
    """The usual directories, and the program's."""
    usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return ":".join(dict.fromkeys([*usual, program.rpartition("/")[0]]))


def _sudo_refusal(shell: CommandRunner, result: Result, user: str) -> P2VError | None:
    text = result.text
    if re.search(r"sudo[^\n]*(not found|No such file)", text) and "virt-v2v" not in text:
        return PreflightRefused(
            "sudo is not installed on the conversion server.", "Install it, or log in as root without p2v.sudo."
        )
    if not _OF_SUDO.search(text) or _NOT_FOUND.search(text):
        return None
    if "must have a tty" in text:
        return PreflightRefused(
            f"sudo on the conversion server wants a terminal for {user}.",
            f"Add this line there with visudo: Defaults:{user} !requiretty",
        )
    return PreflightRefused(
        f"sudo on the conversion server does not let {user} run virt-v2v without a password: {result.last_line}.",
        f"Add this line there with visudo -f /etc/sudoers.d/p2v-tui: {sudoers_line(shell, user)}",
    )


def missing_kill(shell: CommandRunner, user: str) -> str | None:
    """A warning if sudo lets `user` run virt-v2v but not stop it; else None."""
    if shell.run(remote_commands.may_kill_as_root()).status == 0:
        return None
    return (
        f"sudo on the conversion server does not let {user} run kill: a cancelled conversion would continue there "
        f"until it loses its disks. Add this line there with visudo: {sudoers_line(shell, user)}"
    )


def sudoers_line(shell: CommandRunner, user: str) -> str:
    """The line that lets `user` run a conversion: virt-v2v, and kill to stop it."""
    found = _programs(shell)
    programs = [found.get(name, f"/usr/bin/{name}") for name in ("virt-v2v", "kill")]
    return f"{user} ALL=(root) NOPASSWD: {', '.join(programs)}"


def _programs(shell: CommandRunner) -> dict[str, str]:
    """Where virt-v2v and kill are, by name: in the account's PATH, else in the usual directories."""
    lines = plain_lines(shell.run(remote_commands.program_paths()).text)
    return {line.rpartition("/")[2]: line for line in lines if line.startswith("/")}
