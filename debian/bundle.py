"""Fetches the Python packages that Debian does not have new enough, by the hashes of requirements.txt.

Usage: bundle.py DIRECTORY. Those that debian/control names as python3-NAME come from Debian.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "live-image"))

from imagebuild import python_packages  # noqa: E402 - the line above says where it is.

# Debian 12's: what it needs, a later one takes.
OLDEST_PYTHON = "3.11"


def main() -> None:
    directory = Path(sys.argv[1])
    shutil.rmtree(directory, ignore_errors=True)
    from_debian = re.findall(r"python3-[a-z0-9-]+", (PROJECT / "debian/control").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        python_packages.fetch(python_packages.requirements(from_debian), OLDEST_PYTHON, directory, Path(scratch))


if __name__ == "__main__":
    main()
