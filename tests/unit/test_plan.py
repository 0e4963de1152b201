"""The plan of a conversion: what is chosen of a made-up machine, and what is refused before anything starts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.config import BY_KEY, Settings
from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.machine import (
    BootDisk,
    BootSource,
    Content,
    Disk,
    ExcludedDisk,
    Firmware,
    Machine,
    MediumKind,
    MemorySource,
    Partition,
    RemovableMedium,
    Topology,
)
from p2v_tui.kinds import KeySource, NetworkMap, Secret
from p2v_tui.session.plan import volume_keys
from p2v_tui.session.plan.plan import Plan, fill_in, make_plan, with_keys
from p2v_tui.session.words.checks import Verdict, of_verdict
from tests.unit.machines import CCISS, DISKLESS, GIB, MULTIPATH, SDA, SDB, SERVER, STRIPED


def plan(machine: Machine = SERVER, image: Path | None = None, /, **settings: object) -> Plan:
    return make_plan(Settings(**settings), machine, image)  # type: ignore[arg-type]


def refusal(machine: Machine = SERVER, /, **settings: object) -> SettingsError:
    with pytest.raises(SettingsError) as raised:
        plan(machine, **settings)
    assert raised.value.advice
    return raised.value


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    return path


def test_all_disks_are_converted_by_default_in_the_machines_order() -> None:
    assert plan().disks == SERVER.disks


def test_the_disks_are_those_named_in_the_order_they_are_named() -> None:
    assert plan(disks=("sdb", "sda")).disks == (SDB, SDA)


@pytest.mark.parametrize(
    ("name", "disk"),
    [
        ("sda", SDA),
        ("/dev/sda", SDA),
        ("cciss/c0d0", CCISS),
        ("cciss!c0d0", CCISS),
        ("/dev/cciss/c0d0", CCISS),
        ("mpatha", MULTIPATH),
        ("/dev/mapper/mpatha", MULTIPATH),
    ],
)
def test_a_disk_is_found_by_its_name_and_by_its_path(name: str, disk: Disk) -> None:
    assert plan(disks=(name,)).disks == (disk,)


def test_a_disk_is_found_by_a_link_to_it(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to(SDB.device)
    assert plan(disks=(str(link),)).disks == (SDB,)


@pytest.mark.parametrize(
    ("name", "disk"),
    [("sda2", "sda"), ("/dev/sda1", "sda"), ("cciss/c0d0p1", "cciss/c0d0"), ("cciss!c0d0p1", "cciss/c0d0")],
)
def test_a_partition_is_refused_with_its_disk_named(name: str, disk: str) -> None:
    error = refusal(disks=(name,))
    assert f"{name} is a partition of {disk}" in error.message
    assert f"p2v.disks={disk}" in error.advice
    assert error.setting == "disks"


def test_a_link_to_a_partition_may_be_given_without_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    link = "/dev/disk/by-id/ata-ST500-part2"
    monkeypatch.setattr("os.path.realpath", lambda path: "/dev/sda2" if path == link else path)
    assert "is a partition of sda" in refusal(disks=("disk/by-id/ata-ST500-part2",)).message


@pytest.mark.parametrize(
    ("name", "reason"), [("sdz", "runs from it"), ("/dev/sdz", "runs from it"), ("sdc", "a path of mpatha")]
)
def test_a_disk_that_is_left_out_is_refused_for_the_reason_it_was_left_out(name: str, reason: str) -> None:
    error = refusal(disks=("sda", name))
    assert name in error.message
    assert reason in error.message
    assert "sda, sdb, cciss/c0d0, mpatha" in error.advice


@pytest.mark.parametrize(
    "name", ["sdq", "/dev/sdq", "sd", "disk.img", "/", "..", "sda/../sdb", "/nonexistent/disk.img"]
)
def test_a_disk_that_does_not_exist_is_refused_with_those_that_do(name: str) -> None:
    error = refusal(disks=(name,))
    assert f"fixed disk {name} was not found " in error.message
    assert "sda, sdb, cciss/c0d0, mpatha" in error.advice
    assert error.setting == "disks"


def test_a_machine_without_disks_is_refused_with_what_was_left_out_and_why() -> None:
    error = refusal(DISKLESS)
    assert "No fixed disk was found to convert" in error.message
    assert "sdz: p2v-tui runs from it" in error.message
    assert error.setting == "disks"


def test_where_all_disks_are_in_use_the_live_image_is_the_way() -> None:
    error = refusal(DISKLESS)
    assert "live image" in error.advice
    assert "p2v.disks" not in error.advice


def test_devices_that_nobody_would_look_for_are_not_listed_as_left_out() -> None:
    loops = tuple(ExcludedDisk(f"loop{number}", 0, "loop device") for number in range(8))
    gone = ExcludedDisk("sdq", 0, "it went away while it was looked at", fault=True)
    message = refusal(dataclasses.replace(DISKLESS, excluded=(*loops, gone))).message
    assert "loop" not in message and "sdq: it went away" in message


def test_a_machine_without_any_block_device_is_refused_too() -> None:
    assert "None was found" in refusal(dataclasses.replace(DISKLESS, excluded=())).message


def test_an_empty_list_of_disks_is_no_conversion_and_not_all_of_them() -> None:
    assert "No fixed disk was found to convert" in refusal(disks=()).message


@pytest.mark.parametrize("names", [("sda", "sda"), ("sda", "/dev/sda"), ("/dev/null", "sda")])
def test_a_disk_named_twice_is_refused(names: tuple[str, str]) -> None:
    assert "sda is named twice" in refusal(disks=names).message


def test_an_image_named_twice_is_refused_whatever_it_is_called(image: Path) -> None:
    link = image.with_name("link.img")
    link.symlink_to(image)
    for other in (str(image), f"{image.parent}/./disk.img", str(link)):
        assert "named twice" in refusal(disks=(str(image), other)).message


def test_a_group_that_is_not_whole_is_converted_with_a_warning_that_names_the_missing_disks() -> None:
    made = plan(STRIPED, disks=("sda", "cciss/c0d0"))
    assert made.disks == (SDA, CCISS)
    (warning,) = of_verdict(made.checks, Verdict.WARNING)
    assert warning.key == "groups"
    assert "LVM volume group vg0" in warning.text
    assert "mpatha, sdb" in warning.text
    assert "mpatha, sda, sdb" in warning.advice


@pytest.mark.parametrize("names", [("sda", "sdb", "mpatha"), ("mpatha", "cciss/c0d0", "sdb", "sda"), ("cciss/c0d0",)])
def test_a_whole_group_or_none_of_it_gets_no_warning(names: tuple[str, ...]) -> None:
    made = plan(STRIPED, disks=names)
    assert [disk.name for disk in made.disks] == list(names)
    assert not of_verdict(made.checks, Verdict.WARNING)


def test_an_image_file_is_a_disk(image: Path) -> None:
    (disk,) = plan(disks=(str(image),)).disks
    assert (disk.name, disk.size) == (str(image), 4096)


def test_a_test_image_takes_the_place_of_the_machines_disks_and_drives(image: Path) -> None:
    made = plan(SERVER, image)
    assert [disk.name for disk in made.disks] == [str(image)]
    assert made.guest.removable == ()


def test_a_test_image_says_nothing_of_how_this_machine_boots(image: Path) -> None:
    assert plan(SERVER, image).guest.firmware is None


def test_an_empty_image_is_refused(image: Path) -> None:
    image.write_bytes(b"")
    assert "is empty" in refusal(disks=(str(image),)).message


def test_a_directory_is_no_disk(tmp_path: Path) -> None:
    assert f"fixed disk {tmp_path} was not found" in refusal(disks=(str(tmp_path),)).message


def test_a_disk_that_is_gone_since_it_was_found_is_refused(tmp_path: Path) -> None:
    gone = dataclasses.replace(SDA, device=tmp_path / "gone")
    error = refusal(dataclasses.replace(SERVER, disks=(gone,)))
    assert "The disk sda cannot be read: No such file" in error.message


def test_the_guest_has_the_machines_interfaces_and_drives_by_default() -> None:
    guest = plan().guest
    assert [(interface.name, interface.mac) for interface in guest.interfaces] == [
        ("em1", "52:54:00:00:00:01"),
        ("em2", "52:54:00:00:00:02"),
    ]
    assert [medium.name for medium in guest.removable] == ["sr0", "fd0"]


def test_the_interfaces_are_those_named() -> None:
    assert [interface.name for interface in plan(interfaces=("em2",)).guest.interfaces] == ["em2"]
    assert plan(interfaces=()).guest.interfaces == ()


def test_an_interface_that_does_not_exist_is_reported_and_left_out() -> None:
    made = plan(interfaces=("eth9", "em2"))
    assert [interface.name for interface in made.guest.interfaces] == ["em2"]
    (check,) = of_verdict(made.checks, Verdict.NOTED)
    assert "no network interface eth9" in check.text
    assert "em1, em2" in check.advice


def test_a_machine_with_none_of_the_interfaces_named_is_a_warning() -> None:
    made = plan(interfaces=("eth8", "eth9"))
    assert made.guest.interfaces == ()
    (check,) = of_verdict(made.checks, Verdict.WARNING)
    assert "eth8 or eth9" in check.text and check.key == "interfaces"


def test_each_interface_is_connected_as_the_map_says() -> None:
    network_map = NetworkMap((("em2", "management"),), "other")
    assert [interface.network for interface in plan(network_map=network_map).guest.interfaces] == [
        "other",
        "management",
    ]
    assert [interface.network for interface in plan().guest.interfaces] == ["default", "default"]


@pytest.mark.parametrize(
    ("network_map", "verdict"),
    [
        (NetworkMap((("eth9", "net"), ("em1", "net"))), Verdict.NOTED),
        (NetworkMap((("eth9", "net"),), "other"), Verdict.NOTED),
        (NetworkMap((("eth9", "net"), ("eth8", "net"))), Verdict.WARNING),
    ],
)
def test_a_map_of_an_interface_that_does_not_exist_is_reported(network_map: NetworkMap, verdict: Verdict) -> None:
    (check,) = [check for check in plan(network_map=network_map).checks if check.key == "interfaces"]
    assert check.verdict is verdict
    assert "eth9" in check.text
    assert "em1, em2" in check.advice


@pytest.mark.parametrize("text", [":lan", "em1:", ":", "em1:lan,:lan"])
def test_a_map_without_an_interface_or_a_network_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"without (a network|an interface)"):
        BY_KEY["p2v.network"].parse(text)


def test_a_map_may_name_an_interface_that_the_guest_does_not_get() -> None:
    made = plan(interfaces=("em1",), network_map=NetworkMap((("em2", "management"),), "other"))
    assert [interface.network for interface in made.guest.interfaces] == ["other"]


@pytest.mark.parametrize("name", ["sr0", "/dev/sr0"])
def test_a_drive_is_found_by_its_name_and_by_its_path(name: str) -> None:
    assert [medium.name for medium in plan(removable=(name,)).guest.removable] == ["sr0"]


@pytest.mark.parametrize("name", ["sdy", "sr9"])
def test_a_usb_stick_and_a_drive_that_does_not_exist_are_reported_and_left_out(name: str) -> None:
    made = plan(removable=(name, "fd0"))
    assert [medium.name for medium in made.guest.removable] == ["fd0"]
    (check,) = of_verdict(made.checks, Verdict.NOTED)
    assert name in check.text
    assert "sr0, fd0" in check.advice


def with_drives(*media: RemovableMedium) -> Machine:
    return dataclasses.replace(SERVER, disks=(SDA, SDB), removable=media)


CDS = tuple(RemovableMedium(f"sr{number}", MediumKind.CDROM) for number in range(6))
FLOPPIES = tuple(RemovableMedium(name, MediumKind.FLOPPY) for name in ("fd0", "sdx", "sdy"))


def test_the_drives_by_default_leave_the_guests_disks_their_room_on_ide() -> None:
    made = plan(with_drives(*CDS, *FLOPPIES))
    assert [medium.name for medium in made.guest.removable] == ["sr0", "sr1", "fd0", "sdx"]
    (check,) = of_verdict(made.checks, Verdict.NOTED)
    assert "sr2, sr3, sr4, sr5, sdy" in check.text
    assert fill_in(Settings(), with_drives(*CDS)).removable == ("sr0", "sr1")


def test_four_cd_drives_that_are_named_are_given_and_no_more() -> None:
    made = plan(with_drives(*CDS), removable=("sr5", "sr4", "sr3", "sr2", "sr1"))
    assert [medium.name for medium in made.guest.removable] == ["sr5", "sr4", "sr3", "sr2"]
    (check,) = of_verdict(made.checks, Verdict.NOTED)
    assert "Left out: sr1." in check.text


@pytest.mark.parametrize(
    ("disks", "source", "verdict"),
    [
        (None, BootSource.GUESS, Verdict.NOTED),
        (None, BootSource.BIOS, Verdict.PASSED),
        (("sdb", "sda"), BootSource.BIOS, Verdict.NOTED),
        (("sdb", "sda"), BootSource.GUESS, None),
        (("sda",), BootSource.GUESS, None),
        (("sdb",), BootSource.BIOS, Verdict.NOTED),
        (("sdb",), BootSource.GUESS, None),
    ],
)
def test_a_boot_disk_that_was_guessed_is_called_a_guess(
    disks: tuple[str, ...] | None, source: BootSource, verdict: Verdict | None
) -> None:
    machine = dataclasses.replace(SERVER, disks=(SDA, SDB), boot_disk=BootDisk(source, "it has an active partition"))
    checks = [check for check in plan(machine, disks=disks).checks if check.key == "boot-disk"]
    assert [check.verdict for check in checks] == ([verdict] if verdict else [])
    assert all("it has an active partition" in check.text for check in checks)


def test_a_disk_image_has_nothing_to_do_with_this_machines_boot_disk(image: Path) -> None:
    machine = dataclasses.replace(SERVER, boot_disk=BootDisk(BootSource.BIOS, "it is drive 80 of the BIOS"))
    assert not [check for check in plan(machine, image).checks if check.key == "boot-disk"]


def test_memory_that_was_guessed_is_reported_unless_it_is_given() -> None:
    machine = dataclasses.replace(SERVER, memory_source=MemorySource.IN_USE)
    (check,) = of_verdict(plan(machine).checks, Verdict.NOTED)
    assert "23 GiB" in check.text and check.key == "memory"
    assert of_verdict(plan(machine, memory=GIB).checks, Verdict.NOTED) == ()


@pytest.mark.parametrize(
    ("chosen", "key", "words"),
    [
        ({"vcpus": 17}, "vcpus", "17 vCPUs: this machine has only 16."),
        ({"memory": 32 * GIB}, "guest-memory", "32 GiB of memory: this machine has only 23 GiB."),
        ({"memory": GIB // 4}, "guest-memory", "less than 512 MiB"),
    ],
)
def test_a_guest_of_a_doubtful_size_is_noted_by_every_front_end(chosen: dict[str, int], key: str, words: str) -> None:
    (check,) = of_verdict(plan(SERVER, **chosen).checks, Verdict.NOTED)
    assert check.key == key and words in check.text
    assert not of_verdict(plan(SERVER).checks, Verdict.NOTED)


def test_what_could_not_be_probed_is_reported() -> None:
    machine = dataclasses.replace(SERVER, notes=("The network interface em3 is left out: it went away.",))
    assert "em3" in of_verdict(plan(machine).checks, Verdict.NOTED)[0].text


@pytest.mark.parametrize(("setting", "name"), [("removable", "sr0"), ("interfaces", "em1")])
def test_a_drive_or_an_interface_named_twice_is_not_made_twice(setting: str, name: str) -> None:
    error = refusal(**{setting: (name, name)})
    assert f"{name} is named twice" in error.message
    assert error.setting == setting


@pytest.mark.parametrize(
    ("hostname", "name"),
    [("db1", "db1"), ("db1.example.com", "db1"), ("my_host", "my_host"), ("-odd host!", "odd-host-"), ("DB1", "DB1")],
)
def test_the_guest_is_named_after_the_machine(hostname: str, name: str) -> None:
    assert plan(dataclasses.replace(SERVER, hostname=hostname)).guest.name == name


@pytest.mark.parametrize("hostname", ["localhost", "localhost.localdomain", "", "..."])
def test_a_machine_without_a_name_of_its_own_gets_a_random_one(hostname: str) -> None:
    machine = dataclasses.replace(SERVER, hostname=hostname)
    names = {plan(machine).guest.name for _ in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch(r"p2v-[0-9a-f]{8}", name) for name in names)


@given(st.text())
def test_whatever_the_machine_is_called_the_guests_name_is_a_valid_one(hostname: str) -> None:
    name = plan(dataclasses.replace(SERVER, hostname=hostname)).guest.name
    assert BY_KEY["p2v.name"].parse(name) == name


def test_the_guest_has_a_socket_for_each_processor_that_is_online() -> None:
    assert plan().guest.topology.processors == 16
    assert plan(vcpus=3).guest.topology.processors == 3


def test_the_machines_topology_goes_before_a_number_of_processors() -> None:
    assert plan(phys_topo=True, vcpus=3).guest.topology == Topology(sockets=2, cores=4, threads=2)


def test_the_memory_is_what_is_installed_and_not_rounded_up() -> None:
    assert plan().guest.memory == 23 * GIB
    assert plan(memory=GIB).guest.memory == GIB


def test_the_cpus_features_are_the_machines_unless_said_otherwise() -> None:
    guest = plan().guest
    assert (guest.cpu_vendor, guest.cpu_model) == ("Intel", None)
    assert (guest.acpi, guest.apic, guest.pae) == (True, True, True)
    guest = plan(cpu_vendor="AMD", cpu_model="EPYC", cpu_acpi=False, cpu_apic=False, cpu_pae=False).guest
    assert (guest.cpu_vendor, guest.cpu_model) == ("AMD", "EPYC")
    assert (guest.acpi, guest.apic, guest.pae) == (False, False, False)


@pytest.mark.parametrize(
    ("settings", "firmware"),
    [
        ({}, Firmware.BIOS),
        ({"target_firmware": "bios"}, Firmware.BIOS),
        ({"target_firmware": "uefi"}, Firmware.UEFI),
        ({"disks": ("sdb", "sda")}, None),
        ({"disks": ("sdb",), "target_firmware": "uefi"}, Firmware.UEFI),
    ],
)
def test_the_firmware_is_the_installed_systems_only_where_its_disk_boots_the_guest(
    settings: dict[str, object], firmware: Firmware | None
) -> None:
    assert plan(**settings).guest.firmware == firmware


def test_the_firmware_that_runs_now_is_not_taken_for_the_installed_ones() -> None:
    machine = dataclasses.replace(SERVER, installed_firmware=None)
    assert machine.booted_by is Firmware.UEFI
    assert plan(machine).guest.firmware is None


def test_the_disks_get_the_ports_in_their_order() -> None:
    made = plan(disks=("sdb", "sda"))
    assert [(disk.disk.name, disk.port) for disk in made.guest_with([1111, 2222]).disks] == [
        ("sdb", 1111),
        ("sda", 2222),
    ]
    with pytest.raises(ValueError, match="shorter"):
        made.guest_with([1111])


def test_an_output_mode_that_lacks_something_is_refused_before_anything_starts() -> None:
    assert refusal(output_type="rhv").setting == "output.type"


def test_filling_in_keeps_what_was_given_and_adds_the_rest() -> None:
    filled = fill_in(Settings(disks=("sdb",), memory=GIB, cpu_acpi=False, network_map=NetworkMap((), "x")), SERVER)
    assert (filled.disks, filled.memory, filled.cpu_acpi) == (("sdb",), GIB, False)
    assert filled.network_map == NetworkMap((), "x")
    assert filled.removable == ("sr0", "fd0")
    assert filled.interfaces == ("em1", "em2")
    assert (filled.guestname, filled.vcpus) == ("db1", 16)
    assert filled.output_storage == "/var/tmp"
    assert fill_in(Settings(output_type="libvirt"), SERVER).output_storage is None


LOCKED = dataclasses.replace(
    SDA, partitions=(*SDA.partitions, Partition("sda3", 3, GIB, content=Content("BitLocker")))
)
ENCRYPTED = dataclasses.replace(SERVER, disks=(LOCKED, SDB))


def key(volume: str) -> KeySource:
    return KeySource(volume, passphrase=Secret("Tr0ub4dor&3"))


def test_a_key_belongs_to_the_volume_as_virt_v2v_will_see_it() -> None:
    made = plan(ENCRYPTED, disks=("sdb", "sda"), keys=(key("sda3"),))
    assert [each.volume.id for each in made.wanted_keys if each.volume] == ["/dev/sdb3"]
    assert made.keys == ()


def test_a_key_for_a_volume_that_is_not_encrypted_is_refused() -> None:
    error = refusal(ENCRYPTED, keys=(key("sda1"),))
    assert error.setting == "key"
    assert "BitLocker sda3" in error.advice


def test_a_key_of_a_disk_that_is_not_converted_is_left_out_of_the_plan() -> None:
    assert plan(ENCRYPTED, disks=("sdb",), keys=(key("sda3"),)).wanted_keys == ()


def test_with_its_keys_a_plan_knows_them_as_secrets_and_does_not_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # This machine may have a disk of the same name.
    monkeypatch.setattr(volume_keys, "NODES", ())
    made = with_keys(plan(ENCRYPTED, disks=("sda",), keys=(key("sda3"),)), lambda _: None)
    assert [(each.id, each.volume) for each in made.keys] == [("/dev/sda3", "BitLocker sda3")]
    assert made.keys[0].unchecked
    assert made.secrets == (Secret("Tr0ub4dor&3"),)
    assert "Tr0ub4dor" not in repr(made)
