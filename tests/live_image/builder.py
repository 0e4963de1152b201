"""The build command, as the tests run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from imagebuild.lists import HERE

BUILD = HERE / "build.py"
# On a machine that has never built the image, with all of Debian's packages to fetch and one busy core.
BUILD_SECONDS = 1500.0


def run_build(*words: str | Path, timeout: float = BUILD_SECONDS) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end, whatever it is; nobody answers its questions."""
    return subprocess.run(
        [sys.executable, str(BUILD), *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
