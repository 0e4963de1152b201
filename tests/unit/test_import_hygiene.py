"""The core must stay usable without a screen: nothing below the screens may load a terminal toolkit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import p2v_tui

CORE = ("session", "front", "hwprobe", "xmlgen", "config", "cmdline", "console", "unattended")
TOOLKITS = ("textual", "rich")


def _loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after the statement."""
    script = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def _modules(*names: str) -> str:
    """Every module of these packages of p2v_tui, and these modules, with commas."""
    root = Path(p2v_tui.__file__).parent
    files = [file for name in names for file in (root / name).rglob("*.py")]
    inside = [".".join(file.relative_to(root.parent).with_suffix("").parts) for file in files]
    return ", ".join(sorted(inside) + [f"p2v_tui.{name}" for name in names])


def test_the_core_loads_no_terminal_toolkit() -> None:
    assert not _loaded_by(f"import {_modules(*CORE)}") & set(TOOLKITS)


@pytest.mark.parametrize("room", ["words", "remote", "plan", "preflight"])
def test_what_is_to_be_converted_is_known_and_judged_without_openssh(room: str) -> None:
    assert "pexpect" not in _loaded_by(f"import {_modules(f'session/{room}').replace('/', '.')}")


@pytest.mark.parametrize("module", ["p2v_tui.config", "p2v_tui.cmdline"])
def test_the_settings_load_neither_ssh_nor_the_hardware_database(module: str) -> None:
    assert not _loaded_by(f"import {module}") & {"pexpect", "pyudev", "psutil", "requests"}
