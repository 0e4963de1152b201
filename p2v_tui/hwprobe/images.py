"""What is in a disk image: the same facts as about a disk, read without a device, a mount or special rights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2v_tui.hwprobe.blockdev import SYSFS_UNIT, blkid_properties
from p2v_tui.hwprobe.contents import content_in
from p2v_tui.hwprobe.ldm import LDM_TYPES
from p2v_tui.hwprobe.machine import Disk, Partition
from p2v_tui.hwprobe.places import Places

# The MBR's type of the one partition that stands for a whole GPT, as sfdisk writes it.
_PROTECTIVE = "ee"


def read_image(path: Path, size: int, places: Places | None = None) -> Disk:
    """A raw disk image as a disk. size: bytes. For a damaged one, whatever sfdisk and blkid can tell."""
    places = places or Places()
    whole = blkid_properties(path, places)
    table = whole.get("ID_PART_TABLE_TYPE")
    partitions = tuple(_partitions(path, size, places)) if table else ()
    return Disk(
        name=str(path),
        # Resolved, so that one image under two names is recognized as one.
        device=path.resolve(),
        size=size,
        partition_table=table,
        content=None if table else content_in(whole),
        partitions=partitions,
        partition_table_uuid=whole.get("ID_PART_TABLE_UUID"),
        dynamic=any(part.type in LDM_TYPES for part in partitions),
    )


def _partitions(path: Path, size: int, places: Places) -> Iterator[Partition]:
    try:
        table: Any = json.loads(places.run(["sfdisk", "--json", str(path)]) or "")["partitiontable"]
        rows = [(row["node"], row["start"], row["size"], row["type"], row) for row in table["partitions"]]
        identifier = str(table["id"]).removeprefix("0x").lower()
    except (ValueError, KeyError, TypeError):
        return
    for node, first, count, kind, row in rows:
        number = re.search(r"[0-9]+$", node)
        start, length = first * SYSFS_UNIT, count * SYSFS_UNIT
        # A truncated file may be shorter than its table says, or lack the GPT that its MBR protects.
        if not number or start + length > size or kind == _PROTECTIVE:
            continue
        mbr = re.fullmatch("[0-9a-f]{1,2}", kind)
        yield Partition(
            name=node,
            number=int(number[0]),
            size=length,
            type=f"0x{kind}" if mbr else kind.lower(),
            # The kernel's UUID for partitions that have none of their own.
            uuid=f"{identifier}-{int(number[0]):02x}" if mbr else str(row.get("uuid", "")).lower() or None,
            bootable=bool(mbr and row.get("bootable")),
            content=content_in(blkid_properties(path, places, (start, length))),
            start=start,
        )
