"""Disks that are one disk, and copies: made-up disks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from p2v_tui.hwprobe.copies import find_copies, may_be_paths, other_paths
from p2v_tui.hwprobe.machine import Content, Disk, Partition, Transport

GIB = 1 << 30
WWN = "0x600508b4000156d700012000000b0000"
ROOT = Content("ext4", "3a9c7f0e-6f1a-4d7e-9a57-2b1f4f9f6c11")
LUN = Disk(
    "sda",
    Path("/dev/sda"),
    GIB,
    serial="P9999A",
    wwn=WWN,
    transport=Transport.FIBRE_CHANNEL,
    partition_table="gpt",
    partition_table_uuid="00000001-0000-4000-8000-000000000001",
    partitions=(Partition("sda1", 1, GIB, uuid="00000002-0000-4000-8000-000000000002", content=ROOT),),
)


def other(**facts: object) -> Disk:
    """The same under another name, but for these facts."""
    disk = dataclasses.replace(LUN, name="sdb", device=Path("/dev/sdb"), **facts)  # type: ignore[arg-type]
    parts = tuple(dataclasses.replace(part, name=part.name.replace("sda", "sdb")) for part in disk.partitions)
    return dataclasses.replace(disk, partitions=parts)


def paths(*disks: Disk) -> list[tuple[str, str]]:
    return [(path.name, disk.name) for path, disk in other_paths(disks)]


def test_what_agrees_in_everything_is_one_disk_over_several_paths() -> None:
    third = dataclasses.replace(other(), name="sdc")
    assert paths(LUN, other(), third) == [("sdb", "sda"), ("sdc", "sda")]
    assert paths(dataclasses.replace(LUN, serial=None), other(serial=None)) == [("sdb", "sda")]
    nvme = "eui.002538b511b3c4d5"
    assert paths(dataclasses.replace(LUN, wwn=nvme), other(wwn=nvme)) == [("sdb", "sda")]


@pytest.mark.parametrize(
    "facts",
    [
        {"wwn": "0x600508b4000156d700012000000b0001"},
        {"serial": "P9999B"},
        {"size": 2 * GIB},
        {"partition_table_uuid": "00000001-0000-4000-8000-000000000009"},
        {"partitions": ()},
        {"partitions": (dataclasses.replace(LUN.partitions[0], content=Content("ext4", "another")),)},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_what_differs_in_anything_is_another_disk(facts: dict[str, object]) -> None:
    assert paths(LUN, other(**facts)) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"wwn": None},
        {"wwn": "0x0000000000000000"},
        {"wwn": "0xffffffffffffffff"},
        {"wwn": "0x5000000000000000"},
        {"wwn": "0x1234"},
        {"wwn": "0x"},
        {"wwn": "eui."},
        # Bridges for USB answer for both disks behind them.
        {"transport": Transport.USB},
        # Nothing on it to compare.
        {"partition_table": None, "partition_table_uuid": None, "partitions": ()},
    ],
    ids=str,
)
def test_a_name_that_says_nothing_makes_no_two_disks_one(facts: dict[str, object]) -> None:
    assert paths(dataclasses.replace(LUN, **facts), other(**facts)) == []  # type: ignore[arg-type]


EMPTY: dict[str, object] = {"partition_table": None, "partition_table_uuid": None, "partitions": ()}


@pytest.mark.parametrize(
    ("one", "two", "alike"),
    [
        # A LUN without anything on it; one of an array that is read over one path only.
        (EMPTY, EMPTY, True),
        (EMPTY, {}, True),
        # What is on them tells: a path, which is not offered; or two disks of a controller that names all the same.
        ({}, {}, False),
        (EMPTY, {**EMPTY, "serial": "P9999B"}, False),
        (EMPTY, {**EMPTY, "size": 2 * GIB}, False),
        ({**EMPTY, "serial": None}, {**EMPTY, "serial": None}, False),
        ({**EMPTY, "wwn": "0x5000000000000000"}, {**EMPTY, "wwn": "0x5000000000000000"}, False),
        ({**EMPTY, "transport": Transport.USB}, {**EMPTY, "transport": Transport.USB}, False),
    ],
)
def test_what_only_calls_itself_the_same_may_be_one_disk(
    one: dict[str, object], two: dict[str, object], *, alike: bool
) -> None:
    first = dataclasses.replace(LUN, **one)  # type: ignore[arg-type]
    assert may_be_paths([first, other(**two)]) == (((first, other(**two)),) if alike else ())


def holding(name: str, *contents: Content, table_uuid: str | None = None) -> Disk:
    parts = tuple(Partition(f"{name}{n}", n, GIB, content=content) for n, content in enumerate(contents, 1))
    return Disk(
        name, Path("/dev") / name, GIB, partition_table="gpt", partitions=parts, partition_table_uuid=table_uuid
    )


def copies(*disks: Disk) -> list[tuple[str, ...]]:
    return [tuple(disk.name for disk in found.disks) for found in find_copies(disks)]


@pytest.mark.parametrize(
    "content",
    [
        ROOT,
        Content("ntfs", "01D6C3B1A2B3C4D5"),
        Content("crypto_LUKS", "5b1c9f6e-0d8a-4a52-8a43-1f6f0b7f0a11"),
        Content("LVM2_member", "aaaaaa-0000"),
        Content("btrfs", "pool", member="device-1"),
        Content("linux_raid_member", "array", member="member-1"),
        Content("zfs_member", "1234", member="5678"),
    ],
    ids=lambda content: content.type,
)
def test_what_can_be_there_only_once_makes_two_disks_copies(content: Content) -> None:
    assert copies(holding("sda", content), holding("sdb", Content("swap", "s")), holding("sdc", content)) == [
        ("sda", "sdc")
    ]


@pytest.mark.parametrize("kind", ["btrfs", "linux_raid_member", "zfs_member", "bcachefs"])
def test_the_members_of_one_thing_are_no_copies(kind: str) -> None:
    assert (
        copies(holding("sda", Content(kind, "u", member="1")), holding("sdb", Content(kind, "u", member="2"))) == []
    )
    # Metadata of version 0.90 has no name of its own for each member.
    assert copies(holding("sda", Content(kind, "u")), holding("sdb", Content(kind, "u"))) == []


def test_an_efi_system_partition_and_a_table_may_be_copied_to_another_disk() -> None:
    esp = Content("vfat", "AAAA-0001")
    one, two = (Content("linux_raid_member", "array", member=member) for member in "ab")
    table = "00000001-0000-4000-8000-000000000001"
    assert copies(holding("sda", esp, one, table_uuid=table), holding("sdb", esp, two, table_uuid=table)) == []


def test_a_table_makes_copies_of_disks_on_which_nothing_is_recognised() -> None:
    assert copies(holding("sda", table_uuid="0009c3a1"), holding("sdb", table_uuid="0009c3a1")) == [("sda", "sdb")]
    assert copies(holding("sda", table_uuid="00000000"), holding("sdb", table_uuid="00000000")) == []


def test_disks_with_several_things_in_common_are_copies_once() -> None:
    swap = Content("swap", "s")
    assert copies(holding("sda", ROOT, swap), holding("sdb", ROOT, swap)) == [("sda", "sdb")]
