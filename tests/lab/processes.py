"""Processes that are not our children: whether they run, and ending them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import psutil

from tests.lab.commands import LabFailure
from tests.lab.waiting import happens

_END_SECONDS = 5.0


def runs(process: psutil.Process) -> bool:
    """Whether it does; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end_within(seconds: float, processes: Sequence[psutil.Process]) -> bool:
    """Whether all of them do."""
    return happens(lambda: not any(map(runs, processes)), seconds)


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kills them and waits for their end. Raises LabFailure if one stays."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if not end_within(_END_SECONDS, processes):
        raise LabFailure(f"These processes cannot be ended: {processes}")
