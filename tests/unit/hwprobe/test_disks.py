"""Fixed disks of recorded machines: which are offered, how they are described, why others are left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.hwprobe import Content, Disk, Machine, Transport
from p2v_tui.hwprobe.blockdev import BlockDevice, BlockDevices
from p2v_tui.hwprobe.contents import partitions_of
from p2v_tui.hwprobe.disks import block_drivers
from p2v_tui.session.plan.disk_names import find_named
from tests.unit.hwprobe.conftest import ProbeRecorded


def disk(machine: Machine, name: str) -> Disk:
    return next(disk for disk in machine.disks if disk.name == name)


def names(machine: Machine) -> list[str]:
    return [disk.name for disk in machine.disks]


def reason(machine: Machine, name: str) -> str:
    """Why the device is left out. Fails where it is offered as well, or left out twice."""
    assert name not in names(machine)
    (excluded,) = (excluded for excluded in machine.excluded if excluded.name == name)
    return excluded.reason


def test_a_sata_disk_is_described_in_full(recorded: ProbeRecorded) -> None:
    sda = disk(recorded("sata-lvm-server").machine, "sda")
    assert sda.device == Path("/dev/sda")
    assert sda.size == 1000204886016
    assert (sda.model, sda.serial, sda.wwn) == ("ST1000NM0011", "Z1N0A1B2", "0x5000c5004a1b2c3d")
    assert sda.transport is Transport.SATA
    assert (sda.partition_table, sda.partition_table_uuid, sda.content) == ("dos", "0009c3a1", None)


def test_partitions_come_with_type_size_and_what_is_on_them(recorded: ProbeRecorded) -> None:
    boot, volume = disk(recorded("sata-lvm-server").machine, "sda").partitions
    assert (boot.name, boot.number, boot.size, boot.type, boot.uuid) == ("sda1", 1, 512 << 20, "0x83", "0009c3a1-01")
    assert boot.bootable and not volume.bootable
    assert boot.content == Content("ext4", "3a9c7f0e-6f1a-4d7e-9a57-2b1f4f9f6c11", "boot")
    assert volume.content is not None and volume.content.type == "LVM2_member"


def test_a_disk_without_a_partition_table_shows_what_fills_it(recorded: ProbeRecorded) -> None:
    sdb = disk(recorded("sata-lvm-server").machine, "sdb")
    assert sdb.partition_table is None and sdb.partitions == ()
    assert [content.type for content in sdb.contents] == ["LVM2_member"]


def test_a_label_with_blanks_and_accents_reads_as_it_was_given(recorded: ProbeRecorded) -> None:
    (backup,) = disk(recorded("sata-lvm-server").machine, "sdc").contents
    assert backup.label == "Backup disk"
    assert [content.label for content in disk(recorded("pata-pc").machine, "hda").contents] == ["WINXP", "DATENÄ"]


def test_sector_sizes_are_read_and_do_not_change_the_unit_of_the_size(recorded: ProbeRecorded) -> None:
    backup = disk(recorded("sata-lvm-server").machine, "sdc")
    assert (backup.logical_sector_size, backup.physical_sector_size) == (512, 4096)
    native = disk(recorded("mixed").machine, "vda")
    assert (native.logical_sector_size, native.physical_sector_size, native.size) == (4096, 4096, 20 << 30)


@pytest.mark.parametrize(
    ("machine", "offered"),
    [
        ("sata-lvm-server", {"sda", "sdb", "sdc"}),
        ("nvme-luks-laptop", {"nvme0n1", "nvme1n1"}),
        ("cciss-md-server", {"cciss/c0d0", "cciss/c0d1"}),
        ("multipath-san-host", {"sda", "mpatha", "mpathb"}),
        ("pata-pc", {"hda", "sda"}),
        ("imsm-workstation", {"md126", "sdc"}),
        ("mixed", {"mmcblk0", "sda", "sdaa", "sdd", "vda", "vdb", "xvda", "nvidia_bcdefgha"}),
        ("lvm-in-use", {"sdb", "sdc"}),
        ("no-udevd", {"sda", "sdb"}),
        # The kernel's flag says "removable" of these arrays and of the disks in ports that can be plugged.
        ("aacraid-arrays", {"sda", "sdb"}),
        ("ahci-hotplug-ports", {"sda", "sdb", "sdc"}),
        ("sd-card-in-reader", {"nvme0n1"}),
        ("bmc-virtual-drives", {"sda"}),
        ("stale-isw-single", {"sda"}),
        ("stale-ddf-jbod", {"sda"}),
        ("two-paths-no-multipath", {"sda"}),
    ],
)
def test_exactly_the_fixed_disks_are_offered(recorded: ProbeRecorded, machine: str, offered: set[str]) -> None:
    assert set(names(recorded(machine).machine)) == offered


@pytest.mark.parametrize(
    ("machine", "name", "transport"),
    [
        ("nvme-luks-laptop", "nvme0n1", Transport.NVME),
        ("nvme-luks-laptop", "nvme1n1", Transport.NVME),
        ("cciss-md-server", "cciss/c0d0", Transport.CCISS),
        ("multipath-san-host", "sda", Transport.SAS),
        ("multipath-san-host", "mpatha", Transport.FIBRE_CHANNEL),
        ("pata-pc", "hda", Transport.PATA),
        ("pata-pc", "sda", Transport.PATA),
        ("imsm-workstation", "md126", Transport.SATA),
        # The drive does not say what it is, as QEMU's does not; its link does.
        ("mixed", "sdaa", Transport.SATA),
        ("mixed", "mmcblk0", Transport.MMC),
        ("mixed", "vda", Transport.VIRTIO),
        ("mixed", "xvda", Transport.XEN),
        ("mixed", "sda", Transport.USB),
        ("mixed", "sdd", Transport.ISCSI),
    ],
)
def test_the_transport_is_told(recorded: ProbeRecorded, machine: str, name: str, transport: Transport) -> None:
    assert disk(recorded(machine).machine, name).transport is transport


def test_an_encrypted_partition_is_seen_as_encrypted(recorded: ProbeRecorded) -> None:
    machine = recorded("nvme-luks-laptop").machine
    assert [
        part.name for disk in machine.disks for part in disk.partitions if part.content and part.content.encrypted
    ] == [
        "nvme1n1p3",
        "nvme0n1p2",
    ]


def test_an_nvme_disk_below_a_subsystem_is_a_disk_with_its_serial_number(recorded: ProbeRecorded) -> None:
    nvme = disk(recorded("nvme-luks-laptop").machine, "nvme1n1")
    assert (nvme.model, nvme.serial) == ("Samsung SSD 980 PRO 1TB", "S5GXNX0R512345")
    assert nvme.wwn == "eui.002538b511b3c4d5"


def test_a_cciss_volume_has_a_slash_in_its_name_and_its_node(recorded: ProbeRecorded) -> None:
    volume = disk(recorded("cciss-md-server").machine, "cciss/c0d0")
    assert volume.device == Path("/dev/cciss/c0d0")
    assert volume.model == "HP LOGICAL VOLUME"
    assert [part.name for part in volume.partitions] == ["cciss/c0d0p1", "cciss/c0d0p2"]


def test_the_serial_number_of_a_sas_disk_is_not_its_wwn(recorded: ProbeRecorded) -> None:
    sas = disk(recorded("multipath-san-host").machine, "sda")
    assert (sas.serial, sas.wwn) == ("S0K1ABCD", "0x5000c500a0b1c2d3")


def test_a_multipath_disk_is_one_disk_and_its_paths_are_left_out(recorded: ProbeRecorded) -> None:
    machine = recorded("multipath-san-host").machine
    mpatha = disk(machine, "mpatha")
    assert mpatha.device == Path("/dev/mapper/mpatha")
    assert mpatha.members == ("sdb", "sdd", "sdf", "sdh")
    assert mpatha.model == "IBM 2145" and mpatha.wwn == "0x600507680c80821cf000000000000000"
    assert {reason(machine, path) for path in mpatha.members} == {"path of mpatha"}
    assert {reason(machine, path) for path in disk(machine, "mpathb").members} == {"path of mpathb"}


def test_the_partitions_of_a_multipath_disk_belong_to_it(recorded: ProbeRecorded) -> None:
    machine = recorded("multipath-san-host").machine
    (part,) = disk(machine, "mpatha").partitions
    assert (part.name, part.number) == ("mpatha-part1", 1)
    assert part.content is not None and part.content.type == "LVM2_member"
    assert "mpatha-part1" not in {excluded.name for excluded in machine.excluded}


def test_a_firmware_raid_set_of_md_is_one_disk_and_its_members_are_left_out(recorded: ProbeRecorded) -> None:
    machine = recorded("imsm-workstation").machine
    volume = disk(machine, "md126")
    assert volume.members == ("sda", "sdb")
    assert volume.model == "firmware RAID volume (raid1, imsm)"
    assert [part.name for part in volume.partitions] == ["md126p1", "md126p2"]
    assert {reason(machine, name) for name in volume.members} == {"member of the firmware RAID set md126"}
    assert "container" in reason(machine, "md127")


def test_a_firmware_raid_set_of_dmraid_is_one_disk_with_partitions(recorded: ProbeRecorded) -> None:
    machine = recorded("mixed").machine
    volume = disk(machine, "nvidia_bcdefgha")
    assert volume.members == ("sde", "sdf")
    assert [(part.name, part.number) for part in volume.partitions] == [("nvidia_bcdefgha1", 1)]
    assert reason(machine, "sde") == "member of the firmware RAID set nvidia_bcdefgha"
    assert "nvidia_bcdefgha1" not in {excluded.name for excluded in machine.excluded}


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("sdd", "mdadm --assemble --scan"),
        ("sde", "dmraid -ay"),
        ("sdf", "mdadm --incremental --run /dev/md125"),
    ],
)
def test_a_member_of_an_unassembled_set_is_left_out_with_the_way_to_assemble_it(
    recorded: ProbeRecorded, name: str, command: str
) -> None:
    assert f"`{command}`" in reason(recorded("imsm-workstation").machine, name)


def test_a_path_of_an_unassembled_multipath_disk_is_no_disk(recorded: ProbeRecorded) -> None:
    assert "`multipath`" in reason(recorded("multipath-san-host").machine, "sdj")


def test_a_partition_table_counts_more_than_an_image_written_over_the_disk(recorded: ProbeRecorded) -> None:
    emmc = disk(recorded("mixed").machine, "mmcblk0")
    assert (emmc.partition_table, emmc.content) == ("gpt", None)


def test_a_gpt_partition_is_never_active_whatever_its_flags(recorded: ProbeRecorded) -> None:
    (part,) = disk(recorded("mixed").machine, "xvda").partitions
    assert not part.bootable


def test_a_whole_disk_in_a_software_raid_stays_a_disk(recorded: ProbeRecorded) -> None:
    content = disk(recorded("mixed").machine, "vdb").content
    assert content is not None and content.type == "linux_raid_member"


def test_members_of_a_software_raid_stay_disks_and_the_array_is_not_offered(recorded: ProbeRecorded) -> None:
    machine = recorded("cciss-md-server").machine
    assert "the guest assembles it" in reason(machine, "md0")
    assert "cciss/c0d0" in names(machine)


@pytest.mark.parametrize(
    ("machine", "name", "part_of_reason"),
    [
        ("sata-lvm-server", "sdd", "started from it"),
        ("nvme-luks-laptop", "sdb", "started from it"),
        ("nvme-luks-laptop", "sda", "no medium"),
        ("pata-pc", "hdb", "no medium"),
        ("pata-pc", "sdb", "size is zero"),
        ("sata-lvm-server", "ram0", "RAM disk"),
        ("sata-lvm-server", "zram0", "compressed RAM"),
        ("sata-lvm-server", "loop0", "loop device"),
        ("sata-lvm-server", "vg0-root", "LVM logical volume"),
        ("mixed", "luks-abcd", "encrypted volume"),
        ("mixed", "nbd0", "network block device"),
        ("mixed", "rbd0", "Ceph"),
        ("mixed", "drbd0", "DRBD"),
        ("mixed", "zd0", "virtual device"),
        ("mixed", "mmcblk0boot0", "hardware partition of mmcblk0"),
        ("mixed", "sdb", "removable medium"),
        ("mixed", "sdg", "mounted on /mnt/my disk"),
        ("mixed", "sdh", "swaps to /dev/sdh1"),
        ("two-paths-no-multipath", "sdb", "another path to sda"),
    ],
)
def test_what_is_left_out_says_why(recorded: ProbeRecorded, machine: str, name: str, part_of_reason: str) -> None:
    assert part_of_reason in reason(recorded(machine).machine, name)


@pytest.mark.parametrize(
    ("machine", "had"),
    [
        ("sd-card-in-reader", {"mmcblk0"}),
        ("two-paths-no-multipath", {"sdb"}),
        # Its logical volume is mounted.
        ("lvm-in-use", {"sdd"}),
        ("imsm-workstation", {"sdd", "sde", "sdf"}),
        # Neither the multipath disk's paths, nor the running system's memory, nor what has no size.
        ("multipath-san-host", {"sdj"}),
        ("sata-lvm-server", {"vg0-root"}),
        ("pata-pc", set()),
        (
            "mixed",
            {"luks-abcd", "vg--two-lv--data", "drbd0", "mmcblk0boot0", "mmcblk0boot1", "rbd0", "sdb", "zd0"},
        ),
    ],
)
def test_what_is_left_out_by_a_guess_can_be_selected_by_name(
    recorded: ProbeRecorded, machine: str, had: set[str]
) -> None:
    excluded = recorded(machine).machine.excluded
    assert {each.name for each in excluded if each.disk} == had
    for each in excluded:
        assert bool(each.risk) == (each.disk is not None)
        assert each.disk is None or (each.disk.name, each.disk.size) == (each.name, each.size)


@pytest.mark.parametrize(
    ("machine", "name", "signature"),
    [
        ("stale-isw-single", "sda", "isw_raid_member"),
        ("stale-ddf-jbod", "sda", "ddf_raid_member"),
        ("stale-zfs-labels", "sdb", "zfs_member"),
        ("sata-lvm-server", "sda", None),
        ("uefi-two-esps-raid", "sda", None),
    ],
)
def test_metadata_beside_partitions_is_old_and_leaves_nothing_out(
    recorded: ProbeRecorded, machine: str, name: str, signature: str | None
) -> None:
    assert disk(recorded(machine).machine, name).old_signature == signature


def test_the_medium_is_found_through_overlay_squashfs_and_loop(recorded: ProbeRecorded) -> None:
    machine = recorded("sata-lvm-server").machine
    assert [excluded.name for excluded in machine.excluded if "started from it" in excluded.reason] == ["sdd"]


def test_a_live_system_in_memory_excludes_no_disk(recorded: ProbeRecorded) -> None:
    machine = recorded("multipath-san-host").machine
    assert not [excluded for excluded in machine.excluded if "started from it" in excluded.reason]


def test_without_udevd_blkid_tells_the_contents(recorded: ProbeRecorded) -> None:
    sda = disk(recorded("no-udevd").machine, "sda")
    assert (sda.partition_table, sda.partition_table_uuid) == ("dos", "0009c3a1")
    assert [content.type for content in sda.contents] == ["ext4"]
    assert [(part.name, part.number, part.bootable) for part in sda.partitions] == [
        ("sda1", 1, True),
        ("sda2", 2, False),
    ]


def test_without_udevd_sysfs_tells_model_serial_wwn_and_transport(recorded: ProbeRecorded) -> None:
    sda, sdb = recorded("no-udevd").machine.disks
    assert (sda.model, sda.serial, sda.wwn) == ("ST1000NM0011", "Z1N0A1B2", "0x5000c5004a1b2c3d")
    assert (sda.transport, sdb.transport) == (Transport.SATA, Transport.PATA)


def test_without_udevd_a_drive_with_removable_media_is_not_opened(recorded: ProbeRecorded) -> None:
    probed = {command[-1] for command in recorded("no-udevd").commands if command[0] == "blkid"}
    assert probed == {"/dev/sda", "/dev/sda1", "/dev/sda2", "/dev/sdb"}


def test_with_udevd_no_disk_is_opened_by_blkid(recorded: ProbeRecorded) -> None:
    assert not [command for command in recorded("sata-lvm-server").commands if command[0] == "blkid"]


def test_block_drivers_are_told_from_character_drivers() -> None:
    text = "Character devices:\n  1 mem\n  7 vcs\n\nBlock devices:\n  7 loop\n259 blkext\n"
    assert block_drivers(text) == {"7": "loop", "259": "blkext"}


def test_a_multipath_disk_without_kpartx_shows_the_partitions_of_a_path() -> None:
    def device(name: str, parent: str | None, slaves: tuple[str, ...], **properties: str) -> BlockDevice:
        nowhere = Path("/nonexistent") / name
        return BlockDevice(
            name, Path("/dev") / name, nowhere, "0:0", 512, parent is not None, parent, (), slaves, properties
        )

    mpatha = device("dm-0", None, ("sdb", "sdc"), DM_UUID="mpath-3600", DM_NAME="mpatha")
    path, part = device("sdb", None, ()), device("sdb1", "sdb", (), PARTN="1", ID_FS_TYPE="ext4")
    devices = BlockDevices({found.name: found for found in (mpatha, path, part)})
    assert [(found.number, found.content) for found in partitions_of(mpatha, devices)] == [(1, Content("ext4"))]


def test_a_recorded_san_disk_has_its_own_links_and_those_of_its_paths(recorded: ProbeRecorded) -> None:
    machine = recorded("multipath-san-host").machine
    links = {link: disk.name for disk in machine.disks for link in disk.links}
    assert links["/dev/disk/by-id/dm-uuid-mpath-3600507680c80821cf000000000000000"] == "mpatha"
    assert links["/dev/disk/by-path/pci-0000:05:00.0-fc-0x500507680c10-lun-0"] == "mpatha"
    for link, name in links.items():
        found = find_named(link, machine.nameable)
        assert found is not None and found.name == name
