"""Groups of disks that neither LVM nor blkid reports: caches, Windows' volumes, external journals. If udev's database
does not say what belongs together, the superblocks do; they are read, never written. If they cannot be read either,
all of a kind are taken together and marked as unsure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices, blkid_properties
from p2v_tui.hwprobe.contents import label_of
from p2v_tui.hwprobe.group_parts import Membership
from p2v_tui.hwprobe.ldm import LDM_TYPES, disk_group
from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.raw import hexadecimal, read_at

BTRFS: Final = "btrfs file system"
ZFS: Final = "ZFS pool"
BCACHEFS: Final = "bcachefs file system"
BCACHE: Final = "bcache set"
STRATIS: Final = "Stratis pool"
DYNAMIC_DISKS: Final = "Windows disk group"
STORAGE_POOL: Final = "Windows storage pool"
EXT_JOURNAL: Final = "ext4 journal"
XFS_LOG: Final = "XFS log"

# GPT's type of a disk in a pool of Storage Spaces.
STORAGE_SPACES_TYPE: Final = "e75caf8f-f680-4cee-afa3-b001e56efc2d"

# Used as a name, after "The bcache set".
UNKNOWN: Final = "(which disks belong to it is not known)"

# By blkid's name: all members have its UUID.
_BY_UUID: Final = {"btrfs": BTRFS, "zfs_member": ZFS, "bcachefs": BCACHEFS}

# btrfs-progs, kernel-shared/ctree.h: struct btrfs_super_block at 64 KiB.
_BTRFS_SUPERBLOCK: Final = 64 << 10
_BTRFS_MAGIC: Final = (0x40, b"_BHRfS_M")
_BTRFS_DEVICES: Final = 0x88
# Linux, include/uapi/linux/bcache.h: struct cache_sb at 4 KiB.
_BCACHE_SUPERBLOCK: Final = 4096
_BCACHE_MAGIC: Final = (24, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81"))
_BCACHE_SET: Final = 56
# Linux, fs/ext4/ext4.h: struct ext4_super_block at 1 KiB; an external journal has a UUID and no inode.
_EXT_SUPERBLOCK: Final = 1024
_EXT_MAGIC: Final = (0x38, b"\x53\xef")
_EXT_JOURNAL_UUID: Final = 0xD0
_EXT_JOURNAL_INODE: Final = 0xE0
# Linux, fs/xfs/libxfs/xfs_format.h: struct xfs_dsb, xfs_log_format.h: struct xlog_rec_header. Big-endian.
_XFS_MAGIC: Final = b"XFSB"
_XFS_UUID: Final = 32
_XFS_LOG_START: Final = 48
_XLOG_MAGIC: Final = bytes.fromhex("feedbabe")
_XLOG_UUID: Final = 304
_XLOG_SEARCHED: Final = 256 * 512


def find_spanning(devices: BlockDevices, valid: Sequence[BlockDevice], places: Places) -> Iterator[Membership]:
    """valid: the devices whose signatures are not stale."""
    for device in valid:
        kind, uuid = _BY_UUID.get(_type(device)), device.properties.get("ID_FS_UUID")
        if kind and uuid:
            members = btrfs_devices(device) if kind == BTRFS else None
            yield Membership(kind, uuid, label_of(device) or "", device, members=members)
    yield from _bcache([device for device in valid if _type(device) == "bcache"], devices)
    yield from _stratis([device for device in valid if _type(device) == "stratis"], places)
    yield from _windows(devices)
    yield from _journals(valid, EXT_JOURNAL, ("jbd", _uuid), ({"ext3", "ext4"}, _ext_journal))
    yield from _journals(valid, XFS_LOG, ("xfs_external_log", _logged_file_system), ({"xfs"}, _xfs_with_log))


def _type(device: BlockDevice) -> str:
    return device.properties.get("ID_FS_TYPE", "")


def _uuid(device: BlockDevice) -> str | None:
    return device.properties.get("ID_FS_UUID", "").replace("-", "").lower() or None


def btrfs_devices(device: BlockDevice) -> int | None:
    """How many devices a btrfs has, by the superblock on one of them; None where it cannot be read."""
    block = read_at(device, _BTRFS_SUPERBLOCK, 4096, _BTRFS_MAGIC)
    return int.from_bytes(block[_BTRFS_DEVICES : _BTRFS_DEVICES + 8], "little") if block else None


def _bcache(parts: Sequence[BlockDevice], devices: BlockDevices) -> Iterator[Membership]:
    """A backing device without its cache lacks what was not written back."""
    for part in parts:
        set_uuid = _bcache_set(part)
        running = next((holder.name for holder in devices.holders_of(part.name)), None)
        if set_uuid is not None:
            # A backing device without a cache has a set UUID of zeros.
            if set_uuid.strip("0"):
                # At least one disk and its cache.
                yield Membership(BCACHE, set_uuid, "", part, members=2)
        elif running:
            yield Membership(BCACHE, running, running, part, members=2)
        else:
            yield Membership(BCACHE, "", UNKNOWN, part, unsure=True)


def _bcache_set(device: BlockDevice) -> str | None:
    block = read_at(device, _BCACHE_SUPERBLOCK, 512, _BCACHE_MAGIC)
    if block:
        return hexadecimal(block, _BCACHE_SET)
    link = device.sys_path / "bcache" / "set"
    return link.resolve().name if link.exists() else None


def _stratis(parts: Sequence[BlockDevice], places: Places) -> Iterator[Membership]:
    for part in parts:
        said = blkid_properties(part.node, places, words="export")
        pool = said.get("POOL_UUID")
        yield Membership(STRATIS, pool or "", "" if pool else UNKNOWN, part, unsure=not pool)


def _windows(devices: BlockDevices) -> Iterator[Membership]:
    for disk in devices.whole:
        types = {part.properties.get("ID_PART_ENTRY_TYPE", "").lower() for part in devices.partitions_of(disk.name)}
        if STORAGE_SPACES_TYPE in types:
            yield Membership(STORAGE_POOL, "", UNKNOWN, disk, unsure=True)
        group = disk_group(disk, devices)
        if group:
            yield Membership(DYNAMIC_DISKS, group.guid, group.name, disk, members=group.disks)
        elif types & LDM_TYPES:
            yield Membership(DYNAMIC_DISKS, "", UNKNOWN, disk, unsure=True)


def _journals(
    valid: Sequence[BlockDevice],
    kind: str,
    log: tuple[str, Callable[[BlockDevice], str | None]],
    file_system: tuple[set[str], Callable[[BlockDevice], str | None]],
) -> Iterator[Membership]:
    """External journals. log, file_system: blkid's names, and a function that reads the journal's identity: empty for
    a file system with its journal inside, None if unreadable.
    """
    (log_type, log_identity), (types, fs_identity) = log, file_system
    logs = [device for device in valid if _type(device) == log_type]
    if not logs:
        return
    wanted = {device.name: fs_identity(device) for device in valid if _type(device) in types}
    by_name = {device.name: device for device in valid}
    for device in logs:
        identity = log_identity(device)
        sure = [by_name[name] for name, uuid in wanted.items() if uuid and uuid == identity]
        unknown = [by_name[name] for name, uuid in wanted.items() if uuid is None]
        name = identity if identity and sure else UNKNOWN
        for part in (device, *(sure or unknown)):
            yield Membership(kind, identity or "", name, part, unsure=not sure)


def _ext_journal(device: BlockDevice) -> str | None:
    block = read_at(device, _EXT_SUPERBLOCK, 1024, _EXT_MAGIC)
    if block is None:
        return None
    inside = any(block[_EXT_JOURNAL_INODE : _EXT_JOURNAL_INODE + 4])
    return (
        "" if inside else hexadecimal(block, _EXT_JOURNAL_UUID).strip("0") and hexadecimal(block, _EXT_JOURNAL_UUID)
    )


def _xfs_with_log(device: BlockDevice) -> str | None:
    block = read_at(device, 0, 512, (0, _XFS_MAGIC))
    if block is None:
        return None
    return "" if any(block[_XFS_LOG_START : _XFS_LOG_START + 8]) else hexadecimal(block, _XFS_UUID)


def _logged_file_system(device: BlockDevice) -> str | None:
    """The file system that the log belongs to, from its first record."""
    block = read_at(device, 0, _XLOG_SEARCHED) or b""
    records = (at for at in range(0, len(block), 512) if block[at : at + 4] == _XLOG_MAGIC)
    return next((hexadecimal(block, at + _XLOG_UUID) for at in records), None)
