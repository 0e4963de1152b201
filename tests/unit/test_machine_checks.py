"""What is judged of the disks to convert: each verdict that the docs declare, from what leads to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pytest

from p2v_tui.hwprobe.health import DegradedArray, DiskHealth, Drive, Health, WindowsVolume, examine_health
from p2v_tui.hwprobe.images import read_image
from p2v_tui.hwprobe.machine import Content, Disk, Partition
from p2v_tui.hwprobe.md_content import ArrayMember
from p2v_tui.hwprobe.ntfs import NtfsState
from p2v_tui.session.preflight import machine_checks
from p2v_tui.session.preflight.machine_checks import SUBJECTS, judge_machine
from p2v_tui.session.words.checks import Check, Subject, Verdict, of_verdict
from tests.unit.check_cases import assert_all_are_listed, assert_all_can_come, assert_said_once, case_id
from tests.unit.machines import GIB, SDA, SDB
from tests.unit.volumes import luks, ntfs, partitioned, swap

NOTED, WARNING, REFUSED = Verdict.NOTED, Verdict.WARNING, Verdict.REFUSED

LUKS = Content("crypto_LUKS", "5b1c9f6e-0d8a-4a52-8a43-1f6f0b7f0a11")
BITLOCKER = Content("BitLocker")


def healthy(*disks: Disk) -> Health:
    return Health(tuple(DiskHealth(disk.name, drive=Drive(passed=True)) for disk in disks))


def with_content(disk: Disk, content: Content) -> Disk:
    """The disk with that on its second partition."""
    return dataclasses.replace(disk, partitions=(*disk.partitions[:1], Partition("sda2", 2, GIB, content=content)))


def state(volume: NtfsState | None, *, system: bool) -> Health:
    return Health((DiskHealth("sda", volumes=(WindowsVolume("sda2", system, volume),)),))


def faulty(**facts: object) -> Health:
    return Health((DiskHealth("sda", **facts),))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """says: words that the text or the advice must have."""

    subject: Subject
    verdict: Verdict
    says: tuple[str, ...]
    health: Health = healthy(SDA)  # noqa: RUF009
    disk: Disk = SDA
    keys: Collection[str] = ()


M = machine_checks


def members(*found: tuple[str, bool | None]) -> Health:
    """Disks with one member each of the array `root`, and whether a LUKS volume begins there."""
    return Health(
        tuple(DiskHealth(name[:3], members=(ArrayMember(name, "0a", "root", luks),)) for name, luks in found)
    )


CASES = [
    Case(M.FAILING, WARNING, ("sda", "3 read errors", "ddrescue", "smartctl -a /dev/sda"), faulty(read_errors=3)),
    Case(M.FAILING, WARNING, ("SMART says that it fails",), faulty(drive=Drive(passed=False))),
    Case(M.FAILING, WARNING, ("does not answer",), faulty(answered=False)),
    Case(M.FAILING, NOTED, ("2 errors", "another try"), faulty(overcome_errors=2)),
    Case(M.FAILING, NOTED, ("replaced 8 sectors",), faulty(drive=Drive(True, 8, 0))),
    Case(M.FAILING, NOTED, ("could not read 4 sectors",), faulty(drive=Drive(None, None, 4))),
    Case(M.SECTORS, WARNING, ("sda", "4096"), disk=dataclasses.replace(SDA, logical_sector_size=4096)),
    Case(M.WINDOWS, REFUSED, ("sda2", "hibernates", "shutdown /s /t 0"), state(NtfsState.HIBERNATED, system=True)),
    Case(M.WINDOWS, REFUSED, ("sda2", "Fast Startup"), state(NtfsState.HELD, system=True)),
    Case(M.WINDOWS, WARNING, ("sda2", "Fast Startup"), state(NtfsState.HELD, system=False)),
    Case(M.WINDOWS, WARNING, ("sda2", "hibernates"), state(NtfsState.HIBERNATED, system=False)),
    Case(M.WINDOWS, WARNING, ("dirty", "chkdsk /f"), state(NtfsState.DIRTY, system=True)),
    Case(M.WINDOWS, NOTED, ("sda2", "cannot be looked into"), state(None, system=False)),
    Case(
        M.WINDOWS,
        NOTED,
        ("sda2", "dynamic disk", "cannot be judged"),
        state(NtfsState.CLEAN, system=True),
        dataclasses.replace(SDA, dynamic=True),
    ),
    Case(M.LINUX, WARNING, ("sda2", "systemctl poweroff"), disk=with_content(SDA, Content("swsuspend"))),
    Case(M.ENCRYPTED, REFUSED, ("sda2", "LUKS", f"p2v.key={LUKS.uuid}:URL"), disk=with_content(SDA, LUKS)),
    Case(M.ENCRYPTED, REFUSED, ("BitLocker", "p2v.key=sda2:URL"), disk=with_content(SDA, BITLOCKER)),
    Case(M.ENCRYPTED, REFUSED, ("sda2",), disk=with_content(SDA, LUKS), keys=["sda1", "/dev/sdb2"]),
    Case(
        M.ENCRYPTED,
        WARNING,
        ("The md array root on sda2, sdb2 is a LUKS volume", "cryptsetup reencrypt"),
        members(("sda2", True), ("sdb2", None)),
    ),
    Case(M.ENCRYPTED, NOTED, ("sda2, sdb2", "cannot be told"), members(("sda2", None), ("sdb2", None))),
    Case(
        M.ARRAYS,
        NOTED,
        ("md0", "sda, sdb", "2 members", "mdadm --detail /dev/md0"),
        Health(healthy(SDA).disks, (DegradedArray("md0", 2, ("sda", "sdb")),)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_what_is_wrong_with_a_disk_is_said_once_with_what_to_do_and_nothing_else_is(case: Case) -> None:
    checks = judge_machine([case.disk], case.health, case.keys)
    assert_said_once(case, checks)


def test_every_verdict_that_is_declared_can_come_and_no_other() -> None:
    assert_all_can_come(SUBJECTS, CASES)


def test_all_subjects_are_declared_in_the_list_that_the_docs_are_made_from() -> None:
    assert_all_are_listed(SUBJECTS, machine_checks)


def test_sound_disks_pass_everything() -> None:
    checks = judge_machine([SDA, SDB], healthy(SDA, SDB))
    assert of_verdict(checks, Verdict.PASSED) == checks
    assert [check.name for check in checks] == ["failing disks", "failing disks", "sector size"]
    assert not any(check.advice for check in checks)


@pytest.mark.parametrize("key", [LUKS.uuid, str(LUKS.uuid).upper(), "sda2", "/dev/sda2"])
def test_a_key_is_found_by_every_name_of_its_volume(key: str) -> None:
    encrypted = with_content(SDA, LUKS)
    checks = judge_machine([SDB, encrypted], healthy(SDB, encrypted), [key])
    assert "There is a key for sda2." in [check.text for check in checks]
    assert not of_verdict(checks, REFUSED)


def test_a_log_that_nobody_may_read_is_not_said_to_be_without_errors() -> None:
    checks = judge_machine([SDA], faulty(read_errors=None, overcome_errors=None))
    assert checks[0].verdict is Verdict.NOTED
    assert "is not known" in checks[0].text
    well = judge_machine([SDA], faulty(read_errors=None, overcome_errors=None, drive=Drive(passed=True)))
    assert well[0].verdict is Verdict.PASSED
    assert "cannot be read" in well[0].text


def test_each_volume_needs_a_key_of_its_own() -> None:
    other = dataclasses.replace(SDB, partitions=(Partition("sdb1", 1, GIB, content=Content("crypto_LUKS", "other")),))
    checks = judge_machine([with_content(SDA, LUKS), other], healthy(SDA, other), [str(LUKS.uuid)])
    (refused,) = of_verdict(checks, REFUSED)
    assert "sdb1" in refused.text


def test_real_volumes_in_an_image_are_judged_from_end_to_end(tmp_path: Path) -> None:
    windows = ntfs(tmp_path / "c", files=[("bootmgr", b"x"), ("hiberfil.sys", b"HIBR" + bytes(4092))])
    parts = [windows, swap(tmp_path / "swap", suspended=True), luks(tmp_path / "luks")]
    path = partitioned(tmp_path / "disk.img", "gpt", parts)
    disk = read_image(path, path.stat().st_size)
    health = examine_health([disk])
    assert health.windows == {str(path)}

    def said(keys: Collection[str]) -> list[tuple[str, Verdict]]:
        checks: tuple[Check, ...] = judge_machine([disk], health, keys)
        return [(check.name, check.verdict) for check in checks if check.verdict is not Verdict.PASSED]

    asleep = [("Windows shut down", REFUSED), ("suspended Linux", WARNING)]
    assert said([]) == [*asleep, ("encrypted volumes", REFUSED)]
    assert said([f"{path}3"]) == asleep


def test_an_array_without_luks_where_one_member_could_be_read_is_not_spoken_of() -> None:
    checks = judge_machine([SDA], members(("sda2", False), ("sdb2", None)))
    assert not [check for check in checks if "md array" in check.text]
