"""Every Python package is pinned, with hashes, in one file that names no index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from imagebuild.errors import BuildError
from imagebuild.python_packages import pinned

import pin_requirements

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "requirements.txt").read_text()
ENTRIES = re.split(r"\n(?=[A-Za-z])", "\n".join(line for line in TEXT.splitlines() if not line.startswith("#")))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.partition("=")[0])
def test_every_package_has_a_version_and_hashes_and_nothing_else(entry: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( \\\n    --hash=sha256:[0-9a-f]{64})+", entry)


def test_what_is_declared_is_there_and_no_address_is() -> None:
    pins = {re.sub(r"[-_.]+", "-", name).lower() for name in pin_requirements.pins(TEXT)}
    declared = {re.split(r"[^A-Za-z0-9._-]", each)[0].lower() for each in pin_requirements.wanted()}
    assert declared <= pins
    assert len(pins) == len(ENTRIES)
    assert not re.search(r"://|index|find-links", TEXT)


def test_what_is_installed_is_taken_by_hash_and_nowhere_else_by_name() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation -e ." in line for line in installs)
    image = (ROOT / "live-image/imagebuild/python_packages.py").read_text()
    assert "--require-hashes" in image
    assert not (ROOT / "constraints.txt").exists()


def test_the_live_image_takes_the_entries_of_its_packages_whatever_their_names_are_written_like() -> None:
    text = "A_b.c==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nd==2 \\\n    --hash=sha256:cc\n"
    assert pinned(["a-b-c"], text) == "A_b.c==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    assert pinned(["d", "a-b-c"], text) == text
    with pytest.raises(BuildError, match="lacks e"):
        pinned(["e", "d"], text)


def test_every_entry_is_found_by_its_name() -> None:
    assert pinned(pin_requirements.pins(TEXT).keys(), TEXT).count("--hash") == TEXT.count("--hash")
