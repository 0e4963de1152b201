"""The core must stay usable without a screen: nothing below the screens may load a terminal toolkit."""

from __future__ import annotations

import subprocess
import sys

import pytest

CORE = (
    "p2v_tui.session",
    "p2v_tui.hwprobe",
    "p2v_tui.xmlgen",
    "p2v_tui.config",
    "p2v_tui.cmdline",
    "p2v_tui.unattended",
)
TOOLKITS = ("textual", "rich")


def _loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after the statement."""
    script = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_core_loads_no_terminal_toolkit() -> None:
    assert not _loaded_by(f"import {', '.join(CORE)}") & set(TOOLKITS)


@pytest.mark.parametrize("module", ["p2v_tui.config", "p2v_tui.cmdline"])
def test_the_settings_load_neither_ssh_nor_the_hardware_database(module: str) -> None:
    assert not _loaded_by(f"import {module}") & {"pexpect", "pyudev", "psutil", "requests"}
