"""Made-up block devices of a host on a SAN, in any number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from p2v_tui.hwprobe import Firmware, Places
from p2v_tui.hwprobe.blockdev import Ancestor, BlockDevice, BlockDevices
from p2v_tui.hwprobe.boot_order import order_disks
from p2v_tui.hwprobe.disks import find_disks
from p2v_tui.hwprobe.groups import find_groups
from p2v_tui.hwprobe.live_medium import devices_in_use
from p2v_tui.hwprobe.machine import Disk, DiskGroup
from p2v_tui.hwprobe.removable import removable_media

PATHS = 4
# For each LUN: its paths, the multipath disk, and one partition on each of these.
DEVICES_OF_A_LUN = 2 * PATHS + 2
_NOWHERE = Path("/nowhere")


def san_host(luns: int) -> BlockDevices:
    """Multipath disks of four paths each, with a physical volume of LVM on a partition; ten LUNs in each group."""
    return BlockDevices({device.name: device for lun in range(luns) for device in _lun(lun)})


def local_disks(count: int) -> BlockDevices:
    """Disks without multipath, each a member of an array of two."""
    member = {"ID_FS_TYPE": "linux_raid_member"}
    return BlockDevices(
        {
            f"sd{number}": _device(
                f"sd{number}",
                {**member, "ID_FS_UUID": f"{number // 2:032x}", "ID_FS_UUID_SUB": f"{number:032x}"},
                wwn=number,
            )
            for number in range(count)
        }
    )


def _lun(lun: int) -> Iterator[BlockDevice]:
    paths = [f"sd{lun * PATHS + path}" for path in range(PATHS)]
    for name in paths:
        yield _device(name, {"ID_FS_TYPE": "mpath_member"}, wwn=lun)
        yield _device(f"{name}p1", {}, wwn=lun, parent=name)
    identity = f"mpath-3{lun:032x}"
    mapped = {"DM_UUID": identity, "DM_NAME": f"mpath{lun}", "ID_PART_TABLE_TYPE": "gpt"}
    yield _device(f"dm-{2 * lun}", mapped, slaves=tuple(paths))
    yield physical_volume(lun)


def physical_volume(lun: int) -> BlockDevice:
    """The partition of a LUN on a SAN host."""
    part = {"DM_UUID": f"part1-mpath-3{lun:032x}", "DM_NAME": f"mpath{lun}-part1", "ID_FS_TYPE": "LVM2_member"}
    part["ID_FS_UUID"] = f"{lun:032x}"
    return _device(f"dm-{2 * lun + 1}", part, slaves=(f"dm-{2 * lun}",))


def _device(
    name: str,
    properties: dict[str, str],
    *,
    wwn: int | None = None,
    parent: str | None = None,
    slaves: Sequence[str] = (),
) -> BlockDevice:
    own = {} if wwn is None else {"ID_WWN": f"0x{wwn:016x}", "ID_SERIAL_SHORT": f"{wwn:016x}"}
    above = () if wwn is None else (Ancestor(_NOWHERE / "host", "scsi", None),)
    return BlockDevice(
        name=name,
        node=_NOWHERE / "dev" / name,
        sys_path=_NOWHERE / name,
        number=f"8:{name}",
        size=1 << 40,
        partition=parent is not None,
        parent=parent,
        ancestors=above,
        slaves=tuple(slaves),
        properties={**own, **properties},
    )


def look(devices: BlockDevices) -> tuple[tuple[Disk, ...], tuple[DiskGroup, ...]]:
    """All that a probe does with the block devices once they are read; pvs answers for each physical volume."""

    def pvs(command: Sequence[str]) -> str | None:
        if command[0] != "pvs":
            return None
        volumes = (it for it in devices.by_name.values() if it.properties.get("ID_FS_TYPE") == "LVM2_member")
        rows = [
            {"pv_name": f"/dev/{volume.name}", "vg_name": f"vg{number // 10}", "vg_uuid": f"{number // 10:x}"}
            for number, volume in enumerate(volumes)
        ]
        return json.dumps({"report": [{"pv": rows}]})

    places = Places(sys=_NOWHERE, proc=_NOWHERE, dev=_NOWHERE / "dev", udev_data=_NOWHERE, run=pvs)
    in_use = devices_in_use(devices, places)
    found = find_disks(devices, in_use, places)
    left_out = [name for name in found.names if name not in found.disks]
    order = order_disks(found.disks, devices, left_out, Firmware.UEFI, places)
    removable_media(devices, in_use)
    return order.disks, find_groups(devices, found, places)
