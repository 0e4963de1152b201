"""Whether a disk is still what it was: files, and block devices as the kernel shows them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.errors import ConversionFailed
from p2v_tui.session.data.disk_source import DiskSource, identify
from tests.unit.nbd_relay_lab import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devices")]

MIB = 1 << 20


def losetup(*arguments: object) -> str:
    command = ["losetup", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 * MIB))
    return path


@pytest.fixture
def device(image: Path) -> Iterator[Path]:
    found = Path(losetup("--find", "--show", "--read-only", image))
    yield found
    subprocess.run(["losetup", "--detach", found], capture_output=True, check=False, timeout=30)


def complaint(source: DiskSource) -> str:
    with pytest.raises(ConversionFailed) as raised:
        source.check()
    assert "convert again" in raised.value.advice
    return raised.value.message


def test_an_unchanged_disk_is_not_reported(device: Path, image: Path) -> None:
    for source in (DiskSource("sda", device), DiskSource("the image", image)):
        source.check()
        source.check()
    assert identify(device).size == identify(image).size == 4 * MIB


def test_a_device_that_shrinks_is_told_with_both_sizes(device: Path, image: Path) -> None:
    source = DiskSource("sda", device)
    with image.open("r+b") as file:
        file.truncate(3 * MIB)
    losetup("--set-capacity", device)
    assert complaint(source) == (
        "The disk sda shrank while it was converted, from 4.2 MB (4194304 bytes) to 3145728 bytes."
    )


def test_a_device_that_is_detached_is_gone_or_has_no_size(device: Path) -> None:
    source = DiskSource("sda", device)
    losetup("--detach", device)
    wait_until(lambda: identify(device).size == 0, "a loop device without a file")
    assert "The disk sda" in complaint(source)


def test_another_disk_of_the_same_size_under_the_same_name_is_another_one(device: Path, image: Path) -> None:
    source = DiskSource("sda", device)
    losetup("--detach", device)
    wait_until(lambda: identify(device).size == 0, "a loop device without a file")
    losetup(device, image)
    assert "was detached or exchanged" in complaint(source)


def test_a_node_that_stays_behind_its_device_is_no_disk(tmp_path: Path) -> None:
    node = tmp_path / "sdz"
    # The last of SCSI's disks: nothing has so many.
    subprocess.run(["mknod", node, "b", "135", "240"], check=True, timeout=30)
    with pytest.raises(FileNotFoundError):
        identify(node)


def test_a_disk_that_was_never_there_is_reported_by_the_nbd_server(tmp_path: Path) -> None:
    DiskSource("sda", tmp_path / "nothing").check()
