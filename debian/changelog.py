"""Prints debian/changelog, from the newest version in CHANGELOG.md. Its date is SOURCE_DATE_EPOCH, else now."""

from __future__ import annotations

import os
import re
import time
from email.utils import formatdate
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
NEWEST = re.compile(r"^## \[(?P<version>[^]]+)\] - (?P<date>\S+)$", re.MULTILINE)


def main() -> None:
    newest = NEWEST.search((PROJECT / "CHANGELOG.md").read_text())
    assert newest, "CHANGELOG.md has no version"
    maintainer = re.search(r"^Maintainer: (.*)$", (PROJECT / "debian/control").read_text(), re.MULTILINE)
    assert maintainer, "debian/control has no maintainer"
    distribution = "UNRELEASED" if newest["date"] == "unreleased" else "unstable"
    date = formatdate(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    print(f"p2v-tui ({newest['version']}) {distribution}; urgency=medium\n")
    print(f"  * See /usr/share/doc/p2v-tui/CHANGELOG.md.\n\n -- {maintainer[1]}  {date}")


if __name__ == "__main__":
    main()
