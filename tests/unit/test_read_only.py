"""Disks that the kernel is told to keep as they are: real loop devices, set read-only and then written to."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2v_tui.config import Settings
from p2v_tui.errors import ConnectionFailed
from p2v_tui.hwprobe.machine import Disk, Partition
from p2v_tui.session.conversion.conversion import convert, resume
from p2v_tui.session.conversion.machine_record import record_disk
from p2v_tui.session.conversion.read_only import set_read_only
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.plan.plan import make_plan
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.watch import Watch
from tests.lab.ports import closed_port
from tests.unit.machines import SERVER

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devices")]

SIZE = 4 << 20

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices are made by root")


MakeLoop = Callable[[str], Path]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def make_loop(tmp_path: Path) -> Iterator[MakeLoop]:
    """Makes the loop device of a file of that name."""
    devices: list[Path] = []

    def make(name: str) -> Path:
        image = tmp_path / name
        image.write_bytes(bytes(SIZE))
        made = subprocess.run(["losetup", "--find", "--show", image], stdout=subprocess.PIPE, text=True, check=True)
        devices.append(Path(made.stdout.strip()))
        return devices[-1]

    yield make
    for device in devices:
        # It may be somebody else's next.
        subprocess.run(["blockdev", "--setrw", device], check=True)
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def loop(make_loop: MakeLoop, image: Path) -> Path:
    return make_loop(image.name)


def refusal_to_write(path: Path) -> int | None:
    """The error number of opening for writing and writing; None where both succeed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"x" * 512)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno
    return None


@needs_root
def test_nobody_can_write_to_the_disk_any_more_and_everybody_can_read(loop: Path, image: Path) -> None:
    assert refusal_to_write(loop) is None
    before = image.read_bytes()
    assert set_read_only([Disk("loop", loop, SIZE)]) == ()
    assert refusal_to_write(loop) in {errno.EPERM, errno.EACCES, errno.EROFS}
    assert image.read_bytes() == before
    assert loop.read_bytes()[:512] == b"x" * 512


@needs_root
def test_what_was_opened_for_writing_before_is_refused_too(loop: Path) -> None:
    descriptor = os.open(loop, os.O_RDWR | os.O_CLOEXEC)
    try:
        set_read_only([Disk("loop", loop, SIZE)])
        with pytest.raises(PermissionError):
            os.write(descriptor, b"x" * 512)
    finally:
        os.close(descriptor)


@needs_root
@pytest.mark.parametrize("place", [".", "mapper"])
def test_its_partitions_are_set_too_wherever_their_nodes_are(
    loop: Path, make_loop: MakeLoop, tmp_path: Path, place: str
) -> None:
    nodes = tmp_path / "dev"
    (nodes / place).mkdir(parents=True)
    # A second loop device plays the partition: its flag is its own, as a partition's is.
    os.mknod(nodes / place / "sda1", 0o60600, make_loop("partition").stat().st_rdev)
    disk = Disk("sda", loop, SIZE, partitions=(Partition("sda1", 1, SIZE), Partition("sda2", 2, SIZE)))
    assert set_read_only([disk], nodes) == ()
    assert refusal_to_write(nodes / place / "sda1") in {errno.EPERM, errno.EACCES, errno.EROFS}


def test_a_disk_image_stays_as_it_is(image: Path) -> None:
    assert set_read_only([Disk(str(image), image, SIZE)]) == ()
    assert refusal_to_write(image) is None


@needs_root
def test_a_disk_that_is_gone_is_named_and_the_others_are_still_set(loop: Path, tmp_path: Path) -> None:
    nobody = tmp_path / "nobody"
    # Major 240 is for local use: no driver of ours has it.
    os.mknod(nobody, 0o60600, os.makedev(240, 7))
    failed = set_read_only([Disk("sda", nobody, SIZE), Disk("sdb", loop, SIZE)])
    assert [words.partition(" ")[0] for words in failed] == [str(nobody)]
    assert refusal_to_write(loop) is not None


@needs_root
@pytest.mark.parametrize("going_on", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_on_the_live_image_it_is_done_before_anything_else(loop: Path, *, going_on: bool, wanted: bool) -> None:
    disk = Disk("loop", loop, SIZE)
    with closed_port() as port:
        settings = Settings(server="127.0.0.1", port=port, guestname="db1", reconnect=0)
        plan = make_plan(settings, SERVER, set_read_only=wanted)
        plan = dataclasses.replace(plan, disks=(disk,))
        watch = Watch(lambda _: None, Cancellation())
        directory = RemoteDirectory("/tmp/virt-p2v-20260309-abcdefgh")
        with loop.open("rb") as file:
            file.read(4096)
        disks = (record_disk(disk),)
        saved = SavedConversion(settings, None, directory, disks, True, datetime.datetime.now())
        server = ControlConnection(settings, cpu_has_aes=True)
        if going_on:
            saved.write(server.workspace)
        with server, pytest.raises(ConnectionFailed):
            if going_on:
                resume(server, plan, saved, watch)
            else:
                convert(server, plan, watch)
        assert server.workspace.conversion.exists() is going_on
        shutil.rmtree(server.workspace.path, ignore_errors=True)
    assert (refusal_to_write(loop) is not None) is wanted
