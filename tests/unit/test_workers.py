"""pytest with workers, each of which has a /tmp and a /var/tmp of its own (tests/conftest.py)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.mark.integration
@pytest.mark.parametrize("place", ["/tmp", "/var/tmp"])
def test_workers_run_the_sources_in_their_own_tmp(place: str) -> None:
    with tempfile.TemporaryDirectory(prefix="p2v-tui-sources-", dir=place) as directory:
        shutil.copy(CONFTEST, directory)
        Path(directory, "test_it.py").write_text("def test_it() -> None: pass\n")
        Path(directory, "pytest.ini").write_text("[pytest]\n")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "1", "-q"],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert "1 passed" in done.stdout
