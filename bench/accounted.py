"""Runs a program and measures the cost of it and of everything that it starts, also of what it leaves behind.

    python -m bench.accounted RESULT_FILE COMMAND...

Used by bench/transport.py through `start`. RESULT_FILE gets a Cost as JSON when all of it has ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_PR_SET_CHILD_SUBREAPER: Final = 36
# What ends with the program takes a moment; the rest is killed and reported.
_LEFT_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Cost:
    """started: by the monotonic clock. code: the exit code. cpu: seconds, user and system. left: what did not end."""

    started: float
    code: int
    cpu: float
    left: tuple[str, ...]


class Accounted:
    """The program in the background, its output in a file; `finish` waits for it, `memory` looks at it meanwhile."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        """directory: for the output and the result; one for each program that runs."""
        self._result = directory / "cost"
        self._output = directory / "output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._result), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def memory(self) -> int:
        """Bytes (PSS) of the program and everything that it started."""
        found = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    found += process.memory_full_info().pss
        return found

    def finish(self, seconds: float) -> tuple[Cost, str]:
        """Returns its cost and its output. Raises subprocess.TimeoutExpired after killing it."""
        try:
            self._process.wait(seconds)
        except BaseException:
            self.end()
            raise
        read = json.loads(self._result.read_text())
        return Cost(**{**read, "left": tuple(read["left"])}), self.output()

    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def end(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()


def main(result: str, *command: str) -> int:
    """The program's exit code."""
    # Orphaned processes become our children, so they are counted.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    left = _wait_for_the_rest()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = Cost(started, code, used.ru_utime + used.ru_stime, left)
    Path(result).write_text(json.dumps(dataclasses.asdict(cost)))
    return code


def _wait_for_the_rest() -> tuple[str, ...]:
    myself = psutil.Process()
    deadline = time.monotonic() + _LEFT_SECONDS
    while (children := myself.children(recursive=True)) and time.monotonic() < deadline:
        while _reap_one(os.WNOHANG):
            pass
        time.sleep(0.02)  # Children may be added meanwhile, and no event announces the last one.
    left = []
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.append(" ".join(child.cmdline()))
            child.kill()
    while _reap_one(0):
        pass
    return tuple(left)


def _reap_one(options: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(-1, options)[0] != 0
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
