"""Writes requirements.txt: every Python package that p2v-tui is built, tested and run with, by version and hashes.

    .venv/bin/python pin_requirements.py             # the same versions; what is new is added, what is unused goes
    .venv/bin/python pin_requirements.py textual     # the newest textual that pyproject.toml allows; or several
    .venv/bin/python pin_requirements.py --all       # the newest of everything

pip resolves them for each Python and machine that they are meant for, and its report has the files' hashes. No
address of an index is written: which one is asked is pip's configuration.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent
REQUIREMENTS = PROJECT / "requirements.txt"
# Debian 12's and 13's, and those between and after them.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
_PLATFORMS = (
    "manylinux_2_28_{}",
    "manylinux_2_17_{}",
    "manylinux2014_{}",
    "manylinux_2_5_{}",
    "manylinux1_{}",
    "any",
)
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\;]+)")

HEAD = """\
# Made by pin_requirements.py, which says how to change a version: every package with the hashes of its files, so that
# nothing else can be installed in its place.
"""


def pins(text: str) -> dict[str, str]:
    """The version of each package."""
    return {match[1]: match[2] for line in text.splitlines() if (match := _PIN.match(line))}


def wanted() -> list[str]:
    """What pyproject.toml asks for, to run and to develop, and what builds the package."""
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    project = declared["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["dev"], *declared["build-system"]["requires"]]


def resolve(python: str, machine: str, constraints: Path) -> Iterator[tuple[str, str, str]]:
    """Name, version and SHA-256 of each file that pip would install there."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--only-binary=:all:", "--target", scratch, "--report", str(report), "-c", str(constraints)]
        command += ["--python-version", python, "--implementation", "cp"]
        for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
            command += ["--abi", abi]
        for platform in _PLATFORMS:
            command += ["--platform", platform.format(machine)]
        subprocess.run([*command, *wanted()], check=True)
        found: Sequence[Mapping[str, Any]] = json.loads(report.read_text())["install"]
    for each in found:
        archive = each["download_info"]["archive_info"]
        yield each["metadata"]["name"], each["metadata"]["version"], archive["hashes"]["sha256"]


def requirements(constraints: Path) -> str:
    """The file's text. Raises ValueError where two machines would get different versions."""
    hashes: dict[tuple[str, str], set[str]] = {}
    for python in PYTHONS:
        for machine in MACHINES:
            print(f"Python {python} on {machine}", file=sys.stderr)
            for name, version, digest in resolve(python, machine, constraints):
                hashes.setdefault((name, version), set()).add(digest)
    names = [name for name, _ in hashes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Two versions of {', '.join(twice)}: pin one of them in pyproject.toml.")
    entries = []
    for (name, version), digests in sorted(hashes.items(), key=lambda item: item[0][0].lower()):
        lines = [f"{name}=={version}", *(f"--hash=sha256:{digest}" for digest in sorted(digests))]
        entries.append(" \\\n    ".join(lines) + "\n")
    return HEAD + "".join(entries)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write requirements.txt.")
    parser.add_argument("upgrade", nargs="*", metavar="NAME", help="take the newest version of this package")
    parser.add_argument("--all", action="store_true", help="take the newest version of every package")
    options = parser.parse_args()
    kept = {} if options.all or not REQUIREMENTS.exists() else pins(REQUIREMENTS.read_text())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.writelines(
            f"{name}=={version}\n" for name, version in kept.items() if name not in options.upgrade
        )
        constraints.flush()
        text = requirements(Path(constraints.name))
    REQUIREMENTS.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
