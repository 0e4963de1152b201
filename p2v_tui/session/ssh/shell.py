"""A POSIX shell on the conversion server that runs commands one after the other.

It has no terminal there: no prompt, no echo, no limit on lines, and its processes do not die of a hang-up.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pexpect

from p2v_tui.errors import ConnectionFailed, P2VError, PreflightRefused
from p2v_tui.kinds import Secret
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import PARENT
from p2v_tui.session.remote.result import Result, last_lines
from p2v_tui.session.ssh.login import Login
from p2v_tui.session.ssh.openssh import close_connection, matched_text, open_connection, send
from p2v_tui.session.words.cancellation import Cancellation

COMMAND_TIMEOUT: Final = 120.0
# How often a wait for a command checks for a cancellation, in seconds.
SLICE: Final = 0.25


class ShellConnection:
    """One control connection. Commands run in subshells, so nothing that they set lasts.

    Raises on opening: ConnectionFailed, PreflightRefused, Cancelled. cancellation: only of the opening.
    """

    def __init__(self, login: Login, cancellation: Cancellation) -> None:
        self._host = login.host
        self._token = secrets.token_hex(12)
        self._commands = 0
        self._given_up = False
        self._child = open_connection(
            login,
            ["-T"],
            remote_commands.start_shell(self._token),
            rb"\n" + self._token.encode() + rb"\r?\n",
            cancellation,
        )
        send(self._child, f"{remote_commands.set_locale()}\n".encode(), cancellation.check)

    def shell(self, cancellation: Cancellation) -> RemoteShell:
        """The connection for one job, until that is cancelled."""
        return RemoteShell(self, cancellation)

    @property
    def usable(self) -> bool:
        """Whether the connection works, as far as this end knows."""
        return not self._given_up and self._child.isalive()

    def run(
        self,
        command: str,
        *,
        timeout: float = COMMAND_TIMEOUT,
        cancellation: Cancellation | None = None,
    ) -> Result:
        """Runs one command, without input, until it ends or is cancelled.

        Raises ConnectionFailed when the connection is lost or the command does not end in `timeout` seconds, and
        Cancelled. After a Cancelled the shell can still be used: the rest of the old output is skipped.
        """
        self._commands += 1
        mark = f"{self._token}-{self._commands}"
        deadline = time.monotonic() + timeout

        def look_up() -> None:
            if cancellation is not None:
                cancellation.check()
            if time.monotonic() > deadline:
                self._given_up = True
                raise ConnectionFailed(
                    f"The conversion server {self._host} did not finish a command in {timeout:.0f} seconds.",
                    "Check whether it is overloaded or its disks hang.",
                )

        try:
            send(self._child, _framed(command, mark).encode(), look_up)
        except P2VError:
            # Half a command was sent: the shell would misread anything after it.
            self._given_up = True
            raise
        pattern = rb"\n" + mark.encode() + rb" (\d+)\r?\n"
        while True:
            look_up()
            matched = self._child.expect([pattern, pexpect.EOF, pexpect.TIMEOUT], timeout=SLICE, searchwindowsize=512)
            if matched == 0:
                output: bytes = self._child.before or b""
                # Late output of an earlier, cancelled command.
                stale = re.compile(rb"\n" + self._token.encode() + rb"-\d+ \d+\r?\n")
                return Result(int(matched_text(self._child)), stale.split(output)[-1])
            if matched == 1:
                self._given_up = True
                raise self._lost(self._child.before or b"")

    def export(self, variables: Mapping[str, Secret], cancellation: Cancellation) -> None:
        """Sets these for every later command. Raises as `run` does."""
        send(self._child, remote_commands.environment_file(variables), cancellation.check)
        self.run(":", cancellation=cancellation)

    def close(self) -> None:
        close_connection(self._child)

    def __enter__(self) -> ShellConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lost(self, said: bytes) -> ConnectionFailed:
        words = " / ".join(last_lines(said.decode(errors="replace"), 2))
        return ConnectionFailed(
            f"The control connection to {self._host} was lost." + (f" ssh said: {words}." if words else ""),
            "Check the network and the server.",
        )


@dataclass(frozen=True)
class RemoteShell:
    """The control connection for one job. cancellation: the job's, which ends a running command."""

    connection: ShellConnection
    cancellation: Cancellation

    def run(self, command: str, *, timeout: float = COMMAND_TIMEOUT, cancellable: bool = True) -> Result:
        """Like `ShellConnection.run`. cancellable: whether the job's cancellation ends the wait."""
        return self.connection.run(command, timeout=timeout, cancellation=self.cancellation if cancellable else None)

    def export(self, variables: Mapping[str, Secret]) -> None:
        """Sets these for every later command, also of later jobs. Raises as `run` does."""
        self.connection.export(variables, self.cancellation)

    def write_files(self, files: Mapping[str, bytes]) -> None:
        """Stores contents at their paths, with mode 0600. Raises PreflightRefused if one was not stored whole."""
        result = self.run(remote_commands.write_files(files))
        if result.status != 0:
            raise cannot_store(next((path for path in files if path in result.text), "a file"), result)


def cannot_store(path: str, result: Result) -> PreflightRefused:
    """The error for a file or directory that the conversion server could not store."""
    if re.search("No space left|quota", result.text, re.IGNORECASE):
        # A full disk and a lack of inodes have the same message.
        return PreflightRefused(
            f"The conversion server has no space left for {path}, or no free inodes.",
            f"Look there with df -h {PARENT} and df -i {PARENT}, free some, and start again.",
        )
    if re.search(r"base64: (command )?not found|base64: No such file", result.text):
        return PreflightRefused(
            "The conversion server has no base64, by which files are sent to it.",
            "Install it there: apt install coreutils, or dnf install coreutils.",
        )
    if "Read-only file system" in result.text:
        return PreflightRefused(
            f"The conversion server cannot store {path}: its file system is mounted read-only.",
            f"Look there with findmnt --target {PARENT}.",
        )
    # If writing it failed, the path itself is the last line.
    said = [line for line in last_lines(result.text, 5) if line != path]
    return PreflightRefused(
        f"The conversion server cannot store {path}: {said[-1] if said else result.last_line}.",
        f"{PARENT} there must be writable for the user.",
    )


def _framed(command: str, mark: str) -> str:
    return f"(\n{command}\n) 2>&1 </dev/null\nprintf '\\n%s %s\\n' {mark} \"$?\"\n"
