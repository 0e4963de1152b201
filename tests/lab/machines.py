"""Machines of the Debian releases that the Debian package supports: roots with all that it depends on and recommends.
apt then installs the package there without a network, and making the root fails if a release lacks a package.

    python -m tests.lab.machines [bookworm|trixie]
"""

from __future__ import annotations

import enum
import re
import sys
from pathlib import Path

from tests.lab.debian import build_by_name, kept_root

_CONTROL = Path(__file__).parents[2] / "debian/control"


class Suite(enum.Enum):
    """The releases by the name of their suite."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"


def machine_root(suite: Suite) -> Path:
    """The directory with a machine of this release, made first if necessary. Raises LabFailure."""
    return kept_root(
        f"machine-{suite.value}",
        suite.value,
        (*sorted(related_packages()), "man-db"),
        what=f"A machine of Debian {suite.value}",
    )


def related_packages() -> set[str]:
    """The names in Depends and Recommends of debian/control, alternatives among them."""
    fields = re.findall(r"^(?:Depends|Recommends): (.*\n(?: .*\n)*)", _CONTROL.read_text(), re.MULTILINE)
    relations = [relation for field in fields for relation in re.split("[,|]", field)]
    return {relation.split()[0] for relation in relations if relation.strip() and "${" not in relation}


if __name__ == "__main__":
    sys.exit(build_by_name("tests.lab.machines", Suite, machine_root))
