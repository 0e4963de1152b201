"""One bad device never costs the probe: it says so itself, and the rest stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p2v_tui.hwprobe import Places
from p2v_tui.hwprobe.cpu import numbers_in
from p2v_tui.hwprobe.places import run_tool
from tests.unit.hwprobe.conftest import ProbeRecorded, play


def test_a_partition_name_that_is_not_utf8_does_not_matter(recorded: ProbeRecorded) -> None:
    machine = recorded("partname-latin1").machine
    assert [disk.name for disk in machine.disks] == ["sda"]
    (partition,) = machine.disks[0].partitions
    assert partition.content is not None and partition.content.type == "ext4"


def test_names_and_values_of_properties_may_hold_any_bytes(recorded: ProbeRecorded) -> None:
    """A partition's name with a line feed makes a property of its own; a disk's and a card's are as bad."""
    machine = recorded("broken-names").machine
    disks = {disk.name: disk for disk in machine.disks}
    assert set(disks) == {"sda", "sdb"}
    assert [part.type for part in disks["sda"].partitions] == ["0x83"]
    assert disks["sdb"].model == "Bad � Disk" and disks["sdb"].partition_table == "gpt"
    assert [interface.name for interface in machine.interfaces] == ["eth0"]
    assert machine.notes == ()


def test_a_disk_without_a_readable_size_is_left_out_with_the_reason(recorded: ProbeRecorded) -> None:
    machine = recorded("broken-names").machine
    reasons = {excluded.name: excluded.reason for excluded in machine.excluded}
    assert reasons["sdc"] == "it went away while it was looked at"
    assert reasons["sdd"].startswith("it could not be looked at: ")
    assert all(excluded.worth_listing for excluded in machine.excluded)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["sata-lvm-server", "nvme-luks-laptop", "multipath-san-host"])
def test_whatever_cannot_be_read_costs_its_own_device_at_most(name: str, tmp_path: Path) -> None:
    play(name, "faulty_probe", tmp_path / "outcomes.json")
    whole, faults = json.loads((tmp_path / "outcomes.json").read_text())
    assert whole["notes"] == []
    for path, found in faults:
        lost = set(whole["names"]) - set(found["names"])
        # A drive is always listed, an interface without an address is a note.
        assert lost == {name for name in whole["names"] for note in found["notes"] if f"interface {name} " in note}
        withdrawn = set(whole["offered"]) - set(found["offered"])
        assert all(f"/{name.rpartition('/')[2]}/" in path or "/dm-" in path for name in withdrawn - lost), path


@pytest.mark.parametrize(
    "script", ["exit 1", "kill -SEGV $$", "printf '\\377\\376'; exit 3", "exec /nonexistent"], ids=str
)
def test_a_tool_that_crashes_says_nothing(script: str) -> None:
    assert run_tool(["sh", "-c", script]) is None


def test_a_machine_on_which_every_tool_fails_is_probed_all_the_same(recorded: ProbeRecorded) -> None:
    assert Places().run(["a-tool-that-is-not-there"]) is None
    # It is recorded without a single answer of a tool.
    assert recorded("mixed").machine.disks


@pytest.mark.parametrize("text", ["", "x", "0-", "0-x", "²", "1-3-5", "-", "٣"])
def test_a_list_of_processors_that_is_no_list_is_no_error(text: str) -> None:
    assert all(isinstance(number, int) for number in numbers_in(text))
