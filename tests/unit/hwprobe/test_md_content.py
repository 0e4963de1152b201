"""A LUKS volume on a software RAID array is seen without running the array. The members are made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.hwprobe import Content, Disk, Partition, Places
from p2v_tui.hwprobe.health import examine_health
from p2v_tui.hwprobe.md_content import ArrayMember
from p2v_tui.session.preflight.machine_checks import judge_machine
from p2v_tui.session.words.checks import Verdict
from tests.unit.hwprobe.conftest import ProbeRecorded

MIB = 1 << 20
SIZE = 4 * MIB
START = 2 * MIB
UUID = "0000000a-0000-0000-0000-00000000000b"
LUKS = b"LUKS\xba\xbe\x00\x02"


def superblock(data_offset: int) -> bytes:
    """Of version 1.x. data_offset: bytes."""
    block = bytearray(256)
    block[0:4] = (0xA92B4EFC).to_bytes(4, "little")
    block[4:8] = (1).to_bytes(4, "little")
    block[128:136] = (data_offset // 512).to_bytes(8, "little")
    return bytes(block)


def member(version: str, data: bytes) -> bytes:
    """A member of SIZE bytes with these data."""
    raw = bytearray(SIZE)
    place, offset = {"1.2": (4096, MIB), "1.1": (0, MIB), "1.0": ((SIZE - 8192) & ~4095, 0)}.get(version, (-1, 0))
    raw[offset : offset + len(data)] = data
    if place >= 0:
        block = superblock(offset)
        raw[place : place + len(block)] = block
    elif version.startswith("0.90"):
        magic = (0xA92B4EFC).to_bytes(4, "little" if version == "0.90" else "big")
        raw[SIZE - 64 * 1024 : SIZE - 64 * 1024 + 4] = magic
    return bytes(raw)


def look(tmp_path: Path, raw: bytes, start: int | None = START) -> ArrayMember:
    device = tmp_path / "sda"
    device.write_bytes(bytes(START) + raw)
    content = Content("linux_raid_member", UUID, "host:root")
    part = Partition("sda1", 1, SIZE, content=content, start=start)
    disk = Disk("sda", device, START + SIZE, partitions=(part,))
    (health,) = examine_health([disk], Places(sys=tmp_path, run=lambda _: "", ask=lambda _: "")).disks
    (found,) = health.members
    return found


@pytest.mark.parametrize("version", ["1.2", "1.1", "1.0", "0.90", "0.90 of a big-endian machine"])
@pytest.mark.parametrize(("data", "luks"), [(LUKS, True), (b"LABELONE", False), (b"", False)])
def test_luks_is_looked_for_where_the_members_data_begin(
    tmp_path: Path, version: str, data: bytes, luks: bool
) -> None:
    found = look(tmp_path, member(version, data))
    assert found == ArrayMember("sda1", UUID.replace("-", ""), "root", luks)


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert look(tmp_path, bytes(SIZE)).luks is None
    assert look(tmp_path, b"").luks is None
    assert look(tmp_path, member("1.2", LUKS), start=None).luks is None
    cut = bytearray(member("1.2", LUKS))
    cut[4096 + 128 : 4096 + 136] = b"\xff" * 8
    assert look(tmp_path, bytes(cut)).luks is None


def test_a_member_that_fills_a_disk_is_looked_into(tmp_path: Path) -> None:
    device = tmp_path / "sdb"
    device.write_bytes(member("1.2", LUKS))
    disk = Disk("sdb", device, SIZE, content=Content("linux_raid_member", UUID))
    (health,) = examine_health([disk], Places(sys=tmp_path, run=lambda _: "", ask=lambda _: "")).disks
    assert [(found.name, found.luks) for found in health.members] == [("sdb", True)]


def test_a_recorded_array_that_cannot_be_read_is_reported(recorded: ProbeRecorded) -> None:
    outcome = recorded("luks-on-md")
    checks = judge_machine(outcome.machine.disks, outcome.health)
    texts = [check.text for check in checks if check.key == "encrypted" and check.verdict is Verdict.NOTED]
    assert len(texts) == 2
    assert "sda3, sdb3" in texts[1] and "LUKS" in texts[1]
