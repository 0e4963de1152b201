"""Whether a disk is as it was: what proves it, and what does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from p2v_tui.hwprobe.machine import Disk
from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.unchanged import mark_of

# /sys/block/sda/stat of Linux 6.1, and of 4.4, which has no discards and flushes.
STAT = "  97 0 4096 12  3 1 48 5  0 20 17  2 0 16 1  4 3"
OLD_STAT = "  97 0 4096 12  3 1 48 5  0 20 17"


@pytest.fixture
def image(tmp_path: Path) -> Disk:
    path = tmp_path / "disk.img"
    path.write_bytes(b"before" * 1000)
    return Disk(str(path), path, path.stat().st_size)


def write(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"after")


def write_and_set_the_time_back(path: Path) -> None:
    before = path.stat()
    write(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.rename(path)


def grow(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 1)


@pytest.mark.parametrize("change", [write, write_and_set_the_time_back, replace, grow])
def test_an_image_that_was_touched_has_another_mark(image: Disk, change: Callable[[Path], None]) -> None:
    before = mark_of(image)
    change(image.device)
    assert mark_of(image) != before


def test_an_image_that_was_read_has_the_same_mark(image: Disk) -> None:
    before = mark_of(image)
    image.device.read_bytes()
    assert mark_of(image) == before != ""


def test_what_is_not_there_has_no_mark(tmp_path: Path) -> None:
    assert mark_of(Disk("sda", tmp_path / "sda", 512)) == ""


class Recorded:
    """A machine with a disk whose node is a character device: not a file, as a disk's."""

    def __init__(self, root: Path) -> None:
        self.places = Places(sys=root / "sys", proc=root / "proc")
        self.disk = Disk("null", Path("/dev/null"), 512, members=("sda", "sdb"))
        self.put("proc/sys/kernel/random/boot_id", "2f1f1a0e-1111-4222-8333-444455556666\n", root)
        self._root = root
        for name in ("null", "sda", "sdb"):
            self.put(f"sys/block/{name}/stat", STAT)
            self.put(f"sys/block/{name}/diskseq", "9\n")
            self.put(f"sys/block/{name}/queue/iostats", "1\n")

    def put(self, name: str, text: str, root: Path | None = None) -> None:
        path = (root or self._root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def mark(self) -> str:
        return mark_of(self.disk, self.places)


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


def test_a_disk_that_was_read_only_has_the_same_mark(recorded: Recorded) -> None:
    before = recorded.mark
    recorded.put("sys/block/null/stat", STAT.replace("4096", "8192").replace("97", "180"))
    assert recorded.mark == before != ""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sys/block/null/stat", STAT.replace(" 48 ", " 56 ")),
        ("sys/block/null/stat", STAT.replace(" 16 ", " 24 ")),
        # Past the multipath device.
        ("sys/block/sdb/stat", STAT.replace(" 48 ", " 56 ")),
        # It was pulled out and put in again.
        ("sys/block/null/diskseq", "10\n"),
        ("proc/sys/kernel/random/boot_id", "00000000-1111-4222-8333-444455556666\n"),
    ],
)
def test_a_disk_that_may_have_been_written_has_another_mark(recorded: Recorded, file: str, text: str) -> None:
    before = recorded.mark
    recorded.put(file, text)
    assert recorded.mark != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sys/block/null/queue/iostats", "0\n"),
        ("sys/block/sda/queue/iostats", "0\n"),
        ("sys/block/null/stat", ""),
        # The device does not count: the kernel has read its partition table.
        ("sys/block/null/stat", "0 0 0 0 0 0 0 0 0 0 0"),
        ("proc/sys/kernel/random/boot_id", ""),
    ],
)
def test_where_nothing_is_counted_nothing_is_proved(recorded: Recorded, file: str, text: str) -> None:
    recorded.put(file, text)
    assert recorded.mark == ""


def test_an_old_kernel_counts_too(recorded: Recorded) -> None:
    for name in ("null", "sda", "sdb"):
        recorded.put(f"sys/block/{name}/stat", OLD_STAT)
        (recorded.places.sys / f"block/{name}/diskseq").unlink()
    before = recorded.mark
    recorded.put("sys/block/null/stat", OLD_STAT.replace(" 48 ", " 56 "))
    assert before != recorded.mark != ""
