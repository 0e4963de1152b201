"""Writing the image to a disk: what is refused, what is asked, and that what was written is there."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from imagebuild import disk
from imagebuild.errors import BuildError
from imagebuild.progress import Step

from tests.lab.commands import run_command
from tests.live_image.builder import BUILD

MEBIBYTE = 2**20
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes block devices")


@contextlib.contextmanager
def loop_device(directory: Path, mebibytes: int) -> Iterator[Path]:
    """A block device that is a file."""
    file = directory / "device"
    with file.open("wb") as made:
        made.truncate(mebibytes * MEBIBYTE)
    device = run_command(["losetup", "--find", "--show", file], timeout=20).strip()
    try:
        yield Path(device)
    finally:
        # The kernel keeps that for the next one that gets the same number.
        run_command(["blockdev", "--setrw", device], timeout=20)
        run_command(["losetup", "--detach", device], timeout=20)


class Sysfs:
    """The directories of /sys and /proc of a machine with the disk 8:16 (sdb) and its partition 8:17 (sdb1)."""

    def __init__(self, directory: Path) -> None:
        self.proc = directory / "proc"
        self.disk = directory / "sys/devices/sdb"
        (self.proc / "self").mkdir(parents=True)
        (self.disk / "sdb1/holders").mkdir(parents=True)
        (self.disk / "dev").write_text("8:16\n")
        (self.disk / "sdb1/dev").write_text("8:17\n")
        (self.disk / "sdb1/partition").write_text("1\n")

    def mount(self, number: str, point: str) -> None:
        line = f"36 35 {number} / {point} rw,relatime shared:1 - ext4 /dev/whatever rw\n"
        (self.proc / "self/mountinfo").write_text(line)

    def swap(self, device: str) -> None:
        (self.proc / "swaps").write_text(f"Filename Type Size Used Priority\n{device} partition 1024 0 -2\n")

    def hold(self, name: str, mapped: str) -> None:
        (self.disk / "sdb1/holders" / name / "dm").mkdir(parents=True)
        (self.disk / "sdb1/holders" / name / "dm/name").write_text(f"{mapped}\n")


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path)


def test_a_disk_that_nothing_uses_is_free(sysfs: Sysfs) -> None:
    assert disk.in_use(sysfs.disk, sysfs.proc) == ""


def mounted(sysfs: Sysfs) -> None:
    sysfs.mount("8:16", "/srv")


def partition_mounted(sysfs: Sysfs) -> None:
    sysfs.mount("8:17", "/boot")


def swapped_to(sysfs: Sysfs) -> None:
    sysfs.swap("/dev/sdb1")


def held(sysfs: Sysfs) -> None:
    sysfs.hold("dm-0", "vg-root")


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (mounted, "/dev/sdb is mounted on /srv"),
        (partition_mounted, "/dev/sdb1 is mounted on /boot"),
        (swapped_to, "the system swaps to /dev/sdb1"),
        (held, "/dev/sdb1 is part of vg-root"),
    ],
)
def test_each_use_of_a_disk_or_its_partition_is_named(use: Callable[[Sysfs], None], said: str, sysfs: Sysfs) -> None:
    use(sysfs)
    assert disk.in_use(sysfs.disk, sysfs.proc) == said


@needs_root
def test_a_partition_is_refused_and_the_disk_named(tmp_path: Path) -> None:
    with loop_device(tmp_path, 1) as device:
        status = device.stat()
        partition = tmp_path / "sys/devices/sdb/sdb1"
        partition.mkdir(parents=True)
        (partition / "partition").write_text("1\n")
        number = tmp_path / f"sys/dev/block/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        number.parent.mkdir(parents=True)
        number.symlink_to(partition)
        with pytest.raises(BuildError, match="is a partition of sdb") as refused:
            disk.block_device(device, tmp_path / "sys")
        assert "/dev/sdb" in refused.value.advice


@needs_root
def test_a_mounted_device_is_refused(tmp_path: Path) -> None:
    with loop_device(tmp_path, 4) as device:
        run_command(["mkfs.ext2", "-q", device], timeout=20)
        point = tmp_path / "mounted"
        point.mkdir()
        run_command(["mount", device, point], timeout=20)
        try:
            with pytest.raises(BuildError, match=f"is mounted on {point}"):
                disk.block_device(device)
        finally:
            run_command(["umount", point], timeout=20)
        assert disk.block_device(device)


@needs_root
def test_the_kernel_refuses_a_device_that_came_into_use_after_the_look(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"i" * MEBIBYTE)
    with loop_device(tmp_path, 4) as device:
        run_command(["mkfs.ext2", "-q", device], timeout=20)
        found = disk.block_device(device)
        assert found
        point = tmp_path / "mounted"
        point.mkdir()
        run_command(["mount", device, point], timeout=20)
        try:
            with pytest.raises(BuildError, match="busy"):
                disk.write(image, found, Step())
        finally:
            run_command(["umount", point], timeout=20)


@needs_root
def test_a_read_only_device_is_refused(tmp_path: Path) -> None:
    with loop_device(tmp_path, 1) as device:
        run_command(["blockdev", "--setro", device], timeout=20)
        with pytest.raises(BuildError, match="is read-only"):
            disk.block_device(device)


@needs_root
def test_what_is_written_is_on_the_device_and_the_rest_is_left(tmp_path: Path) -> None:
    image = tmp_path / "image"
    data = os.urandom(5 * MEBIBYTE + 512)
    image.write_bytes(data)
    with loop_device(tmp_path, 8) as device:
        found = disk.block_device(device)
        assert found
        assert found.size == 8 * MEBIBYTE
        disk.write(image, found, Step())
        assert device.read_bytes() == data + bytes(8 * MEBIBYTE - len(data))


@needs_root
def test_an_image_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"i" * (2 * MEBIBYTE))
    with loop_device(tmp_path, 1) as device:
        found = disk.block_device(device)
        assert found
        with pytest.raises(BuildError, match=r"holds 1\.0 MB, and the image has 2\.1 MB"):
            disk.write(image, found, Step())
        assert device.read_bytes() == bytes(MEBIBYTE)


def test_a_file_and_a_path_where_nothing_is_are_no_block_devices(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert disk.block_device(tmp_path / "file") is None
    assert disk.block_device(tmp_path / "nothing") is None


STICK = disk.BlockDevice(Path("/dev/sdz"), "ACME Stick", 8 * 2**30)


def test_the_question_names_the_device_and_what_it_is() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "yes"

    disk.confirm(STICK, ask)
    assert "/dev/sdz (ACME Stick, 8.6 GB)" in asked[0]


@pytest.mark.parametrize("answer", ["", "y", "no", "/dev/sdz"])
def test_only_yes_is_a_yes(answer: str) -> None:
    with pytest.raises(BuildError, match="left as it is"):
        disk.confirm(STICK, lambda _question: answer)


def test_nobody_to_ask_is_a_no() -> None:
    def ask(_question: str) -> str:
        raise EOFError

    with pytest.raises(BuildError, match="left as it is"):
        disk.confirm(STICK, ask)


@needs_root
def test_the_command_ends_without_writing_when_nobody_says_yes(tmp_path: Path) -> None:
    with loop_device(tmp_path, 1) as device:
        done = subprocess.run(
            [BUILD, "-o", device, "--cache", tmp_path / "cache"],
            input="no\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "is left as it is" in done.stderr
        assert device.read_bytes() == bytes(MEBIBYTE)
