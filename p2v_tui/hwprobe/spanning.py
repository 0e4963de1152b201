"""What only the superblocks themselves say of things that span several disks. They are read, never written."""

from __future__ import annotations

import os

from p2v_tui.hwprobe.blockdev import BlockDevice

# btrfs-progs, kernel-shared/ctree.h: struct btrfs_super_block at 64 KiB.
_BTRFS_SUPERBLOCK = 64 << 10
_BTRFS_MAGIC = (0x40, b"_BHRfS_M")
_BTRFS_DEVICES = 0x88


def device_count(device: BlockDevice) -> int | None:
    """How many devices a btrfs has, by the superblock on one of them; None where it cannot be read."""
    block = _read(device, _BTRFS_SUPERBLOCK, 4096)
    offset, magic = _BTRFS_MAGIC
    if not block or block[offset : offset + len(magic)] != magic:
        return None
    return int.from_bytes(block[_BTRFS_DEVICES : _BTRFS_DEVICES + 8], "little")


def _read(device: BlockDevice, offset: int, length: int) -> bytes | None:
    """Bytes of a device, or None where it does not have so many or cannot be read."""
    try:
        descriptor = os.open(device.node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.pread(descriptor, length, offset)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return found if len(found) == length else None
