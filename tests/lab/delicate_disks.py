"""Makes disks that an ordinary system changes as soon as it looks at them. They are made once.

They are like a machine's disks after a crash: an array that is out of sync, a volume group with a snapshot, a
firmware RAID during its resync, and a disk with a journal to replay, a swap area and a hibernation image. A system
that boots with them attached usually writes to all of them.

They are kept in the cache, read-only; callers copy them.

    python -m tests.lab.delicate_disks
"""

from __future__ import annotations

import enum
import fcntl
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab.commands import LabFailure, run_command
from tests.lab.debian import cache_directory
from tests.lab.kvm import libguestfs_environment


class DelicateDisk(enum.Enum):
    """The disks; A and B belong together."""

    # A Linux RAID1 that resyncs as soon as it is assembled.
    ARRAY_A = "array-a"
    ARRAY_B = "array-b"
    # A volume group with an ext4 that was mounted during the crash, and a snapshot of it.
    VOLUMES = "volumes"
    # A firmware's RAID1 (DDF) during its resync.
    FIRMWARE_A = "firmware-a"
    FIRMWARE_B = "firmware-b"
    # A GPT disk: an ext4 that has a journal to replay and a type that systemd mounts; swap; a hibernation image.
    PARTITIONS = "partitions"


_MIB = 1 << 20
_SIZE = 128 * _MIB
_SECONDS = 600.0
# The ext4 of PARTITIONS; its journal holds a transaction that overwrites these blocks.
EXT4_OFFSET = _MIB
_EXT4_KIB = 32 << 10
_JOURNALLED_BLOCKS = (3000, 3003)
_SWAP_OFFSET, _HIBERNATED_OFFSET, _SWAP_SIZE = 33 * _MIB, 65 * _MIB, 32 * _MIB
# The signature that replaces swap's when the kernel hibernates.
_HIBERNATED = (4086, b"S1SUSPEND\0")

_TABLE = f"""label: gpt
start={EXT4_OFFSET >> 9}, size={_EXT4_KIB << 1}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
start={_SWAP_OFFSET >> 9}, size={_SWAP_SIZE >> 9}, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F
start={_HIBERNATED_OFFSET >> 9}, size={_SWAP_SIZE >> 9}, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F
"""


def delicate_disks() -> dict[DelicateDisk, Path]:
    """The images, raw and read-only; made in about a minute if they are not in the cache. Raises LabFailure."""
    keep = cache_directory() / f"delicate-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]}"
    images = {disk: keep / f"{disk.value}.img" for disk in DelicateDisk}
    if keep.exists():
        return images
    with (cache_directory() / "delicate.lock").open("w") as lock:
        # No timeout: the commands of the process that holds it have time limits.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if keep.exists():
            return images
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache_directory()) as scratch:
            building = Path(scratch) / "disks"
            building.mkdir()
            for image in images.values():
                with (building / image.name).open("wb") as file:
                    file.truncate(_SIZE)
            _fill_partitions(building / images[DelicateDisk.PARTITIONS].name, Path(scratch))
            _fill_the_others({disk: building / image.name for disk, image in images.items()})
            for made in building.iterdir():
                made.chmod(0o444)
            building.rename(keep)
        for old in cache_directory().glob("delicate-*"):
            if old.is_dir() and old != keep:
                shutil.rmtree(old)
    return images


def journal_is_to_be_replayed(image: Path) -> bool:
    """Whether the ext4 of PARTITIONS has a journal that will be replayed when it is mounted."""
    output = run_command(["dumpe2fs", "-h", f"{image}?offset={EXT4_OFFSET}"], timeout=60)
    features = next((line for line in output.splitlines() if line.startswith("Filesystem features:")), "")
    return "needs_recovery" in features.split()


def _fill_partitions(image: Path, scratch: Path) -> None:
    run_command(["sfdisk", "--quiet", image], timeout=60, stdin=_TABLE)
    at_partition = f"{image}?offset={EXT4_OFFSET}"
    run_command(["mke2fs", "-q", "-t", "ext4", "-E", f"offset={EXT4_OFFSET}", image, f"{_EXT4_KIB}k"], timeout=60)
    first, last = _JOURNALLED_BLOCKS
    blocks, commands = scratch / "blocks", scratch / "commands"
    blocks.write_bytes(b"what the journal holds\n" * ((last - first + 1) * 4096 // 23 + 1))
    commands.write_text(f"jo\njw -b {first}-{last} {blocks}\njc\n")
    run_command(["debugfs", "-w", "-f", commands, at_partition], timeout=60)
    swap = scratch / "swap"
    with image.open("r+b") as disk:
        for offset, mark in ((_SWAP_OFFSET, None), (_HIBERNATED_OFFSET, _HIBERNATED)):
            with swap.open("wb") as file:
                file.truncate(_SWAP_SIZE)
            swap.chmod(0o600)
            run_command(["mkswap", swap], timeout=60)
            area = bytearray(swap.read_bytes()[:4096])
            if mark:
                place, text = mark
                area[place : place + len(text)] = text
            disk.seek(offset)
            disk.write(area)
    if not journal_is_to_be_replayed(image):
        raise LabFailure("debugfs has left no journal to replay.")


def _fill_the_others(images: dict[DelicateDisk, Path]) -> None:
    """Uses libguestfs's appliance, whose kernel can make arrays and snapshots, and kills it to simulate a crash."""
    order = (
        DelicateDisk.ARRAY_A,
        DelicateDisk.ARRAY_B,
        DelicateDisk.VOLUMES,
        DelicateDisk.FIRMWARE_A,
        DelicateDisk.FIRMWARE_B,
    )
    added = "\n".join(f"add {images[disk]} format:raw cachemode:unsafe" for disk in order)
    script = f"""
        {added}
        run
        debug sh "modprobe md_mod && cd /proc/sys/dev/raid && echo 1 > speed_limit_min && echo 1 > speed_limit_max"
        md-create delicate "/dev/sda /dev/sdb" level:raid1
        pvcreate /dev/sdc
        vgcreate delicate /dev/sdc
        lvcreate root delicate 40
        mkfs ext4 /dev/delicate/root
        debug sh "lvcreate --snapshot --name before --size 16M delicate/root 2>&1"
        mount /dev/delicate/root /
        write /after "written when there was a snapshot already"
        debug sh "mdadm --create /dev/md/container -e ddf -n 2 /dev/sdd /dev/sde --run 2>&1"
        debug sh "mdadm --create /dev/md/volume --level 1 -n 2 /dev/md/container --run 2>&1"
        debug sh "sync; lvs delicate; cat /proc/mdstat"
        kill-subprocess
    """
    output = run_command(
        ["guestfish"],
        timeout=_SECONDS,
        stdin="\n".join(line.strip() for line in script.splitlines()),
        environment=libguestfs_environment(),
    )
    if "swi-a-s---" not in output or output.count("resync") < 2:
        raise LabFailure(f"The arrays or the snapshot are not in the expected state:\n{output}")


if __name__ == "__main__":
    try:
        for made in delicate_disks().values():
            print(made)
    except LabFailure as error:
        sys.exit(str(error))
