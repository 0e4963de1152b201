"""A read that failed: where it is, and what is said of it."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data import read_errors
from p2v_tui.session.data.read_errors import failed_read, failed_somewhere, locate
from p2v_tui.session.data.relay_status import MAX_ERRNO, FailedRead
from tests.lab.odd_disk import OddDisk
from tests.unit.machines import SDA

MIB = 1 << 20


@pytest.mark.parametrize("bad", [MIB, MIB + 4096, MIB + 5 * 4096 + 1234, 2 * MIB - 1])
@pytest.mark.parametrize("offset", [MIB, MIB - 65536 + 512])
def test_the_page_that_cannot_be_read_is_found_in_a_long_read(bad: int, offset: int, tmp_path: Path) -> None:
    with OddDisk(tmp_path / "odd", bytes(4 * MIB)) as odd:
        odd.fail_at(bad)
        disk = Disk("sda", odd.path, 4 * MIB)
        assert locate(disk, FailedRead(offset, 2 * MIB, errno.EIO)) == FailedRead(bad // 4096 * 4096, 4096, errno.EIO)


def test_an_error_that_cannot_be_reproduced_keeps_its_reported_place(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    read = FailedRead(512, 65536, errno.EIO)
    for device in (path, tmp_path / "gone"):
        assert locate(Disk("sda", device, MIB), read) == read


def test_a_disk_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_errors, "LOCATE_TIMEOUT", 0.2)
    read = FailedRead(0, 65536, errno.EIO)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("setpriv", "dd"):
        (tmp_path / name).write_text("#!/bin/sh\nexec /bin/sleep 60\n")
        (tmp_path / name).chmod(0o755)
    assert locate(SDA, read) == read
    monkeypatch.setenv("PATH", "/nonexistent")
    assert locate(SDA, read) == read


def test_the_words_name_disk_byte_sectors_error_and_a_way_on() -> None:
    failed = failed_read(SDA, FailedRead(4096, 4096, errno.EIO))
    assert failed.message == (
        "The disk sda cannot be read at byte 4096, sectors 8 to 15 (of 512 bytes): Input/output error."
    )
    for word in ("dmesg", f"smartctl -a {SDA.device}", f"ddrescue -d {SDA.device}", "p2v.disks=/mnt/disk.img"):
        assert word in failed.advice
    assert "sector 3:" in failed_read(SDA, FailedRead(1536, 512, errno.EIO)).message
    assert "p2v.disks=" in failed_somewhere(SDA, "Input/output error").advice


def test_memory_that_ran_out_is_not_the_disks_fault() -> None:
    failed = failed_read(SDA, FailedRead(0, 32 * MIB, errno.ENOMEM))
    assert "no memory" in failed.message
    assert "ddrescue" not in failed.advice


@given(st.integers(0, 1 << 63), st.integers(0, 1 << 63), st.integers(0, MAX_ERRNO))
def test_whatever_a_server_says_has_words(offset: int, length: int, error: int) -> None:
    failed = failed_read(SDA, FailedRead(offset, length, error))
    assert "sda" in failed.message
    assert failed.advice


def test_dd_says_its_records_as_they_are_read_here() -> None:
    done = subprocess.run(
        ["dd", "if=/dev/zero", "of=/dev/null", "bs=4096", "count=3"],
        capture_output=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        check=True,
    )
    assert b"3+0 records in" in done.stderr
