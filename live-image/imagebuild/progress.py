"""Says what the build is doing: a line for each step, and on a terminal how long it has been at it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

_WIDTH = 79


class Step:
    """One step under way."""

    def __init__(self) -> None:
        self.detail = ""
        self.result = ""

    def note(self, line: str) -> None:
        """What a program has just said."""
        self.detail = line.strip()


class Progress:
    """steps: how many there will be."""

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._steps = steps
        self._number = 0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Shows a step while it runs, and its result and time afterwards; a step that raises ends its line."""
        self._number += 1
        head = f"[{self._number}/{self._steps}] {title}"
        step = Step()
        started = time.monotonic()
        over = threading.Event()
        shown = threading.Thread(target=self._show, args=(head, step, started, over), daemon=True)
        if self._stream.isatty():
            shown.start()
        try:
            yield step
        except BaseException:
            step.result = "failed"
            raise
        finally:
            over.set()
            if shown.ident:
                shown.join()
            seconds = time.monotonic() - started
            self._write(f"{head}: {step.result}" if step.result else head, f"{seconds:.0f} s", "\n")

    def _show(self, head: str, step: Step, started: float, over: threading.Event) -> None:
        while not over.wait(0.5):
            minutes, seconds = divmod(int(time.monotonic() - started), 60)
            self._write(f"{head} ... {step.detail}", f"{minutes}:{seconds:02}", "")

    def _write(self, left: str, right: str, end: str) -> None:
        if not self._stream.isatty():
            self._stream.write(f"{left} ({right})\n")
        else:
            # Back to the beginning of the line, and clear what was there.
            self._stream.write(f"\r\x1b[K{left[: _WIDTH - len(right) - 3]} ({right}){end}")
        self._stream.flush()


def mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
