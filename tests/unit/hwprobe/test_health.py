"""The state of disks: of recorded machines, and of disk images with a Windows on them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.hwprobe import Content, Disk, Partition, Places, health
from p2v_tui.hwprobe.health import (
    DegradedArray,
    DiskHealth,
    Drive,
    Health,
    WindowsVolume,
    drive_in,
    examine_health,
)
from p2v_tui.hwprobe.images import read_image
from p2v_tui.hwprobe.ntfs import NtfsState
from tests.unit.hwprobe.conftest import ProbeRecorded
from tests.unit.volumes import dirty, ntfs, partitioned


def of(health: Health, name: str) -> DiskHealth:
    return next(disk for disk in health.disks if disk.name == name)


def places(tmp_path: Path, log: str = "") -> Places:
    """A machine of which nothing is known but the kernel's log."""
    return Places(sys=tmp_path, run=lambda command: log if command == ["dmesg"] else None, ask=lambda _command: None)


def test_a_disk_with_unreadable_sectors_is_found_out(recorded: ProbeRecorded) -> None:
    sda = of(recorded("sata-lvm-server").health, "sda")
    # One failed read, told by the block layer and by the page cache of the partition; its ATA exception.
    assert (sda.read_errors, sda.overcome_errors) == (2, 1)
    assert sda.drive == Drive(passed=False, reallocated=1984, unreadable=96)


def test_an_error_that_a_retry_overcame_is_not_a_read_error(recorded: ProbeRecorded) -> None:
    sdb = of(recorded("sata-lvm-server").health, "sdb")
    assert (sdb.read_errors, sdb.overcome_errors) == (0, 1)
    assert sdb.drive == Drive(passed=True, reallocated=8, unreadable=0)


def test_failed_writes_and_discards_say_nothing_about_the_data(recorded: ProbeRecorded) -> None:
    sdc = of(recorded("sata-lvm-server").health, "sdc")
    assert (sdc.read_errors, sdc.overcome_errors, sdc.drive) == (0, 0, Drive())


def test_an_nvme_drive_is_asked_and_its_controller_known_in_the_log(recorded: ProbeRecorded) -> None:
    found = recorded("nvme-luks-laptop").health
    nvme = of(found, "nvme0n1")
    assert nvme == DiskHealth("nvme0n1", overcome_errors=1, drive=Drive(True, None, 3), windows=nvme.windows)
    assert of(found, "nvme1n1").read_errors == 0


def test_a_disk_with_bitlocker_has_a_windows(recorded: ProbeRecorded) -> None:
    outcome = recorded("nvme-luks-laptop")
    encrypted = {disk.name for disk in outcome.machine.disks if any(it.type == "BitLocker" for it in disk.contents)}
    assert encrypted
    assert outcome.health.windows == encrypted


def test_an_error_of_a_path_is_overcome_but_not_one_of_the_multipath_disk(recorded: ProbeRecorded) -> None:
    found = recorded("multipath-san-host").health
    assert (of(found, "mpatha").read_errors, of(found, "mpatha").overcome_errors) == (0, 1)
    assert (of(found, "mpathb").read_errors, of(found, "mpathb").overcome_errors) == (1, 0)
    assert of(found, "mpatha").drive == Drive(passed=True, reallocated=0)
    assert of(found, "sda").drive == Drive(passed=True, reallocated=17)


def test_a_degraded_array_is_told_with_the_disks_below_it(recorded: ProbeRecorded) -> None:
    assert recorded("cciss-md-server").health.degraded == (DegradedArray("md1", 1, ("cciss/c0d1", "cciss/c0d0")),)
    assert not recorded("imsm-workstation").health.degraded


