"""Waits for what gives no event: processes that are not our children, their files, a machine under qemu."""

from __future__ import annotations

import time
from collections.abc import Callable

_LOOK_SECONDS = 0.02


def happens(condition: Callable[[], object], seconds: float) -> bool:
    """Whether the condition becomes true within so many seconds; returns as soon as it is."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
