"""What a disk's line says of what is on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2v_tui.front.device_words import contents_in_words
from p2v_tui.hwprobe.machine import Content, Disk, Partition
from tests.unit.machines import SDA, SERVER

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
DATA = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
RECOVERY = "de94bba4-06d1-4d40-a16a-bfd50179d6ac"


def disk(*parts: tuple[str, str | None], active: int = -1) -> Disk:
    """parts: the type of each partition, and blkid's name of what is on it; active: the one with the MBR's flag."""
    partitions = tuple(
        Partition(
            f"sda{number + 1}",
            number + 1,
            1 << 30,
            type=kind,
            bootable=number == active,
            content=Content(content) if content else None,
        )
        for number, (kind, content) in enumerate(parts)
    )
    return replace(SDA, partitions=partitions)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (disk((ESP, "vfat"), (LINUX, "ext4"), (LINUX, "LVM2_member")), "Linux (EFI, ext4, LVM)"),
        (disk((BIOS_BOOT, None), (LINUX, "xfs")), "Linux (xfs)"),
        (disk(("0x83", "ext4"), active=0), "Linux (ext4)"),
        (disk((ESP, "vfat"), (DATA, "BitLocker")), "Windows (EFI, BitLocker (encrypted))"),
        (disk(("0x07", "ntfs"), ("0x07", "ntfs"), active=0), "Windows (2 x NTFS)"),
        # The ESP is on another disk.
        (disk((DATA, "ntfs"), (RECOVERY, "ntfs")), "Windows (2 x NTFS)"),
        (
            disk((ESP, "vfat"), (DATA, "ntfs"), (LINUX, "btrfs")),
            "Windows and Linux (EFI, NTFS, btrfs)",
        ),
    ],
)
def test_the_system_that_starts_from_a_disk_is_named_first(found: Disk, said: str) -> None:
    assert contents_in_words(found, SERVER) == said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (disk((DATA, "ntfs")), "NTFS"),
        (disk((LINUX, "xfs")), "xfs"),
        (disk((ESP, "vfat")), "EFI"),
        (disk((ESP, None), (LINUX, None)), "2 partitions, nothing recognised"),
    ],
)
def test_a_disk_with_data_only_is_not_taken_for_a_system(found: Disk, said: str) -> None:
    assert contents_in_words(found, SERVER) == said
