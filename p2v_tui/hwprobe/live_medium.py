"""Which block devices the running system itself uses: the medium that it was booted from, mounts and swap. The root
of a live system is an overlay over a squashfs over a loop device over a file on the medium, and all of these are
followed down. Nothing is unmounted here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.exclusion import RUNS_FROM_HERE, Exclusion, mounted, swapped_to
from p2v_tui.hwprobe.places import Places, read_text

# Where live systems mount their medium: live-boot (new, old), dracut, casper, archiso.
_LIVE_MOUNT_POINTS = frozenset(
    {"/run/live/medium", "/lib/live/mount/medium", "/run/initramfs/live", "/cdrom", "/run/archiso/bootmnt"}
)


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo. number: `major:minor` of the device, `0:...` without one."""

    number: str
    point: str
    kind: str
    source: str
    options: str

    @property
    def read_only(self) -> bool:
        """Whether the file system itself is read-only, and not just this mount."""
        return "ro" in self.options.split(",")


def mounts_in(mountinfo: str) -> tuple[Mount, ...]:
    """The mounts of /proc/self/mountinfo, in its order: a later one hides an earlier one at the same place."""
    return tuple(mount for line in mountinfo.splitlines() if (mount := _mount(line)))


def _mount(line: str) -> Mount | None:
    left, dash, right = line.partition(" - ")
    head, tail = left.split(" "), right.split(" ")
    if not dash or len(head) < 6 or len(tail) < 2:
        return None
    return Mount(head[2], _plain(head[4]), tail[0], _plain(tail[1]), _plain(tail[2]) if len(tail) > 2 else "")


def _plain(field: str) -> str:
    """A field without the octal escapes that the kernel writes for blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def devices_in_use(devices: BlockDevices, places: Places) -> dict[str, Exclusion]:
    """The kernel's names of the devices that the running system uses, each with the reason.

    A device that carries another one in use is there too: the disk of a mounted partition, the paths of a
    multipath disk, the disk with the file behind a loop device.
    """
    mounts = mounts_in(read_text(places.proc / "self/mountinfo") or "")
    used: dict[str, Exclusion] = {}
    root = _mount_of("/", mounts)
    for mount in ([root] if root else []) + [mount for mount in mounts if mount.point in _LIVE_MOUNT_POINTS]:
        for device in _under_mount(mount, mounts, devices, places, set()):
            used.setdefault(device.name, RUNS_FROM_HERE)
    # Writable mounts come first: a device does not change only if all its mounts are read-only.
    for mount in sorted(mounts, key=lambda mount: mount.read_only):
        for device in _under_mount(mount, mounts, devices, places, set()):
            used.setdefault(device.name, mounted(mount.point, writable=not mount.read_only))
    for path in _swap_areas(places):
        swap = devices.at(path, places)
        for device in _under(swap, mounts, devices, places, set()) if swap else ():
            used.setdefault(device.name, swapped_to(path))
    return used


def _mount_of(path: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """The mount of a file: the deepest mount point above it, and of two in one place the later."""
    wanted = PurePosixPath(path)
    above = [mount for mount in mounts if wanted.is_relative_to(mount.point)]
    return max(reversed(above), key=lambda mount: len(PurePosixPath(mount.point).parts), default=None)


def _under_mount(
    mount: Mount, mounts: tuple[Mount, ...], devices: BlockDevices, places: Places, seen: set[str]
) -> Iterator[BlockDevice]:
    """Every block device that a mounted file system needs."""
    if mount.point in seen:
        return
    seen.add(mount.point)
    for layer in _overlay_layers(mount):
        below = _mount_of(layer, mounts)
        if below:
            yield from _under_mount(below, mounts, devices, places, seen)
    for device in _devices_of(mount, devices, places):
        yield from _under(device, mounts, devices, places, seen)


def _overlay_layers(mount: Mount) -> tuple[str, ...]:
    if mount.kind not in {"overlay", "aufs"}:
        return ()
    options = re.findall(r"(?:lowerdir\+?|upperdir|workdir|br)=([^,]*)", mount.options)
    # aufs follows each branch with =ro or =rw.
    return tuple(layer.partition("=")[0] for value in options for layer in value.split(":") if layer)


def _devices_of(mount: Mount, devices: BlockDevices, places: Places) -> tuple[BlockDevice, ...]:
    if mount.kind == "zfs":
        pool = mount.source.partition("/")[0]
        return _holding(devices, "zfs_member", "ID_FS_LABEL", pool)
    # btrfs gives each subvolume a number that no device has, so the device is found by the mount's source.
    source = devices.at(mount.source, places) if mount.source.startswith("/dev/") else None
    device = devices.numbered(mount.number) or source
    if device and mount.kind == "btrfs" and (uuid := device.properties.get("ID_FS_UUID")):
        # The device itself in any case: udev's database may be older than the file system.
        return (device, *_holding(devices, "btrfs", "ID_FS_UUID", uuid))
    return (device,) if device else ()


def _holding(devices: BlockDevices, kind: str, key: str, value: str) -> tuple[BlockDevice, ...]:
    return tuple(
        device
        for device in devices.by_name.values()
        if device.properties.get("ID_FS_TYPE") == kind and device.properties.get(key) == value
    )


def _under(
    device: BlockDevice, mounts: tuple[Mount, ...], devices: BlockDevices, places: Places, seen: set[str]
) -> Iterator[BlockDevice]:
    """The device and all that carry it."""
    yield device
    backing = device.attribute("loop/backing_file")
    if backing and (mount := _mount_of(backing, mounts)):
        yield from _under_mount(mount, mounts, devices, places, seen)
    for name in (device.parent, *device.slaves):
        if name and name in devices.by_name:
            yield from _under(devices.by_name[name], mounts, devices, places, seen)


def _swap_areas(places: Places) -> tuple[str, ...]:
    lines = (read_text(places.proc / "swaps") or "").splitlines()[1:]
    return tuple(_plain(line.split()[0]) for line in lines if line.startswith("/dev/"))
