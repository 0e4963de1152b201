"""Real LVM metadata, read by the real pvs: on loop devices, because it takes no files. Nothing is activated."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.hwprobe import Places
from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices, blkid_properties
from p2v_tui.hwprobe.disks import FoundDisks
from p2v_tui.hwprobe.groups import find_groups
from p2v_tui.hwprobe.machine import Disk, DiskGroup
from tests.unit.volumes import run

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devices")]

NOWHERE = Path("/nonexistent")
SIZE = 32 << 20


@contextlib.contextmanager
def attached(*images: Path) -> Iterator[tuple[Path, ...]]:
    with contextlib.ExitStack() as stack:
        devices = []
        for image in images:
            device = Path(run("losetup", "--find", "--show", image).decode().strip())
            stack.callback(run, "losetup", "--detach", device)
            devices.append(device)
        yield tuple(devices)


@pytest.fixture
def images(tmp_path: Path) -> tuple[Path, Path]:
    """Two physical volumes of one volume group."""
    one, two = tmp_path / "one", tmp_path / "two"
    for image in (one, two):
        with image.open("wb") as file:
            file.truncate(SIZE)
    with attached(one, two) as devices:
        allowed = ", ".join(json.dumps(f"a|^{device}$|") for device in devices)
        settings = f'devices {{ use_devicesfile=0 filter=[{allowed}, "r|.*|"] }}'
        run("vgcreate", "--config", settings, "--quiet", "p2vtest", *devices)
    return one, two


def group(*devices: Path) -> DiskGroup:
    """The one group on these, which are called a, b, ... here."""
    names = dict(zip("abc", devices, strict=False))
    found = {
        name: BlockDevice(
            name, node, NOWHERE / name, "7:0", SIZE, False, None, (), (), blkid_properties(node, Places())
        )
        for name, node in names.items()
    }
    disks = {name: Disk(name, node, SIZE) for name, node in names.items()}
    (only,) = find_groups(BlockDevices(found), FoundDisks(disks, (), {name: name for name in names}), Places())
    return only


def test_a_physical_volume_that_is_not_there_is_missed(images: tuple[Path, Path]) -> None:
    with attached(images[0]) as devices:
        found = group(*devices)
    assert (found.name, found.disks, found.members, found.unseen) == ("p2vtest", frozenset("a"), 2, 1)


def test_a_group_with_the_system_id_of_its_host_is_seen_as_any_other(images: tuple[Path, Path]) -> None:
    with attached(*images) as devices:
        allowed = ", ".join(json.dumps(f"a|^{device}$|") for device in devices)
        settings = f'devices {{ use_devicesfile=0 filter=[{allowed}, "r|.*|"] }}'
        run("vgchange", "--config", settings, "--quiet", "--yes", "--systemid", "node1", "p2vtest")
        found = group(*devices)
    assert (found.name, found.disks) == ("p2vtest", frozenset("ab"))


def test_a_copy_of_a_physical_volume_is_told_from_a_member(images: tuple[Path, Path]) -> None:
    copy = images[0].with_name("copy")
    shutil.copyfile(images[0], copy)
    with attached(*images, copy) as devices:
        found = group(*devices)
    assert (found.disks, found.copies, found.unseen) == (frozenset("ab"), (frozenset("ac"),), 0)
