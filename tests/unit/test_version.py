"""One version: the program's, which the change log, the Debian package, the live image and the man pages repeat."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from imagebuild.root_file_system import version

from p2v_tui import __version__

ROOT = Path(__file__).parents[2]


def test_the_newest_version_in_the_change_log_is_the_programs() -> None:
    found = re.findall(r"^## \[(\S+)\] - (?:unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert found[0] == __version__


def test_debians_change_log_has_it() -> None:
    made = subprocess.run([sys.executable, ROOT / "debian/changelog.py"], capture_output=True, text=True, check=True)
    assert made.stdout.startswith(f"p2v-tui ({__version__}) ")


def test_the_live_image_has_it() -> None:
    assert version() == __version__


def test_the_man_pages_have_it() -> None:
    for page in (ROOT / "share/man/man1").iterdir():
        assert f'"p2v\\-tui {__version__}"' in page.read_text()
