"""Blinking a port: every way in which ethtool may fail is told in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from p2v_tui.front.port_blinking import BLINK_SECONDS, CannotBlink, blink_port


def ethtool(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a program of this name first on the PATH; the file that it writes its arguments to."""
    program = directory / "ethtool"
    arguments = directory / "arguments"
    program.write_text(f'#!/bin/sh\necho "$@" > {arguments}\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return arguments


def test_it_asks_ethtool_to_identify_the_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ethtool(tmp_path, "exit 0", monkeypatch)
    blink_port("em1")
    assert arguments.read_text().split() == ["--identify", "em1", str(BLINK_SECONDS)]


@pytest.mark.parametrize(
    ("said", "euid", "message"),
    [
        ("Cannot identify NIC: Operation not permitted", 0, "Only root can make em1 blink. Run p2v-tui as root."),
        ("Cannot identify NIC: No such device", 1000, "Only root can make em1 blink. Run p2v-tui as root."),
        ("Cannot identify NIC: Operation not supported", 0, "The card or the driver of em1 cannot blink"),
        (
            "Cannot identify NIC: \\033[31mNo such device",
            0,
            "em1 does not blink: Cannot identify NIC: No such device.",
        ),
        ("", 0, "em1 does not blink: ethtool ended with 71."),
    ],
)
def test_a_failure_is_told_in_words(
    said: str, euid: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ethtool(tmp_path, f"printf '{said}' >&2; exit 71", monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    with pytest.raises(CannotBlink) as caught:
        blink_port("em1")
    assert str(caught.value).replace("\n", " ").startswith(message)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "ethtool does not run for em1: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "ethtool is not installed here"),
        (None, "ethtool did not end for em1 in 20 seconds"),
    ],
    ids=["not to be run", "not there", "hangs"],
)
def test_a_program_that_does_not_run_is_told(
    outcome: OSError | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def complete(*_: object, **__: object) -> None:
        if outcome is not None:
            raise outcome

    monkeypatch.setattr("p2v_tui.front.port_blinking.complete", complete)
    with pytest.raises(CannotBlink, match=message):
        blink_port("em1")
