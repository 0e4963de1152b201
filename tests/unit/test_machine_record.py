"""Whose a remote directory is: read from what the server says, and when nobody can continue it."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.hwprobe.this_machine import MachineIdentity
from p2v_tui.session.conversion.machine_record import MachineRecord, RecordedDisk, parse

RECORD = MachineRecord(
    identity=MachineIdentity("4c4c4544-0042-3510-8052-b4c04f564433", "b5r3d3j", frozenset({"52:54:00:00:00:0a"})),
    boot="boot 1",
    files="mnt:[1]",
    workspace="/nowhere/p2v-tui-abcd",
    guest="db1",
    disks=(RecordedDisk("sda", 512 << 20, "S3R1AL", "device 1"), RecordedDisk("sdb", 1 << 30, None, "file 2")),
    started=datetime.datetime(2026, 3, 9, 2, 13, 7),
)


def test_what_is_written_is_read_again_and_is_one_line() -> None:
    assert parse(RECORD.text) == RECORD
    assert "\n" not in dataclasses.replace(RECORD, guest="two\nlines").text


@given(
    st.text()
    | st.dictionaries(st.sampled_from(list(json.loads(RECORD.text))), st.none() | st.integers() | st.text()).map(
        lambda change: json.dumps(json.loads(RECORD.text) | change)
    )
)
def test_whatever_the_server_says_it_never_raises(text: str) -> None:
    parse(text)


def test_another_boot_is_orphaned_and_a_process_that_may_live_is_not(tmp_path: Path) -> None:
    earlier = dataclasses.replace(RECORD, boot="boot 0", workspace=str(tmp_path))
    assert RECORD.orphaned(earlier, served=True)
    assert not RECORD.orphaned(dataclasses.replace(earlier, boot="boot 1"), served=False)
    gone = dataclasses.replace(earlier, boot="boot 1", workspace=str(tmp_path / "gone"))
    assert RECORD.orphaned(gone, served=True)
    # Its private directory may be where we do not see it.
    hidden = dataclasses.replace(gone, files="mnt:[2]")
    assert not RECORD.orphaned(hidden, served=True)
    assert RECORD.orphaned(hidden, served=False)


@pytest.mark.parametrize("boot", ["boot 1", ""])
def test_where_the_boot_is_not_known_nothing_is_orphaned(boot: str) -> None:
    assert not dataclasses.replace(RECORD, boot="").orphaned(dataclasses.replace(RECORD, boot=boot), served=False)


def test_the_same_boot_is_the_same_machine() -> None:
    nobody = MachineIdentity(None, None, frozenset())
    anonymous = dataclasses.replace(RECORD, identity=nobody)
    assert anonymous.same_machine(anonymous)
    assert not anonymous.same_machine(dataclasses.replace(anonymous, boot="boot 0"))


def test_a_disk_without_a_mark_is_never_proved_unchanged() -> None:
    assert RECORD.unchanged_since(RECORD)
    unmarked = dataclasses.replace(RECORD, disks=(dataclasses.replace(RECORD.disks[0], mark=""),))
    assert not unmarked.unchanged_since(unmarked)
    assert not RECORD.unchanged_since(unmarked)


@pytest.mark.parametrize(
    ("disks", "guest", "in_the_way", "same_guest"),
    [
        ((("sda", None),), "db1", True, True),
        ((("sda", None),), "another", True, False),
        ((("sdz", "S3R1AL"),), "another", True, False),
        # Another disk, with the name that one had.
        ((("sda", "AN0THER"),), "another", False, False),
        ((("sdz", None),), "db1", True, False),
        ((("sdz", None),), "another", False, False),
    ],
)
def test_an_earlier_one_is_in_the_way_by_a_disk_or_by_the_guests_name(
    disks: tuple[tuple[str, str | None], ...], guest: str, *, in_the_way: bool, same_guest: bool
) -> None:
    other = tuple(RecordedDisk(name, 1, serial, "") for name, serial in disks)
    earlier = dataclasses.replace(RECORD, disks=other, guest=guest)
    assert RECORD.in_the_way(earlier) is in_the_way
    assert RECORD.same_guest(earlier) is same_guest
