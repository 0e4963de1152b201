"""A small file in the home directory of the account on the conversion server, over a connection that is open."""

from __future__ import annotations

import base64
import binascii

from p2v_tui.session.remote import commands
from p2v_tui.session.remote.result import CommandRunner, Result
from p2v_tui.session.words.terminal_text import plain


class HomeFileFailed(Exception):
    """reason: a clause that follows a colon."""


class HomeFileExists(Exception):
    """It was not to be replaced."""


def write_home_file(shell: CommandRunner, name: str, content: bytes, *, replace: bool) -> str:
    """Stores a file that only the account can read, whole or not at all, and returns its path.

    Raises HomeFileExists, HomeFileFailed, ConnectionFailed, Cancelled.
    """
    done = shell.run(commands.store_in_home(name, content, replace=replace))
    if done.status == commands.FILE_EXISTS:
        raise HomeFileFailed("it is a directory") if replace else HomeFileExists
    return plain(_checked(done).text.strip())


def read_home_file(shell: CommandRunner, name: str, limit: int) -> bytes:
    """At most `limit` bytes of the file. Raises HomeFileFailed, ConnectionFailed, Cancelled."""
    done = shell.run(commands.read_from_home(name, limit))
    if done.status == commands.NO_FILE:
        raise HomeFileFailed("it was not found there")
    try:
        return base64.b64decode(_checked(done).output)
    except binascii.Error as error:
        raise HomeFileFailed("it did not arrive whole") from error


def home_files(shell: CommandRunner, suffix: str) -> tuple[str, ...]:
    """The names of the files there that end so. Raises HomeFileFailed, ConnectionFailed, Cancelled."""
    return tuple(plain(name) for name in _checked(shell.run(commands.list_home(suffix))).text.splitlines())


def _checked(done: Result) -> Result:
    if done.status != 0:
        raise HomeFileFailed(done.last_line)
    return done
