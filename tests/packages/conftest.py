"""What `make deb` and `make dist` made, which `make test-packages` calls first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.commands import LabFailure

ROOT = Path(__file__).parents[2]


def made(pattern: str) -> Path:
    """The one file of this kind below build/. Raises LabFailure where it was not made, or more than one was."""
    found = list((ROOT / "build").glob(pattern))
    if len(found) != 1:
        raise LabFailure(f"build/{pattern} is {len(found)} files and not one. `make deb` makes it.")
    return found[0]


@pytest.fixture(scope="session")
def debian_package() -> Path:
    return made("deb/*.deb")


@pytest.fixture(scope="session")
def source_archive() -> Path:
    return made("dist/*.tar.gz")


@pytest.fixture(scope="session")
def wheel() -> Path:
    return made("dist/*.whl")
