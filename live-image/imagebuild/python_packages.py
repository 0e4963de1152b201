"""The Python packages that Debian does not have new enough: pip fetches them, in the versions of constraints.txt.

Only packages without compiled code are taken, so that it does not matter which Python and which machine fetch them.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from imagebuild.commands import run
from imagebuild.lists import PROJECT

PYTHON = "3.11"  # Debian 12's


def inputs() -> tuple[str, ...]:
    """What the result depends on, beside the packages of Debian."""
    return (PROJECT / "pyproject.toml").read_text(), (PROJECT / "constraints.txt").read_text()


def requirements(debian_packages: Sequence[str], pyproject: Path = PROJECT / "pyproject.toml") -> tuple[str, ...]:
    """p2v-tui's dependencies that are not among these packages: NAME is there if python3-NAME is."""
    wanted = tomllib.loads(pyproject.read_text())["project"]["dependencies"]
    return tuple(each for each in wanted if f"python3-{_name(each)}" not in debian_packages)


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()


def fetch(wanted: Sequence[str], directory: Path, scratch: Path) -> None:
    """Puts the packages and what they need into `directory`, as they go below sys.path, and nothing else."""
    command = [*_pip(scratch), "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--no-input"]
    command += ["--root-user-action=ignore", "--target", str(directory), "--only-binary=:all:"]
    command += ["--python-version", PYTHON, "--implementation", "py", "--abi", "none", "--platform", "any"]
    run([*command, "--constraint", str(PROJECT / "constraints.txt"), *wanted])
    shutil.rmtree(directory / "bin", ignore_errors=True)
    for noted in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for path in directory.glob(f"*.dist-info/{noted}"):
            path.unlink()


def _pip(scratch: Path) -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    # Debian's python3 has none of its own.
    run([sys.executable, "-m", "venv", scratch / "venv"])
    return [str(scratch / "venv/bin/python"), "-m", "pip"]
