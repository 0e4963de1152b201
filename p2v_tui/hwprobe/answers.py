"""An answer from a thread that can be abandoned: a tool or a disk may hang for minutes, and we continue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# How often a wait checks for a cancellation, in seconds.
LOOK_SECONDS: Final = 0.2


class Answer(Generic[T]):
    """The result of `function`, which runs at once in a thread that does not keep the program from ending."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="answer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._function())
        except BaseException as error:
            self._error = error

    def by(self, end: float) -> T | None:
        """The result, or None if it has not come by `end`, a time of time.monotonic(), or the function failed."""
        self._thread.join(max(end - time.monotonic(), 0))
        return self._found[0] if self._found else None

    def wait(self, look_up: Callable[[], None]) -> T:
        """Returns or raises what the function does. look_up: called meanwhile; may raise to end the wait."""
        while self._thread.is_alive():
            look_up()
            self._thread.join(LOOK_SECONDS)
        look_up()
        if self._error is not None:
            raise self._error
        return self._found[0]
