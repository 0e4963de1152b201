"""Processors, memory and the clock: of recorded machines, and in the cases that those do not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.hwprobe import Clock, ClockBasis, Places
from p2v_tui.hwprobe.clock import read_clock
from p2v_tui.hwprobe.cpu import numbers_in, read_cpu
from p2v_tui.hwprobe.machine import Memory, MemorySource, Topology
from p2v_tui.hwprobe.memory import installed_memory, module_size, read_memory
from tests.unit.hwprobe.conftest import ProbeRecorded

GIB = 1 << 30
MIB = 1 << 20


@pytest.mark.parametrize(
    ("machine", "topology"),
    [
        ("sata-lvm-server", (2, 4, 2)),
        ("cciss-md-server", (2, 1, 2)),
        ("imsm-workstation", (1, 4, 2)),
        ("pata-pc", (1, 1, 1)),
        ("nvme-luks-laptop", (1, 8, 1)),
        ("multipath-san-host", (1, 6, 1)),
    ],
    ids=["two sockets", "numbered apart", "threads", "unknown", "unlike cores", "unlike sockets"],
)
def test_the_topology_is_the_machines_or_flat(
    recorded: ProbeRecorded, machine: str, topology: tuple[int, int, int]
) -> None:
    cpu = recorded(machine).machine.cpu
    assert cpu.topology == Topology(*topology)
    assert cpu.topology.processors == cpu.online


@pytest.mark.parametrize(
    ("machine", "vendor"), [("sata-lvm-server", "Intel"), ("multipath-san-host", "AMD"), ("mixed", "Hygon")]
)
def test_the_vendor_has_libvirts_name(recorded: ProbeRecorded, machine: str, vendor: str) -> None:
    assert recorded(machine).machine.cpu.vendor == vendor


def test_flags_model_and_acpi_are_read(recorded: ProbeRecorded) -> None:
    cpu = recorded("sata-lvm-server").machine.cpu
    assert {"pae", "apic", "aes"} <= cpu.flags
    assert cpu.model_name == "Intel(R) Xeon(R) CPU           E5620  @ 2.40GHz"
    assert cpu.acpi and not recorded("pata-pc").machine.cpu.acpi


def test_an_unknown_vendor_has_no_name_for_libvirt(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nvendor_id\t: CentaurHauls\nflags\t\t: fpu\n\n")
    cpu = read_cpu(Places(sys=tmp_path, proc=tmp_path))
    assert cpu.vendor is None and cpu.flags == {"fpu"}


def test_a_processor_off_line_does_not_count_as_a_thread(tmp_path: Path) -> None:
    cpus = tmp_path / "devices/system/cpu"
    for number, siblings in enumerate(("0-1", "0-1", "2-3", "2-3")):
        topology = cpus / f"cpu{number}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{number // 2}\n")
        (topology / "core_cpus_list").write_text(siblings)
    (cpus / "online").write_text("0,2\n")
    cpu = read_cpu(Places(sys=tmp_path, proc=tmp_path))
    assert (cpu.topology, cpu.online) == (Topology(2, 1, 1), 2)


def test_the_kernels_lists_of_numbers_are_understood() -> None:
    assert numbers_in("0-3,8") == {0, 1, 2, 3, 8}
    assert numbers_in("5") == {5}
    assert numbers_in("") == frozenset()


@pytest.mark.parametrize(
    ("machine", "installed"),
    [
        ("sata-lvm-server", 23 * GIB),
        ("multipath-san-host", 96 * GIB),
        ("pata-pc", 1 * GIB),
        ("nvme-luks-laptop", 16 * GIB),
        ("cciss-md-server", 3949 * MIB),
        ("imsm-workstation", 15933 * MIB),
    ],
    ids=["modules", "large modules", "modules in KiB", "blocks", "MemTotal", "mirrored"],
)
def test_memory_is_what_is_installed(recorded: ProbeRecorded, machine: str, installed: int) -> None:
    assert recorded(machine).machine.memory == installed


def with_modules(tmp_path: Path, *gib: int) -> None:
    """Modules of these sizes in one array of system memory."""
    table = tmp_path / "firmware/dmi/entries"
    for name, raw in {"16-0": b"\x10\x17\x00\x10\x03\x03", **_modules_of(gib)}.items():
        (table / name).mkdir(parents=True)
        (table / name / "raw").write_bytes(raw.ljust(0x20, b"\0"))


def _modules_of(gib: tuple[int, ...]) -> dict[str, bytes]:
    return {
        f"17-{number}": b"\x11\x28\x00\x11\x00\x10".ljust(0x0C, b"\0") + (size * 1024).to_bytes(2, "little")
        for number, size in enumerate(gib)
    }


@pytest.mark.parametrize(
    ("modules", "blocks", "total", "memory"),
    [
        # HP BL460c Gen8: a rank in reserve. Dell R805, Intel S5520UR: the same, or mirrored in part.
        ([16] * 16, 224 * 8, 220, Memory(224 * GIB, MemorySource.BLOCKS)),
        ([8] * 16, 112 * 8, 110, Memory(112 * GIB, MemorySource.BLOCKS)),
        ([8] * 12, 80 * 8, 78, Memory(80 * GIB, MemorySource.BLOCKS)),
        ([8] * 4, 32 * 8, 31, Memory(32 * GIB, MemorySource.MODULES)),
        # A block at the hole for devices is there by half.
        ([8] * 4, 32 * 8 + 1, 31, Memory(32 * GIB, MemorySource.MODULES)),
        # The list lacks a module.
        ([8] * 3, 32 * 8, 31, Memory(32 * GIB, MemorySource.BLOCKS)),
        ([8] * 4, 0, 31, Memory(32 * GIB, MemorySource.MODULES)),
        ([], 0, 31, Memory(31 * GIB, MemorySource.IN_USE)),
    ],
)
def test_what_the_firmware_mapped_goes_before_what_is_printed_on_modules(
    tmp_path: Path, modules: list[int], blocks: int, total: int, memory: Memory
) -> None:
    with_modules(tmp_path, *modules)
    memory_of(tmp_path, total << 20, blocks)
    assert read_memory(Places(sys=tmp_path, proc=tmp_path)) == memory


def memory_of(tmp_path: Path, total_kib: int, blocks: int) -> int:
    (tmp_path / "meminfo").write_text(f"MemTotal:       {total_kib} kB\n")
    for number in range(blocks):
        block = tmp_path / f"devices/system/memory/memory{number}"
        block.mkdir(parents=True)
        (block / "state").write_text("online\n")
    if blocks:
        (tmp_path / "devices/system/memory/block_size_bytes").write_text("8000000\n")
    return installed_memory(Places(sys=tmp_path, proc=tmp_path))


def test_a_total_of_whole_mebibytes_is_not_rounded_further(tmp_path: Path) -> None:
    assert memory_of(tmp_path, 2048, 0) == 2 * MIB


def test_memory_blocks_that_are_less_than_what_the_kernel_uses_are_not_believed(tmp_path: Path) -> None:
    assert memory_of(tmp_path, 1000 * 1024, 7) == 1000 * MIB


def test_memory_blocks_that_are_far_more_than_what_the_kernel_uses_are_not_believed(tmp_path: Path) -> None:
    assert memory_of(tmp_path, 1000 * 1024, 80) == 1000 * MIB


def test_an_empty_slot_and_an_unknown_size_count_for_nothing() -> None:
    assert module_size(bytes(0x28)) == 0
    assert module_size(bytes(0x0C) + b"\xff\xff" + bytes(0x1A)) == 0


NOW = 1795433400.0


def clock_at(tmp_path: Path, difference: float, zone: int = 0) -> Clock:
    rtc = tmp_path / "class/rtc/rtc0"
    rtc.mkdir(parents=True)
    (rtc / "since_epoch").write_text(f"{int(NOW + difference)}\n")
    return read_clock(Places(sys=tmp_path, now=lambda: NOW, local_offset=lambda _moment: zone))


@pytest.mark.parametrize(
    ("difference", "offset"),
    [(0, 0), (-90, 0), (540, 0), (7203, 7200), (-18001, -18000), (20700, 20700), (50400, 50400)],
)
def test_a_clock_off_by_a_time_zone_has_that_offset(tmp_path: Path, difference: int, offset: int) -> None:
    assert clock_at(tmp_path, difference) == Clock(ClockBasis.UTC, offset)


@pytest.mark.parametrize("difference", [4000, -50400, 86400 * 365, 15 * 3600])
def test_a_clock_that_no_time_zone_explains_has_no_basis(tmp_path: Path, difference: int) -> None:
    assert clock_at(tmp_path, difference) == Clock(ClockBasis.UNKNOWN, 0)


def test_a_clock_in_the_live_systems_own_zone_runs_in_local_time(tmp_path: Path) -> None:
    assert clock_at(tmp_path, 3601, zone=3600) == Clock(ClockBasis.LOCALTIME, 0)


def test_a_clock_in_utc_is_not_local_time_though_the_live_system_is_in_utc_too(tmp_path: Path) -> None:
    assert clock_at(tmp_path, 1, zone=0) == Clock(ClockBasis.UTC, 0)


def test_a_machine_without_a_clock_has_no_basis(tmp_path: Path) -> None:
    assert read_clock(Places(sys=tmp_path)) == Clock(ClockBasis.UNKNOWN, 0)


def test_the_recorded_clocks_are_read(recorded: ProbeRecorded) -> None:
    assert recorded("nvme-luks-laptop").machine.clock == Clock(ClockBasis.UTC, 7200)
    assert recorded("imsm-workstation").machine.clock == Clock(ClockBasis.UTC, -18000)
    assert recorded("no-udevd").machine.clock == Clock(ClockBasis.UNKNOWN, 0)
