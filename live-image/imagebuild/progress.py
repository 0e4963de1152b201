"""Says what the build is doing: which step, how long it has been at it, and what it has just said or written.

On a terminal that is one line for each step, which is rewritten. In a log it is a new line every few seconds.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_WIDTH = 79
# Seconds between two reports.
_ON_TERMINAL = 0.5
_IN_LOG = 5.0


class Step:
    """One step under way. result: what the step's last line says of it."""

    def __init__(self) -> None:
        self.result = ""
        self._said = ""
        self._growing: Path | None = None

    def note(self, line: str) -> None:
        """What a program has just said. Empty lines say nothing."""
        self._said = line.strip() or self._said

    def watch(self, file: Path) -> None:
        """A file that is being written: its size shows how far that is."""
        self._growing = file

    @property
    def detail(self) -> str:
        """What is going on now."""
        size = 0
        if self._growing:
            with contextlib.suppress(OSError):
                size = self._growing.stat().st_size
        return f"{self._growing.name}, {mebibytes(size)}" if self._growing and size else self._said


class Progress:
    """steps: how many there will be. pause: seconds between two reports of a step; by default the stream decides."""

    def __init__(self, steps: int, stream: TextIO | None = None, pause: float | None = None) -> None:
        self._stream = stream or sys.stderr
        self._steps = steps
        self._number = 0
        self._pause = pause or (_ON_TERMINAL if self._stream.isatty() else _IN_LOG)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Shows a step while it runs, and its result and time afterwards; a step that raises ends its line."""
        self._number += 1
        head = f"[{self._number}/{self._steps}] {title}"
        step = Step()
        started = time.monotonic()
        over = threading.Event()
        shown = threading.Thread(target=self._show, args=(head, step, started, over), daemon=True)
        shown.start()
        try:
            yield step
        except BaseException:
            step.result = "failed"
            raise
        finally:
            over.set()
            shown.join()
            seconds = time.monotonic() - started
            self._write(f"{head}: {step.result}" if step.result else head, f"{seconds:.0f} s", "\n")

    def _show(self, head: str, step: Step, started: float, over: threading.Event) -> None:
        while not over.wait(self._pause):
            minutes, seconds = divmod(int(time.monotonic() - started), 60)
            self._write(f"{head} ... {step.detail}".rstrip(), f"{minutes}:{seconds:02}", "")

    def _write(self, left: str, right: str, end: str) -> None:
        line = f"{left[: _WIDTH - len(right) - 3]} ({right})"
        # On a terminal back to the beginning of the line, and clear what was there.
        self._stream.write(f"\r\x1b[K{line}{end}" if self._stream.isatty() else f"{line}\n")
        self._stream.flush()


def mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
