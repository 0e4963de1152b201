"""What is judged of the choice of disks: each verdict that the docs declare, from what leads to it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from p2v_tui.config import Settings
from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.exclusion import unassembled
from p2v_tui.hwprobe.groups import UNKNOWN_VOLUME_GROUP
from p2v_tui.hwprobe.machine import (
    BootDisk,
    BootSource,
    Content,
    Disk,
    DiskGroup,
    ExcludedDisk,
    Machine,
    Partition,
    Transport,
)
from p2v_tui.hwprobe.spanning import STORAGE_SPACES_TYPE
from p2v_tui.session.plan import group_checks, plan_checks
from p2v_tui.session.plan.disk_choice import default_disks
from p2v_tui.session.plan.plan import make_plan
from p2v_tui.session.plan.plan_checks import SUBJECTS
from p2v_tui.session.words.checks import Check, Subject, Verdict
from tests.unit.check_cases import assert_all_are_listed, assert_all_can_come, assert_said_once, case_id
from tests.unit.machines import CCISS, MULTIPATH, SDA, SDB, SERVER, STRIPED

NOTED, WARNING = Verdict.NOTED, Verdict.WARNING

BACKUP = dataclasses.replace(SDB, name="sdu", transport=Transport.USB)
FIREWIRE = dataclasses.replace(CCISS, name="sdf", transport=Transport.FIREWIRE)
CARD = dataclasses.replace(SDB, name="mmcblk0", transport=Transport.MMC)
LEFT_OUT = ExcludedDisk(
    "mmcblk0", CARD.size, "removable medium", disk=CARD, risk="It may not belong to this machine."
)

SET = unassembled("mdadm --assemble --scan")
WITH_SET = dataclasses.replace(
    SERVER, disks=(SDA,), excluded=tuple(ExcludedDisk(name, 1, SET.reason, own=SET.own) for name in ("sdb", "sdc"))
)
NAMED = Disk("sda", SDA.device, SDA.size, serial="1", wwn="0x600508b4000156d700012000000b0000")
WITH_BACKUP = dataclasses.replace(SERVER, disks=(SDA, BACKUP), excluded=())
ONLY_BACKUP = dataclasses.replace(SERVER, disks=(BACKUP,), excluded=())
WITH_CARD = dataclasses.replace(SERVER, disks=(SDA,), excluded=(LEFT_OUT,))


@dataclass(frozen=True)
class Case:
    """disks: what p2v.disks names. says: words that the text or the advice must have."""

    subject: Subject
    verdict: Verdict
    says: tuple[str, ...]
    machine: Machine
    disks: tuple[str, ...] | None = None


def with_group(**facts: object) -> Machine:
    """The server with an array on sda and sdb."""
    group = DiskGroup("md array", "0", frozenset({"sda", "sdb"}), **facts)  # type: ignore[arg-type]
    return dataclasses.replace(SERVER, groups=(group,))


def holding(disk: Disk, content: Content) -> Disk:
    return dataclasses.replace(disk, partitions=(), content=content)


COPIED = dataclasses.replace(
    SERVER, disks=(holding(SDA, Content("LVM2_member", "pv-1")), holding(SDB, Content("LVM2_member", "pv-1")))
)

SECOND_PATH = dataclasses.replace(COPIED.disks[1], name="sdb")
TWO_PATHS = dataclasses.replace(
    SERVER,
    disks=COPIED.disks[:1],
    excluded=(ExcludedDisk("sdb", 1, "another path to sda", disk=SECOND_PATH, risk="It is sda.", same_as="sda"),),
)

P, G = plan_checks, group_checks
CASES = [
    Case(P.CHOICE, NOTED, ("sdu is not converted", "USB", "a guess", "p2v.disks=sda,sdu"), WITH_BACKUP),
    Case(P.CHOICE, NOTED, ("FireWire",), dataclasses.replace(WITH_BACKUP, disks=(SDA, FIREWIRE))),
    Case(P.CHOICE, WARNING, ("only disks", "sdu", "a guess", "p2v.disks=sdu", "driver"), ONLY_BACKUP),
    Case(P.CHOICE, WARNING, ("Not converted: sdb, sdc, each a member of", "mdadm --assemble"), WITH_SET),
    Case(P.OVERRULED, WARNING, ("mmcblk0 was named", "may not belong"), WITH_CARD, ("sda", "mmcblk0")),
    Case(
        G.GROUPS,
        WARNING,
        ("LVM volume group vg0", "needs mpatha, sdb", "mpatha, sda, sdb", "the others will"),
        STRIPED,
        ("sda", "cciss/c0d0"),
    ),
    Case(G.GROUPS, WARNING, ("md array 0", "sdb", "a mirror"), with_group(), ("sda",)),
    Case(G.GROUPS, WARNING, ("raid1", "all of its data", "degraded"), with_group(level="raid1", members=2), ("sda",)),
    Case(G.GROUPS, WARNING, ("cannot start", "raid0"), with_group(level="raid0", members=2), ("sda",)),
    Case(G.GROUPS, WARNING, ("lacks 2 of its 4 members", "raid10"), with_group(level="raid10", members=4, unseen=2)),
    Case(G.GROUPS, WARNING, ("lacks 1 of its 3", "degraded"), with_group(level="raid5", members=3, unseen=1)),
    Case(
        G.GROUPS,
        WARNING,
        ("1 of its 3 members besides", "cannot start"),
        with_group(level="raid5", members=3, unseen=1),
        ("sdb",),
    ),
    Case(G.GROUPS, WARNING, ("may also need sdb",), with_group(unsure=True), ("sda",)),
    Case(
        G.GROUPS,
        WARNING,
        ("sdb", "older state", "old data", "Convert sda"),
        with_group(level="raid1", members=2, behind=frozenset({"sdb"}), copies=(frozenset({"sda", "sdb"}),)),
        ("sdb",),
    ),
    Case(
        G.GROUPS,
        NOTED,
        ("sdb", "older state", "degraded"),
        with_group(level="raid1", members=2, behind=frozenset({"sdb"})),
    ),
    Case(
        G.GROUPS,
        WARNING,
        ("md array 0 on sda, sdb may lack members", "could not be found out", "mdadm --examine"),
        with_group(),
    ),
    Case(
        G.GROUPS,
        WARNING,
        ("on sda may lack physical volumes", "could not be found out", "pvs"),
        dataclasses.replace(
            SERVER,
            groups=(DiskGroup("LVM volume group", UNKNOWN_VOLUME_GROUP, frozenset({"sda"}), unsure=True),),
        ),
    ),
    Case(
        G.GROUPS,
        NOTED,
        ("does not need sdb", "spare"),
        with_group(level="raid5", members=2, spares=frozenset({"sdb"})),
        ("sda",),
    ),
    Case(
        G.GROUPS,
        NOTED,
        ("volume group data", "1 of its 2 physical volumes", "array or an encrypted volume"),
        dataclasses.replace(
            SERVER,
            groups=(DiskGroup("LVM volume group", "data", frozenset({"sda"}), unseen=1, members=2, unsure=True),),
        ),
    ),
    Case(
        G.COPIES,
        WARNING,
        ("sda, sdb have the same WWN", "one disk over several paths", "p2v.disks=sda"),
        dataclasses.replace(
            SERVER, disks=(NAMED, dataclasses.replace(NAMED, name="sdb", device=SDB.device)), excluded=()
        ),
    ),
    Case(G.COPIES, NOTED, ("sdb and sda are one disk over two paths", "once"), TWO_PATHS),
    Case(
        G.COPIES,
        WARNING,
        ("sda, sdb have the same WWN", "one disk over several paths", "p2v.disks=sda"),
        dataclasses.replace(
            SERVER, disks=(NAMED, dataclasses.replace(NAMED, name="sdb", device=SDB.device)), excluded=()
        ),
    ),
    Case(G.COPIES, NOTED, ("sdb and sda are one disk over two paths",), TWO_PATHS, ("sdb",)),
    Case(G.COPIES, WARNING, ("sda, sdb", "LVM2_member pv-1", "LVM refuses", "p2v.disks=sda"), COPIED),
    Case(
        G.UNREADABLE,
        NOTED,
        ("sda has ZFS on it", "copied as it is"),
        dataclasses.replace(SERVER, disks=(holding(SDA, Content("zfs_member", "1", member="2")),)),
    ),
    Case(
        G.UNREADABLE,
        NOTED,
        ("sda has Storage Spaces",),
        dataclasses.replace(
            SERVER,
            disks=(dataclasses.replace(SDA, partitions=(Partition("sda1", 1, 1, STORAGE_SPACES_TYPE),)),),
        ),
    ),
    Case(
        P.OLD_METADATA,
        NOTED,
        ("sda", "isw_raid_member", "wipefs /dev/null"),
        dataclasses.replace(SERVER, disks=(dataclasses.replace(SDA, old_signature="isw_raid_member"),)),
    ),
]


def checks(machine: Machine, *disks: str) -> tuple[Check, ...]:
    return make_plan(Settings(disks=disks or None), machine).checks


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_what_is_doubtful_in_a_choice_is_said_once_with_what_to_do_and_nothing_else_is(case: Case) -> None:
    assert_said_once(case, checks(case.machine, *case.disks or ()))


def test_every_verdict_that_is_declared_can_come_and_no_other() -> None:
    assert_all_can_come(SUBJECTS, CASES)


def test_all_subjects_are_declared_in_the_list_that_the_docs_are_made_from() -> None:
    assert_all_are_listed(SUBJECTS, plan_checks, group_checks)


def test_whole_groups_of_fixed_disks_get_no_warning() -> None:
    assert checks(STRIPED) == ()
    assert checks(STRIPED, "cciss/c0d0") == ()


def names(machine: Machine) -> list[str]:
    return [disk.name for disk in default_disks(machine)]


def test_by_default_a_portable_disk_is_not_converted_beside_one_that_is_built_in() -> None:
    assert names(WITH_BACKUP) == ["sda"]
    assert names(ONLY_BACKUP) == ["sdu"]
    assert names(dataclasses.replace(WITH_BACKUP, disks=(BACKUP, SDA))) == ["sda"]


def test_by_default_a_disk_on_usb_is_converted_with_the_built_in_disks_of_its_group() -> None:
    group = DiskGroup("LVM volume group", "vg0", frozenset({"sda", "sdu"}))
    assert names(dataclasses.replace(WITH_BACKUP, groups=(group,))) == ["sda", "sdu"]
    other = dataclasses.replace(group, disks=frozenset({"sdu", "sdv"}))
    assert names(dataclasses.replace(WITH_BACKUP, groups=(other,))) == ["sda"]


@pytest.mark.parametrize(
    ("source", "converted"),
    [(BootSource.UEFI_ENTRY, ["sdu", "sda"]), (BootSource.BIOS, ["sdu", "sda"]), (BootSource.GUESS, ["sda"])],
)
def test_by_default_a_disk_on_usb_is_converted_when_the_firmware_boots_from_it(
    source: BootSource, converted: list[str]
) -> None:
    machine = dataclasses.replace(WITH_BACKUP, disks=(BACKUP, SDA), boot_disk=BootDisk(source, "it says so"))
    assert names(machine) == converted


def test_a_disk_on_usb_that_is_named_is_no_guess() -> None:
    assert checks(WITH_BACKUP, "sda", "sdu") == checks(ONLY_BACKUP, "sdu") == ()


@pytest.mark.parametrize("name", ["mmcblk0", "/dev/mmcblk0"])
def test_a_disk_that_was_left_out_by_a_guess_is_converted_when_it_is_named(name: str) -> None:
    plan = make_plan(Settings(disks=(name,)), WITH_CARD)
    assert plan.disks == (CARD,)
    assert plan.settings.disks == (name,)


def test_by_default_what_was_left_out_by_a_guess_stays_out() -> None:
    assert names(WITH_CARD) == ["sda"]
    with pytest.raises(SettingsError, match="These were left out: mmcblk0"):
        make_plan(Settings(), dataclasses.replace(WITH_CARD, disks=()))


def test_what_surely_fails_is_refused_though_it_is_named() -> None:
    with pytest.raises(SettingsError, match="The disk sdz cannot be converted: p2v-tui runs from it"):
        make_plan(Settings(disks=("sdz",)), SERVER)


def test_old_metadata_of_a_disk_that_is_not_converted_is_ignored() -> None:
    old = Disk("sdo", MULTIPATH.device, 1, content=Content("ext4"), old_signature="zfs_member")
    assert checks(dataclasses.replace(SERVER, disks=(SDA, old)), "sda") == ()


def test_a_copy_stands_for_the_member_that_it_is_a_copy_of() -> None:
    group = DiskGroup(
        "LVM volume group", "vg0", frozenset({"sda", "cciss/c0d0"}), copies=(frozenset({"sda", "sdb"}),)
    )
    machine = dataclasses.replace(SERVER, groups=(group,))
    assert checks(machine, "sda", "cciss/c0d0") == checks(machine, "sdb", "cciss/c0d0") == ()
    (lacking,) = checks(machine, "sdb")
    assert "also needs cciss/c0d0." in lacking.text


def test_both_paths_to_a_disk_are_warned_of_as_copies() -> None:
    (said,) = checks(TWO_PATHS, "sda", "sdb")
    assert (said.verdict, said.key) == (WARNING, "copies")


def test_one_of_two_copies_gets_no_warning() -> None:
    assert checks(COPIED, "sdb") == ()


def test_the_members_of_a_mirror_that_show_its_content_are_no_copies() -> None:
    mirror = (DiskGroup("md array", "0", frozenset({"sda", "sdb"}), level="raid1", members=2),)
    assert checks(dataclasses.replace(COPIED, groups=mirror)) == ()
