"""Real accounts on this machine for logins to the conversion server, removed at the end with all their files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import secrets
import shutil
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from tests.lab.commands import LabFailure, program, run_command
from tests.lab.processes import runs
from tests.lab.waiting import happens

_TOOL_SECONDS = 30.0
_END_SECONDS = 5.0
# The process that made the account: the numbers of its PID namespace and of itself follow.
_ACCOUNT_MARK = "p2v-tui laboratory account of process"
_PID_NAMESPACE = Path("/proc/self/ns/pid")


class Account:
    """A real account on this machine, made for a test and removed at its end with its home. Root only.

    name: random if it is not given; an account of that name that a killed run left behind is removed first.
    password: random if it is not given. login_shell: a name such as "bash" or "tcsh", or a path.
    sudo: programs that it may run as root, in sudoers' syntax (empty: no sudo at all);
    sudo_password: whether sudo asks for the password.
    files: contents by path below the home directory, such as {".bashrc": "echo hello\\n"}.

    Inside the context: home.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        password: str | None = None,
        login_shell: str = "bash",
        sudo: Sequence[str] = (),
        sudo_password: bool = False,
        files: Mapping[str, str] | None = None,
    ) -> None:
        if os.geteuid() != 0:
            raise LabFailure("Making an account needs root.")
        self.name = name or "p2vlab-" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(8))
        self.password = password or secrets.token_urlsafe(12)
        self._shell = login_shell if login_shell.startswith("/") else program(login_shell)
        self._sudo = tuple(sudo)
        self._sudo_password = sudo_password
        self._files = dict(files or {})
        self.home = Path("/home") / self.name

    def __enter__(self) -> Self:
        for entry in pwd.getpwall():
            if entry.pw_name == self.name or _left_behind(entry):
                _remove_account(entry)
        try:
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """End the account's processes and remove it with all its files. Does nothing if it does not exist."""
        for entry in pwd.getpwall():
            if entry.pw_name == self.name:
                _remove_account(entry)

    def _make(self) -> None:
        mark = f"{_ACCOUNT_MARK} {_PID_NAMESPACE.stat().st_ino} {os.getpid()}"
        arguments = ["useradd", "--create-home", "--home-dir", str(self.home), "--shell", self._shell]
        with _accounts_locked():
            run_command([*arguments, "--comment", mark, self.name], timeout=_TOOL_SECONDS)
            run_command(["chpasswd"], stdin=f"{self.name}:{self.password}\n", timeout=_TOOL_SECONDS)
        entry = pwd.getpwnam(self.name)
        for name, text in self._files.items():
            file = self.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            for made in (file, *file.parents):
                if made == self.home:
                    break
                os.chown(made, entry.pw_uid, entry.pw_gid)
        if self._sudo:
            tag = "PASSWD" if self._sudo_password else "NOPASSWD"
            rules = f'Defaults:{self.name} env_keep += "LIBGUESTFS_BACKEND LIBGUESTFS_BACKEND_SETTINGS"\n'
            rules += f"{self.name} ALL=(root) {tag}: {', '.join(self._sudo)}\n"
            # A mistake in sudoers would lock everybody out, so the rules are checked before sudo reads them.
            run_command(["visudo", "--check", "--file=-"], stdin=rules, timeout=_TOOL_SECONDS)
            sudoers = _sudoers_file(self.name)
            sudoers.touch(0o440)
            sudoers.write_text(rules)


@contextlib.contextmanager
def _accounts_locked() -> Iterator[None]:
    """Keeps other tests from changing accounts meanwhile.

    useradd and the like wait some seconds for each other and then fail. Their lock is a file with a process's number,
    which they treat as stale if the process is in another PID namespace.
    """
    directory = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _left_behind(entry: pwd.struct_passwd) -> bool:
    """Whether its process has ended. False for one of another PID namespace, which cannot be seen from here."""
    mark, _, process = entry.pw_gecos.rpartition(" ")
    here = f"{_ACCOUNT_MARK} {_PID_NAMESPACE.stat().st_ino}"
    return mark == here and process.isdigit() and not psutil.pid_exists(int(process))


def _remove_account(entry: pwd.struct_passwd) -> None:
    if not entry.pw_gecos.startswith(_ACCOUNT_MARK):
        raise LabFailure(f"The account {entry.pw_name} is not one of the laboratory's, so it is left alone.")
    _sudoers_file(entry.pw_name).unlink(missing_ok=True)
    # Locked first, so that nobody logs in after the last process was killed and before the account is removed.
    with _accounts_locked():
        run_command(["usermod", "--lock", "--expiredate", "1", entry.pw_name], timeout=_TOOL_SECONDS)
    happens(lambda: not _kill_processes_of(entry.pw_uid), _END_SECONDS)
    with _accounts_locked():
        run_command(["userdel", "--force", entry.pw_name], timeout=_TOOL_SECONDS)
    shutil.rmtree(entry.pw_dir, ignore_errors=True)
    # The next account with the same user id would own the files that this one left elsewhere.
    for place in (Path("/tmp"), Path("/var/tmp")):
        for left in place.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if left.lstat().st_uid != entry.pw_uid:
                    continue
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()


def _kill_processes_of(user: int) -> bool:
    """Whether there were any."""
    found = False
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.uids().real == user and runs(process):
                process.kill()
                found = True
    return found


def _sudoers_file(account: str) -> Path:
    return Path("/etc/sudoers.d") / f"p2v-tui-{account}"