@pytest.mark.parametrize(
    ("line", "errors"),
    [
        ("blk_update_request: critical medium error, dev sda, sector 5 op 0x0:(READ) flags 0x0", (1, 0)),
        ("print_req_error: I/O error, dev sda, sector 5", (1, 0)),
        ("end_request: I/O error, dev sda, sector 5", (1, 0)),
        ("Buffer I/O error on device sda1, logical block 3", (1, 0)),
        ("Buffer I/O error on dev sda1, logical block 3, lost async page write", (0, 0)),
        ("I/O error, dev sda, sector 5 op 0x1:(WRITE) flags 0x0", (0, 0)),
        ("I/O error, dev sdaa, sector 5 op 0x0:(READ) flags 0x0", (0, 0)),
        ("I/O error, dev sdm, sector 5 op 0x0:(READ) flags 0x0", (0, 1)),
        ("critical target error, dev sda, sector 0 op 0x3:(DISCARD)", (0, 0)),
        ("EXT4-fs error (device sda1): ext4_lookup", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_the_kernels_words_of_many_years_are_understood(line: str, errors: tuple[int, int], tmp_path: Path) -> None:
    disk = Disk("sda", tmp_path / "sda", 1 << 30, partitions=(Partition("sda1", 1, 1 << 20),), members=("sdm",))
    found = examine_health([disk], places(tmp_path, f"[    1.0] {line}\n")).disks[0]
    assert (found.read_errors, found.overcome_errors) == errors


def test_the_windows_of_a_disk_image_is_looked_into_without_a_device(tmp_path: Path) -> None:
    loader, system, data = (
        ntfs(tmp_path / "loader", files=[("bootmgr", b"x")]),
        ntfs(tmp_path / "system", files=[("hiberfil.sys", b"HIBR" + bytes(4092))]),
        ntfs(tmp_path / "data"),
    )
    dirty(data)
    path = partitioned(tmp_path / "disk.img", "gpt", [loader, None, system, data])
    before = path.read_bytes()
    disk = read_image(path, path.stat().st_size)
    assert examine_health([disk], places(tmp_path)).disks == (
        DiskHealth(
            str(path),
            volumes=(
                WindowsVolume(f"{path}1", True, NtfsState.CLEAN),
                WindowsVolume(f"{path}3", False, NtfsState.HIBERNATED),
                WindowsVolume(f"{path}4", False, NtfsState.DIRTY),
            ),
            windows=True,
        ),
    )
    assert path.read_bytes() == before


def test_a_file_system_that_fills_the_disk_is_looked_into(tmp_path: Path) -> None:
    path = ntfs(tmp_path / "disk.img")
    disk = read_image(path, path.stat().st_size)
    assert examine_health([disk]).disks[0].volumes == (WindowsVolume(str(path), False, NtfsState.CLEAN),)


def test_the_disks_are_opened_for_reading_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ntfs(tmp_path / "disk.img")
    disk = read_image(path, path.stat().st_size)
    opened = os.open
    flags = []

    def watched(name: Path, how: int) -> int:
        flags.append(how)
        return opened(name, how)

    monkeypatch.setattr(os, "open", watched)
    examine_health([disk])
    assert [how & os.O_ACCMODE for how in flags] == [os.O_RDONLY]


def test_a_disk_that_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    content = Content("ntfs")
    gone = Disk("sdx", tmp_path / "missing", 1 << 30, content=content)
    unplaced = Disk("sdy", tmp_path, 1 << 30, partitions=(Partition("sdy1", 1, 1 << 20, content=content),))
    assert examine_health([gone, unplaced], places(tmp_path)).disks == (DiskHealth("sdx"), DiskHealth("sdy"))


def test_a_controller_that_never_answers_smartctl_is_not_waited_for_and_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "HEALTH_SECONDS", 1.0)
    over = threading.Event()

    def ask(command: Sequence[str]) -> str | None:
        if command[-1].endswith("sda"):
            over.wait()
        return '{"smart_status": {"passed": true}}'

    disks = [Disk(name, tmp_path / name, 1 << 30) for name in ("sda", "sdb")]
    found = examine_health(disks, Places(sys=tmp_path, run=lambda _command: "", ask=ask))
    over.set()
    assert found.disks == (DiskHealth("sda"), DiskHealth("sdb", drive=Drive(passed=True)))


def test_a_disk_that_never_answers_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "HEALTH_SECONDS", 1.0)
    # Whoever opens it waits for somebody at the other end.
    hanging = tmp_path / "sda"
    os.mkfifo(hanging)
    found = examine_health([Disk("sda", hanging, 1 << 30), Disk("sdb", tmp_path, 1 << 30)], places(tmp_path))
    assert [disk.answered for disk in found.disks] == [False, True]
    with hanging.open("wb"):
        pass


def test_a_kernel_log_that_nobody_may_read_is_no_log_without_errors(tmp_path: Path) -> None:
    (found,) = examine_health(
        [Disk("sda", tmp_path / "sda", 1)], Places(sys=tmp_path, run=lambda _: None, ask=lambda _: None)
    ).disks
    assert (found.read_errors, found.overcome_errors) == (None, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "raw", "value", "table", "passed", "smart_status", "ata_smart_attributes"]), inner
        )
    ),
)


@given(JSON)
def test_whatever_smartctl_prints_is_no_error(report: object) -> None:
    drive = drive_in(json.dumps(report))
    assert drive.passed in (None, True, False)
    assert all(isinstance(count, int | None) for count in (drive.reallocated, drive.unreadable))


@pytest.mark.parametrize(
    ("block", "controller", "errors"),
    [
        # With the kernel's multipath the disk has its subsystem's number.
        ("devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1", "nvme0", 1),
        ("devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1", "nvme1", 0),
        ("devices/pci0000:00/0000:01:00.0/nvme/nvme1/nvme1n1", "nvme1", 1),
    ],
)
def test_an_nvme_timeout_is_the_disks_whose_controller_had_it(
    tmp_path: Path, block: str, controller: str, errors: int
) -> None:
    place = tmp_path / block
    place.mkdir(parents=True)
    if "subsystem" in block:
        (place.parent / "nvme0").mkdir()
    (tmp_path / "block").mkdir()
    (tmp_path / "block/nvme1n1").symlink_to(place)
    log = f"[ 10.0] nvme {controller}: I/O 12 QID 3 timeout, aborting\n"
    disk = Disk("nvme1n1", Path("/dev/nvme1n1"), 1 << 30)
    (health,) = examine_health([disk], Places(sys=tmp_path, run=lambda _: log, ask=lambda _: "")).disks
    assert health.overcome_errors == errors
