"""The laboratory's external programs end, and say why they failed."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.lab.commands import LabFailure, run_command
from tests.lab.processes import runs


def test_a_slow_program_is_ended_with_its_children() -> None:
    with pytest.raises(LabFailure, match="had not ended") as slow:
        run_command(["sh", "-c", "sleep 300 & echo $!; wait"], timeout=0.5)
    child = int(str(slow.value).split()[-1])
    # It was killed, and the kernel may take a moment for it.
    deadline = time.monotonic() + 20
    while psutil.pid_exists(child) and runs(psutil.Process(child)):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # It is nobody's child here.


def test_a_failure_shows_what_the_program_said() -> None:
    with pytest.raises(LabFailure, match=r"exit code 3\.\nno such luck"):
        run_command(["sh", "-c", "echo no such luck >&2; exit 3"], timeout=60)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(LabFailure, match="no-such-program is not installed"):
        run_command(["no-such-program"], timeout=60)
