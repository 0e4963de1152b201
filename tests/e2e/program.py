"""Runs the real p2v-tui, as an operator or a boot script would, and tells what it left behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pexpect
import psutil

from tests.lab.waiting import happens

PROGRAM = str(Path(sys.executable).with_name("p2v-tui"))
CONVERSION_SECONDS = 900
_END_SECONDS = 10.0
# In the environment of everything that the tests start.
MARK = "P2V_TUI_E2E"
os.environ[MARK] = str(os.getpid())
_OURS = ("ssh", "nbdkit", "qemu-nbd", "systemd-inhibit", "ssh-keyscan", "curl")


@dataclass(frozen=True)
class Outcome:
    """code: the exit code. output: all that was printed."""

    code: int
    output: str


def run_p2v(cmdline: str, *options: str, environment: Mapping[str, str] | None = None) -> Outcome:
    """Runs p2v-tui to its end without a terminal."""
    done = subprocess.run(
        [PROGRAM, *options, f"--cmdline={cmdline}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=CONVERSION_SECONDS,
        env=environment,
        check=False,
    )
    return Outcome(done.returncode, done.stdout)


def spawn_p2v(cmdline: str, *options: str) -> pexpect.spawn[str]:
    """Starts p2v-tui on a new terminal."""
    child: pexpect.spawn[str] = pexpect.spawn(
        PROGRAM, [*options, f"--cmdline={cmdline}"], encoding="utf-8", timeout=120, dimensions=(24, 200)
    )
    return child


def wait_for_exit(child: pexpect.spawn[str], timeout: float = 120) -> Outcome:
    """Reads the rest of the output until the program ends."""
    child.expect(pexpect.EOF, timeout=timeout)
    child.close()
    return Outcome(child.exitstatus if child.exitstatus is not None else -1, child.before or "")


def log_directory(child: pexpect.spawn[str]) -> Path:
    """Waits until the program names the directory on the conversion server, and returns it."""
    child.expect(r"Log files are on the conversion server in (/tmp/virt-p2v-\d{8}-[a-z0-9]{8})\b")
    assert isinstance(child.match, re.Match)
    return Path(child.match.group(1))


class Leftovers:
    """Processes and private directories that a run of p2v-tui must not leave on this machine.

    Only what these tests have started counts; it has inherited MARK in its environment.
    """

    def __init__(self) -> None:
        self._processes = self._find_processes()
        self._directories = _private_directories()

    def new(self) -> Sequence[str]:
        """The processes and private directories that did not exist before; waits a little for the last to end."""
        happens(lambda: not self._new(), _END_SECONDS)
        return self._new()

    def remove(self) -> None:
        """Removes the private directories, so that one failure does not cause others."""
        for directory in self._new_directories():
            shutil.rmtree(directory, ignore_errors=True)

    def _new(self) -> list[str]:
        processes = self._find_processes()
        fresh = [processes[pid] for pid in processes.keys() - self._processes.keys()]
        return fresh + self._new_directories()

    def _new_directories(self) -> list[str]:
        return sorted(_private_directories() - self._directories - self._foreign_directories())

    @staticmethod
    def _find_processes() -> dict[int, str]:
        return {
            process.pid: " ".join(process.info["cmdline"] or [])
            for process in psutil.process_iter(["name", "cmdline", "environ"])
            if process.info["name"] in _OURS and _is_ours(process)
        }

    @staticmethod
    def _foreign_directories() -> set[str]:
        """Those of other p2v-tui that run meanwhile: they are in the arguments of their ssh and NBD servers."""
        arguments = " ".join(
            " ".join(process.info["cmdline"] or [])
            for process in psutil.process_iter(["cmdline", "environ"])
            if not _is_ours(process)
        )
        return {directory for directory in _private_directories() if directory in arguments}


def _is_ours(process: psutil.Process) -> bool:
    """Whether these tests have started it, and not others that run at the same time."""
    return (process.info["environ"] or {}).get(MARK) == os.environ[MARK]


def _private_directories() -> set[str]:
    return {str(path) for path in Path("/tmp").glob("p2v-tui-*")}
