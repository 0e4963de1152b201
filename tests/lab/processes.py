"""Processes that are not our children: whether they run, and ending them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import psutil

from tests.lab.commands import LabFailure

_END_SECONDS = 5.0


def runs(process: psutil.Process) -> bool:
    """Whether it does; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kills them and waits for their end. Raises LabFailure if one stays."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + _END_SECONDS
    while any(map(runs, processes)):
        if time.monotonic() > deadline:
            raise LabFailure(f"These processes cannot be ended: {processes}")
        time.sleep(0.02)  # They are not our children, so they cannot be waited for.
