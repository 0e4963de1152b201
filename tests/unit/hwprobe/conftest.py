"""Recorded machines, each probed once, by one of the workers, through the real libudev."""

from __future__ import annotations

import fcntl
import functools
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.hwprobe.recorded_probe import Outcome

MACHINES = Path(__file__).parent / "machines"
REPOSITORY = Path(__file__).parents[3]

_PROBE = "import sys; from tests.unit.hwprobe.{module} import main; main(*sys.argv[1:])"

# A probe takes under a second; faulty_probe.py makes hundreds.
_SECONDS = 600

ProbeRecorded = Callable[[str], Outcome]


def play(name: str, module: str, result: Path) -> None:
    """Run main() of a module of this package below umockdev, with a recorded machine and where to put the result."""
    if not shutil.which("umockdev-run"):
        pytest.fail("umockdev-run is missing: apt-get install umockdev")
    record = MACHINES / name
    command = ["umockdev-run", "-d", str(record / "machine.umockdev"), "--", sys.executable]
    command += ["-c", _PROBE.format(module=module), str(record), str(result)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        pytest.fail(f"probing {name} failed:\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> ProbeRecorded:
    """A function that gives the outcome of probing the recorded machine of a name."""
    base = tmp_path_factory.getbasetemp()
    # Below the directory of all workers.
    results = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "machines"
    results.mkdir(exist_ok=True)

    @functools.cache
    def outcome(name: str) -> Outcome:
        result = results / f"{name}.pickle"
        with (results / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not result.exists():
                play(name, "recorded_probe", result)
        found = pickle.loads(result.read_bytes())
        assert isinstance(found, Outcome)
        return found

    return outcome
