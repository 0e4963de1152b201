"""The Python packages that are too old in Debian: pip fetches the versions in requirements.txt, checked by hash.

Only packages without compiled code, so that any Python on any machine can fetch them.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path

from imagebuild.commands import run
from imagebuild.errors import BuildError
from imagebuild.lists import PROJECT

REQUIREMENTS = PROJECT / "requirements.txt"


def inputs() -> tuple[str, ...]:
    """What the result depends on, besides the Debian packages."""
    return (PROJECT / "pyproject.toml").read_text(), REQUIREMENTS.read_text()


def requirements(debian_packages: Sequence[str], pyproject: Path = PROJECT / "pyproject.toml") -> tuple[str, ...]:
    """p2v-tui's dependencies that are not among these packages: python3-NAME provides NAME."""
    wanted = tomllib.loads(pyproject.read_text())["project"]["dependencies"]
    return tuple(each for each in wanted if f"python3-{_name(each)}" not in debian_packages)


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()


def pinned(names: Collection[str], requirements: str) -> str:
    """The entries of these packages. Raises BuildError if one is missing."""
    entries = re.findall(r"^([A-Za-z0-9._-]+)(==(?:.*\\\n)*.*\n)", requirements, re.MULTILINE)
    by_name = {_canonical(name): f"{name}{pin}" for name, pin in entries}
    if missing := sorted({_canonical(name) for name in names} - by_name.keys()):
        raise BuildError(f"requirements.txt lacks {', '.join(missing)}: run pin_requirements.py.")
    return "".join(by_name[_canonical(name)] for name in sorted(names))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def fetch(wanted: Sequence[str], python: str, directory: Path, scratch: Path) -> None:
    """Installs the packages and their dependencies into `directory`, which can go on sys.path, and nothing else.

    python: the version of Python that they are for.
    """
    pip = [*_pip(scratch), "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    pip += ["--root-user-action=ignore", "--target", str(directory), "--only-binary=:all:"]
    pip += ["--python-version", python, "--implementation", "py", "--abi", "none", "--platform", "any"]
    # Only pip can resolve the dependencies. A dry run lists them, then exactly these are installed, each by its hash.
    report, needed = scratch / "report.json", scratch / "requirements.txt"
    versions = scratch / "versions.txt"
    versions.write_text("".join(f"{pin}\n" for pin in re.findall(r"^\S+==[^\s\\]+", REQUIREMENTS.read_text(), re.M)))
    run([*pip, "--dry-run", "--ignore-installed", "--report", str(report), "-c", str(versions), *wanted])
    names = [each["metadata"]["name"] for each in json.loads(report.read_text())["install"]]
    needed.write_text(pinned(names, REQUIREMENTS.read_text()))
    run([*pip, "--no-compile", "--no-deps", "--require-hashes", "-r", str(needed)])
    shutil.rmtree(directory / "bin", ignore_errors=True)
    for noted in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for path in directory.glob(f"*.dist-info/{noted}"):
            path.unlink()


def _pip(scratch: Path) -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    # Debian's python3 comes without pip.
    run([sys.executable, "-m", "venv", scratch / "venv"])
    return [str(scratch / "venv/bin/python"), "-m", "pip"]
