"""What is judged of a conversion server: each verdict that the docs declare, from the facts that lead to it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from p2v_tui.config import Settings
from p2v_tui.hwprobe.machine import Content, Machine, Partition
from p2v_tui.kinds import Secret
from p2v_tui.session.plan.plan import Plan, make_plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight import directory_checks, guest_checks, output_checks, output_mode_checks, server_checks
from p2v_tui.session.preflight.server_checks import SUBJECTS, judge_server
from p2v_tui.session.preflight.server_facts import NO_POOL, Access, Directory, ExistingFile, Place, ServerFacts, Space
from p2v_tui.session.words.checks import Check, Subject, Verdict, of_verdict
from tests.unit.check_cases import assert_all_are_listed, assert_all_can_come, assert_said_once, case_id
from tests.unit.machines import GB, GIB, SDA, SERVER

NOW = 1_795_445_195.0
MIB = 1 << 20
NOTED, WARNING, REFUSED = Verdict.NOTED, Verdict.WARNING, Verdict.REFUSED

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
UEFI_DISK = dataclasses.replace(
    SDA, partition_table="gpt", partitions=(Partition("sda1", 1, GIB, ESP, content=Content("vfat")),)
)
MACHINE = dataclasses.replace(SERVER, disks=(SDA,))
UEFI_MACHINE = dataclasses.replace(SERVER, disks=(UEFI_DISK,), installed_firmware=None)


def space(path: str, free: int, file_system: str | None = None, inodes: int | None = 100_000) -> Space:
    return Space(path, file_system or path, free, inodes)


# An ordinary server with room for everything: nothing is to be said of it.
HEALTHY = ServerFacts(
    clock=int(NOW) + 20,
    memory=16 * GIB,
    swap=0,
    programs=dict.fromkeys(
        ["nbdkit", "nbdkit-nbd", "nbdkit-file", "nbdkit-cow", "nbdcopy", "qemu-img", "qemu-nbd", "virsh", "python"],
        True,
    ),
    kvm=Access.USABLE,
    kernel=Access.USABLE,
    uefi=True,
    virtio_win=True,
    windows_service=True,
    ntfs=True,
    user="conv",
    localhost=("127.0.0.1", "::1"),
    places={
        Place.STORAGE: (Directory.THERE, "/srv/guests"),
        Place.OVERLAY: (Directory.THERE, "/var/tmp"),
        Place.TEMPORARY: (Directory.THERE, "/var/tmp"),
    },
    space={
        Place.STORAGE: space("/srv/guests", 2000 * GB),
        Place.OVERLAY: space("/var/tmp", 40 * GB),
        Place.LOGS: space("/tmp", GIB),
    },
    domain=False,
    pool="dir",
)
LIBVIRT = {"output_type": "libvirt"}


def without(*programs: str) -> dict[str, bool]:
    return {**HEALTHY.programs, **dict.fromkeys(programs, False)}


def spaces(**free: Space) -> dict[Place, Space]:
    return {**HEALTHY.space, **{Place(name): value for name, value in free.items()}}


@dataclass(frozen=True)
class Case:
    """facts: what differs from HEALTHY. says: words that the text or the advice must have."""

    subject: Subject
    verdict: Verdict
    facts: Mapping[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    release: str = "2.2.0"
    windows: tuple[str, ...] = ()
    machine: Machine = MACHINE

    def checks(self) -> tuple[Check, ...]:
        facts = dataclasses.replace(HEALTHY, **self.facts)
        plan = plan_for(self.machine, **self.settings)
        return judge_server(facts, VirtV2V(self.release, frozenset(), ()), plan, NOW, self.windows)


def plan_for(machine: Machine = MACHINE, /, **settings: Any) -> Plan:
    return make_plan(Settings(**settings), machine)


def at(path: str, what: Directory, place: Place = Place.STORAGE, **facts: Any) -> dict[str, Any]:
    """What differs from HEALTHY where that directory is so."""
    return {"places": {**HEALTHY.places, place: (what, path)}, **facts}


RHV = {"output_type": "rhv", "output_storage": "host:/esd"}
UPLOAD = {
    "output_type": "rhv-upload",
    "output_storage": "d",
    "output_connection": "https://e/api",
    "output_password": Secret("x"),
}
UUID = "rhv-disk-uuid=00000000-0000-0000-0000-000000000001"
S, O, G = server_checks, output_checks, guest_checks  # noqa: E741
D, M = directory_checks, output_mode_checks
CASES = [
    Case(S.PROGRAMS, REFUSED, {"programs": without("nbdcopy")}, ("nbdcopy", "apt install libnbd-bin")),
    Case(
        S.PROGRAMS, REFUSED, {"programs": without("nbdkit", "nbdkit-nbd", "nbdkit-cow")}, ("nbdkit.", "dnf install")
    ),
    Case(S.PROGRAMS, REFUSED, {"programs": without("nbdkit-cow")}, ("cow filter", "nbdkit-basic-filters")),
    Case(S.PROGRAMS, REFUSED, {"programs": without("qemu-img")}, ("qemu-utils",), release="1.44.2"),
    Case(S.PROGRAMS, REFUSED, {"programs": without("qemu-nbd")}, ("qemu-nbd",), {"output_format": "qcow2"}),
    Case(S.PROGRAMS, REFUSED, {"programs": without("virsh")}, ("libvirt-clients",), LIBVIRT),
    Case(S.RELAY, WARNING, {"programs": without("python")}, ("python3", "apt install python3")),
    Case(S.MEMORY, NOTED, {"memory": 2 * GIB}, ("2 GiB", "2.5 GiB")),
    Case(S.MEMORY, NOTED, {"memory": 300 * MIB, "swap": GIB}, ("300 MiB", "1 GiB")),
    Case(S.MEMORY, WARNING, {"memory": 300 * MIB, "swap": 300 * MIB}, ("300 MiB",)),
    Case(S.KVM, NOTED, {"kvm": Access.MISSING}, ("/dev/kvm",)),
    Case(S.KVM, NOTED, {"kvm": Access.DENIED}, ("usermod -aG kvm",)),
    Case(S.KERNEL, WARNING, {"kernel": Access.DENIED}, ("chmod 0644 /boot/vmlinuz-*",)),
    Case(S.KERNEL, WARNING, {"kernel": Access.MISSING}, ("apt install linux-image-amd64",)),
    Case(O.OVERLAY, REFUSED, {"space": spaces(overlay=space("/scratch", 900 * MIB))}, ("944 MB", "/scratch")),
    Case(O.OVERLAY, REFUSED, {"space": spaces(overlay=space("/scratch", 9 * GB, inodes=7))}, ("7 free inodes",)),
    Case(O.OVERLAY, REFUSED, {"space": spaces(overlay=space("/x", MIB)), "by_sudo": True}, ("env_keep", "df -h /x")),
    Case(O.LOGS, WARNING, {"space": spaces(logs=space("/tmp", 5 * MIB))}, ("5.2 MB", "10 MB")),
    Case(O.LOGS, WARNING, {"space": spaces(logs=space("/tmp", 50 * MIB))}, ("100 MB",), {"debug": True}),
    Case(O.LOGS, REFUSED, {"space": spaces(logs=space("/tmp", 65536))}, ("65.5 kB",)),
    Case(O.LOGS, REFUSED, {"space": spaces(logs=space("/tmp", GIB, inodes=0))}, ("0 free inodes", "df -i /tmp")),
    Case(S.LOCALHOST, REFUSED, {"localhost": ()}, ("not known", "127.0.0.1 localhost")),
    Case(S.LOCALHOST, REFUSED, {"localhost": ("10.1.2.3", "127.0.1.1")}, ("is 10.1.2.3, 127.0.1.1",)),
    Case(D.STORAGE, REFUSED, at("/a/b", Directory.MISSING), ("/a/b (p2v.os)", "install -d -o conv /a/b.")),
    Case(D.STORAGE, REFUSED, at("/a/b", Directory.MISSING, as_root=True), ("mkdir -p /a/b.",)),
    Case(D.STORAGE, REFUSED, at("/etc/guests", Directory.MISSING), ("p2v.os=/srv/guests",)),
    Case(
        D.STORAGE, REFUSED, at("/x", Directory.MISSING), ("the directory of the pool default", "pool-build"), LIBVIRT
    ),
    Case(D.STORAGE, REFUSED, at("/a", Directory.NO_DIRECTORY), ("/a (p2v.os) is not a directory",)),
    Case(D.STORAGE, REFUSED, at("/a/b", Directory.READ_ONLY), ("The user conv", "install -d -o conv /a/b/p2v;")),
    Case(D.STORAGE, REFUSED, at("/a/b", Directory.READ_ONLY), ("name another pool",), LIBVIRT),
    *(
        Case(D.STORAGE, REFUSED, at(path, Directory.READ_ONLY), ("install -d -o conv /srv/guests;", "p2v.sudo"))
        for path in ("/", "/etc", "/usr/share", "/srv", "/var/tmp")
    ),
    Case(D.STORAGE, REFUSED, at("/nfs", Directory.READ_ONLY, as_root=True), ("root may not write", "another")),
    Case(D.STORAGE, REFUSED, at("/cd", Directory.READ_ONLY_FILE_SYSTEM), ("read-only", "findmnt --target /cd")),
    Case(D.STORAGE, REFUSED, at("/root/x", Directory.UNREACHABLE), ("p2v.sudo",)),
    *(
        Case(D.TEMPORARY, REFUSED, at("/scratch", what, place), ("/scratch", "TMPDIR"))
        for place in (Place.TEMPORARY, Place.OVERLAY)
        for what in Directory
        if what is not Directory.THERE
    ),
    Case(O.COPY, WARNING, {"space": spaces(storage=space("/srv", 200 * GB))}, ("200 GB", "500 GB", "40 %")),
    Case(O.COPY, REFUSED, {"space": spaces(storage=space("/srv", 49 * GB))}, ("49 GB", "500 GB")),
    Case(
        O.COPY,
        REFUSED,
        {"space": spaces(storage=space("/srv", 499 * GB))},
        ("preallocated",),
        {"output_allocation": "preallocated"},
    ),
    Case(O.COPY, REFUSED, {"space": spaces(storage=space("/srv", 999 * GB, inodes=1))}, ("df -i /srv",)),
    # One file system for all: the overlay and the log take their part first.
    Case(
        O.COPY,
        WARNING,
        {
            "space": {
                Place.STORAGE: space("/var/tmp", 500 * GB + 512 * MIB, "/dev/sda2"),
                Place.OVERLAY: space("/var/tmp", 500 * GB + 512 * MIB, "/dev/sda2"),
                Place.LOGS: space("/tmp", 500 * GB + 512 * MIB, "/dev/sda2"),
            }
        },
        ("499 GB", "99 %"),
    ),
    # Glance is given a copy that lies beside the overlay.
    Case(
        O.COPY,
        REFUSED,
        {"space": {Place.OVERLAY: space("/var/tmp", 20 * GB)}},
        ("18.9 GB", "/var/tmp"),
        {"output_type": "glance"},
    ),
    Case(
        O.EXISTING,
        WARNING,
        {
            "existing": (
                ExistingFile("db1-sda", 20 * GB, int(NOW) - 9 * 86400),
                ExistingFile("db1.xml", 90, int(NOW)),
            )
        },
        ("db1-sda (20 GB, changed 9 days ago)", "db1.xml (90 bytes, changed 20 s ago)", "p2v.name=db1-2"),
    ),
    Case(O.DOMAIN, REFUSED, {"domain": True}, ("virsh dominfo db1", "p2v.name=db1-2"), LIBVIRT),
    Case(O.DOMAIN, WARNING, {"domain": None}, ("does not answer",), LIBVIRT),
    Case(O.DOMAIN, NOTED, {"domain": None, "by_sudo": True}, ("virsh list --all",), LIBVIRT),
    Case(O.POOL, REFUSED, {"pool": NO_POOL}, ("no pool default", "virsh pool-define-as default dir"), LIBVIRT),
    Case(
        O.POOL,
        REFUSED,
        {"pool": NO_POOL},
        ("not a path", "pool-define-as images dir --target /var/tmp/images &&", "p2v.os=images"),
        {**LIBVIRT, "output_storage": "/var/tmp/images"},
    ),
    Case(
        O.POOL, REFUSED, {"pool": NO_POOL}, ("dir --target /var/lib/libvirt/vm",), {**LIBVIRT, "output_storage": "vm"}
    ),
    Case(O.POOL, REFUSED, {"pool": "logical"}, ("vg0", "type logical"), {**LIBVIRT, "output_storage": "vg0"}),
    Case(M.NAME, REFUSED, {}, ("DB_1.", "p2v.name=db-1"), {"output_type": "kubevirt", "guestname": "DB_1."}),
    Case(M.NAME, REFUSED, {}, ("my guest", "p2v.name=my-guest"), {**RHV, "guestname": "my guest"}),
    Case(M.NAME, REFUSED, {}, ("files", "p2v.name=a-b"), {"guestname": "a/b"}),
    Case(M.NAME, REFUSED, {}, ("files", "p2v.name=a-b"), {**LIBVIRT, "guestname": "a/b"}),
    Case(M.NAME, REFUSED, {}, ("255 bytes",), {"guestname": "\u00fc" * 126}),
    Case(M.OPTIONS, REFUSED, {}, ("no option speed", "It has: compressed"), {"output_misc": ("speed=9",)}),
    Case(M.OPTIONS, REFUSED, {}, ("no option compressed", "none"), {"output_misc": ("compressed",)}, "2.0.5"),
    Case(M.OPTIONS, REFUSED, {}, ("1 times, not 2",), {**UPLOAD, "output_misc": (UUID, UUID)}),
    Case(M.OPTIONS, REFUSED, {}, ("only sparse",), {**UPLOAD, "output_allocation": "preallocated"}, "1.44.2"),
    Case(G.UEFI, REFUSED, {"uefi": False}, ("apt install ovmf",), {"target_firmware": "uefi"}),
    Case(G.UEFI, REFUSED, {"uefi": False}, ("OVMF",), machine=UEFI_MACHINE),
    Case(G.UEFI, REFUSED, {"uefi": False}, ("OVMF",), LIBVIRT, "2.5.1rhel=9", machine=UEFI_MACHINE),
    Case(G.UEFI, NOTED, {"uefi": False}, ("OVMF",), release="2.10.0rhel=10,release=23", machine=UEFI_MACHINE),
    Case(G.WINDOWS_TOOLS, WARNING, {"windows_service": False}, ("sda", "rhsrvany.exe"), windows=("sda",)),
    Case(G.WINDOWS_DRIVERS, NOTED, {"virtio_win": False}, ("sda, sdb", "virtio-win"), windows=("sdb", "sda")),
    Case(G.WINDOWS_FILES, WARNING, {"ntfs": False}, ("apt install ntfs-3g",), windows=("sda",)),
    Case(S.IDLE, NOTED, {"client_alive": (60, 3)}, ("3 min 0 s", "ClientAliveInterval 15")),
    Case(S.IDLE, NOTED, {"client_alive": (200, 0)}, ("3 min 20 s",)),
    Case(S.IDLE, NOTED, {"tmout": 600}, ("TMOUT", "10 min 0 s")),
    Case(S.CLOCK, NOTED, {"clock": int(NOW) - 3600}, ("1 h 0 min behind",)),
    Case(S.CLOCK, NOTED, {"clock": int(NOW) + 301}, ("5 min 1 s ahead of",)),
    Case(S.CLOCK, WARNING, {"clock": int(NOW) - 86401}, ("24 h 0 min behind", "ertificates")),
]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_what_is_wrong_with_a_server_is_said_once_with_what_to_do_and_nothing_else_is(case: Case) -> None:
    assert_said_once(case, case.checks())


def test_every_verdict_that_is_declared_can_come_and_no_other() -> None:
    assert_all_can_come(SUBJECTS, CASES)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"output_type": "libvirt"},
        {"output_type": "qemu", "output_format": "qcow2"},
        {"output_type": "null"},
        {"output_type": "kubevirt"},
        {"output_type": "local", "output_allocation": "preallocated"},
        {"output_type": "some-mode-to-come"},
    ],
    ids=str,
)
def test_an_ordinary_server_passes_everything(settings: dict[str, Any]) -> None:
    for release in ("1.40.2", "2.2.0", "2.13.3"):
        virt_v2v = VirtV2V(release, frozenset(), ())
        for plan in (None, plan_for(UEFI_MACHINE, **settings)):
            checks = judge_server(HEALTHY, virt_v2v, plan, NOW, ("sda",))
            assert of_verdict(checks, Verdict.PASSED) == checks
            assert len({check.name for check in checks}) == len(checks)
            assert not any(check.advice for check in checks)


def test_before_anything_is_chosen_only_the_server_itself_is_judged() -> None:
    facts = dataclasses.replace(HEALTHY, domain=None, pool=None, uefi=False, ntfs=False)
    names = [check.name for check in judge_server(facts, VirtV2V("2.2.0", frozenset(), ()), None, NOW)]
    assert names == [
        "programs",
        "reconnecting",
        "memory",
        "KVM",
        "kernel for libguestfs",
        "localhost",
        "temporary directory",
        "space for the overlay",
        "space in /tmp",
        "idle time-outs",
        "server's clock",
    ]


def test_what_is_not_known_passes() -> None:
    for sudo in (False, True):
        for settings in ({}, LIBVIRT):
            plan = plan_for(UEFI_MACHINE, **settings)
            checks = judge_server(ServerFacts(by_sudo=sudo), VirtV2V("?", frozenset(), ()), plan, NOW, ("sda",))
            assert {check.verdict for check in checks} <= {Verdict.PASSED, Verdict.NOTED}


def test_a_guest_that_boots_by_bios_needs_no_firmware_for_uefi() -> None:
    both = Partition("sda2", 2, MIB, "21686148-6449-6e6f-744e-656564454649")
    either = dataclasses.replace(UEFI_DISK, partitions=(*UEFI_DISK.partitions, both))
    facts = dataclasses.replace(HEALTHY, uefi=False)
    for plan in (
        plan_for(MACHINE),
        plan_for(UEFI_MACHINE, target_firmware="bios"),
        plan_for(UEFI_MACHINE, output_type="null"),
        plan_for(dataclasses.replace(UEFI_MACHINE, disks=(either,))),
    ):
        checks = judge_server(facts, VirtV2V("2.2.0", frozenset(), ()), plan, NOW)
        assert "UEFI firmware" not in {check.name for check in checks}


@pytest.mark.parametrize("path", ["/", "/etc", "/var/lib/libvirt", "/usr/local", "/home", "/data"])
@pytest.mark.parametrize("what", [what for what in Directory if what is not Directory.THERE])
@pytest.mark.parametrize("as_root", [False, True])
def test_no_advice_takes_a_directory_from_its_owner_or_removes_a_file(
    path: str, what: Directory, as_root: bool
) -> None:
    old = (ExistingFile("db1-sda", GIB, int(NOW)),)
    facts = dataclasses.replace(HEALTHY, **at(path, what, as_root=as_root), existing=old, domain=True)
    for settings in ({}, LIBVIRT):
        plan = plan_for(MACHINE, **settings)
        for check in judge_server(facts, VirtV2V("2.2.0", frozenset(), ()), plan, NOW):
            assert "chown" not in check.advice
            assert "chmod" not in check.advice
            assert "undefine" not in check.advice
            assert not re.search(r"\brm\b", check.advice)


@pytest.mark.parametrize("name", ["my guest", "Gr\u00fc\u00dfe", "db1", "a.b-c_d"])
@pytest.mark.parametrize("mode", ["local", "libvirt", "qemu", "json", "glance", "null"])
def test_a_name_that_the_output_takes_is_taken(name: str, mode: str) -> None:
    plan = plan_for(MACHINE, guestname=name, output_type=mode)
    checks = judge_server(HEALTHY, VirtV2V("2.2.0", frozenset(), ()), plan, NOW)
    assert [check.verdict for check in checks if check.name == "guest name"] == [Verdict.PASSED]


def test_a_path_from_the_server_is_one_word_of_the_advice() -> None:
    facts = dataclasses.replace(HEALTHY, space=spaces(overlay=Space("/a; reboot", "x", 1)))
    checks = judge_server(facts, VirtV2V("2.2.0", frozenset(), ()), None, NOW)
    assert "df -h '/a; reboot'" in of_verdict(checks, Verdict.REFUSED)[0].advice


def test_all_subjects_are_declared_in_the_list_that_the_docs_are_made_from() -> None:
    assert_all_are_listed(SUBJECTS, server_checks, directory_checks, output_checks, output_mode_checks, guest_checks)
