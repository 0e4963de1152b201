"""The commands that start the guest, for each output mode; and that the documentation has the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.session.plan.next_steps import next_steps
from p2v_tui.session.plan.output_modes import OUTPUT_MODES, Output, OutputMode, find_mode

AFTER = Path(__file__).parents[2] / "docs/after-the-conversion.md"


def steps(mode: str, storage: str = "/srv/guests", guest: str = "db1") -> tuple[str, ...]:
    return next_steps(Output(find_mode(mode), storage=storage), guest, "conv.example.com")


def test_local_disks_are_defined_and_started_where_they_are() -> None:
    assert steps("local") == (
        "To start the guest on conv.example.com, where the disks are:",
        "  virsh define /srv/guests/db1.xml",
        "  virsh start db1",
    )


@pytest.mark.parametrize("mode", OUTPUT_MODES, ids=lambda mode: mode.names[0])
def test_each_mode_has_its_steps_under_all_its_names(mode: OutputMode) -> None:
    told = {steps(name) for name in mode.names}
    assert len(told) == 1 and told != {()}


@pytest.mark.parametrize("mode", OUTPUT_MODES, ids=lambda mode: mode.names[0])
def test_the_documentation_has_the_same_commands(mode: OutputMode) -> None:
    text = AFTER.read_text()
    commands = [line.strip() for line in steps(mode.names[0])[1:]]
    assert [command for command in commands if command not in text] == []


def test_a_mode_that_is_not_known_has_none() -> None:
    assert steps("another") == ()


def test_names_are_quoted_for_the_shell() -> None:
    assert "  virsh define '/srv/my guests/a b.xml'" in steps("local", "/srv/my guests/", "a b")


def test_a_server_without_a_name_is_called_what_it_is() -> None:
    assert next_steps(Output(find_mode("libvirt")), "db1", None)[0].startswith("To start the guest on the conversion")
