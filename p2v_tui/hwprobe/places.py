"""The places that probing reads: /sys, /proc, /dev, the udev database, external tools, the clock.

Everything comes through one `Places`, so that a recorded machine and a real one are read the same way. Nothing here
writes, and nothing here knows what a disk is.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyudev

from p2v_tui.programs import TOOL_SECONDS, complete


def run_tool(command: Sequence[str]) -> str | None:
    """The standard output of an external tool, or None where it is missing, fails or takes too long."""
    done = _ended(command)
    return done.stdout.decode(errors="replace") if done and done.returncode == 0 else None


def ask_tool(command: Sequence[str]) -> str | None:
    """The same, whatever the tool's exit status."""
    done = _ended(command)
    return done.stdout.decode(errors="replace") if done else None


def _ended(command: Sequence[str]) -> subprocess.CompletedProcess[bytes] | None:
    try:
        return complete(command, seconds=TOOL_SECONDS)
    except OSError:
        return None


def _local_offset(moment: float) -> int:
    return time.localtime(moment).tm_gmtoff


@dataclass(frozen=True)
class Places:
    """Where the machine is read.

    run: runs a tool, returns its standard output or None. ask: the same whatever its exit status. now: seconds since
    the epoch. local_offset: seconds that the live system's time zone is ahead of UTC at a moment.
    """

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")
    udev_data: Path = Path("/run/udev/data")
    udev: Callable[[], pyudev.Context] = pyudev.Context
    run: Callable[[Sequence[str]], str | None] = run_tool
    ask: Callable[[Sequence[str]], str | None] = ask_tool
    hostname: Callable[[], str] = socket.gethostname
    now: Callable[[], float] = time.time
    local_offset: Callable[[float], int] = _local_offset

    def node(self, path: str) -> Path:
        """Where the kernel's device node `path` (`/dev/sda`) is."""
        return self.dev / path.removeprefix("/dev/")


def read_text(path: Path) -> str | None:
    """The text of a small file without the white space around it, or None where it cannot be read.

    Reading an attribute in sysfs fails with EINVAL, EIO or ENODATA if a driver has no value for it.
    """
    try:
        return path.read_bytes().decode(errors="replace").strip()
    except OSError:
        return None


def read_bytes(path: Path) -> bytes | None:
    """The bytes of a small file, or None where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def read_number(path: Path, base: int = 10) -> int | None:
    """The whole number that a small file holds, or None where it cannot be read or holds something else."""
    text = read_text(path)
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None


def exists(path: Path) -> bool:
    """Whether a path exists; False if that cannot be read (EIO, EACCES, a removed device)."""
    try:
        return path.exists()
    except OSError:
        return False


def link_target(path: Path) -> Path | None:
    """The target of a symbolic link, or None if it does not exist or cannot be read."""
    try:
        return path.readlink()
    except OSError:
        return None


def matching(directory: Path, pattern: str) -> tuple[Path, ...]:
    """The paths below a directory that match, sorted; nothing where it cannot be read."""
    try:
        return tuple(sorted(directory.glob(pattern)))
    except OSError:
        return ()


def entries(directory: Path) -> tuple[Path, ...]:
    """What is in a directory, sorted by name; nothing where it cannot be read."""
    try:
        return tuple(sorted(directory.iterdir()))
    except OSError:
        return ()
