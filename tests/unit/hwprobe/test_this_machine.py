"""The machine that the tests run on: what is true of any machine. And the tools that probing runs."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from p2v_tui.hwprobe import Machine, Places, probe
from p2v_tui.hwprobe.blockdev import blkid_properties, unescaped
from p2v_tui.hwprobe.exclusion import RUNS_FROM_HERE
from p2v_tui.hwprobe.places import run_tool

pytestmark = pytest.mark.xdist_group("devices")


@pytest.fixture(scope="module")
def machine() -> Machine:
    return probe()


def test_sizes_are_whole_sectors_and_only_excluded_devices_are_empty(machine: Machine) -> None:
    for disk in machine.disks:
        assert disk.size > 0 and disk.size % 512 == 0
        assert disk.logical_sector_size % 512 == 0
        assert all(part.size % 512 == 0 for part in disk.partitions)
    assert all(excluded.size % 512 == 0 and excluded.reason for excluded in machine.excluded)


def test_no_device_is_both_offered_and_left_out(machine: Machine) -> None:
    offered = [disk.name for disk in machine.disks]
    assert len(set(offered)) == len(offered)
    assert not set(offered) & {excluded.name for excluded in machine.excluded}


def test_the_disk_that_we_run_from_is_not_offered(machine: Machine) -> None:
    root = next(mount for mount in psutil.disk_partitions(all=True) if mount.mountpoint == "/")
    if root.device.startswith("/dev/"):
        assert RUNS_FROM_HERE.reason in {excluded.reason for excluded in machine.excluded}
    offered = {disk.device for disk in machine.disks} | {
        disk.device.parent / part.name for disk in machine.disks for part in disk.partitions
    }
    assert Path(root.device) not in offered


def test_every_whole_block_device_is_accounted_for(machine: Machine) -> None:
    seen = {disk.name for disk in machine.disks} | {excluded.name for excluded in machine.excluded}
    seen |= {medium.name for medium in machine.removable}
    mapped = {entry.name for entry in Path("/sys/block").iterdir() if (entry / "dm").exists()}
    hidden = {entry.name for entry in Path("/sys/block").glob("*") if (entry / "hidden").read_text().strip() == "1"}
    kernels = {entry.name.replace("!", "/") for entry in Path("/sys/block").iterdir()} - mapped - hidden
    assert kernels <= seen


def test_the_topology_multiplies_to_the_processors_on_line(machine: Machine) -> None:
    assert machine.cpu.topology.processors == machine.cpu.online
    assert machine.cpu.online == psutil.cpu_count()


def test_memory_is_at_least_what_the_kernel_uses(machine: Machine) -> None:
    total = psutil.virtual_memory().total
    assert total <= machine.memory <= total + max(2 << 30, total // 4)


def test_interfaces_have_addresses_in_lower_case(machine: Machine) -> None:
    for interface in machine.interfaces:
        assert len(interface.mac) == 17 and interface.mac == interface.mac.lower()
        assert interface.name != "lo"


def test_the_host_name_is_cut_at_the_first_dot(machine: Machine) -> None:
    assert "." not in machine.hostname
    assert probe(Places(hostname=lambda: "db1.example.org")).hostname == "db1"


def test_a_place_with_nothing_in_it_gives_an_empty_machine_and_no_error(tmp_path: Path) -> None:
    empty = probe(Places(sys=tmp_path, proc=tmp_path, dev=tmp_path, run=lambda _command: None))
    assert empty.disks == () and empty.groups == ()
    assert empty.cpu.topology.processors == empty.cpu.online


def test_a_tool_that_is_missing_fails_or_hangs_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_tool(["/nonexistent/tool"]) is None
    assert run_tool(["false"]) is None
    monkeypatch.setattr("p2v_tui.hwprobe.places.TOOL_SECONDS", 0.05)
    assert run_tool(["sleep", "10"]) is None


def test_blkid_itself_tells_what_is_on_an_image_in_udevs_words(tmp_path: Path) -> None:
    swap = bytearray(1 << 20)
    # The header of a swap area: its signature ends the first page, version 1 and the last page's number follow it.
    swap[4086:4096] = b"SWAPSPACE2"
    swap[1024:1032] = (1).to_bytes(4, "little") + (255).to_bytes(4, "little")
    swap[1052:1060] = b"my \xc3\xa4rea"
    image = tmp_path / "swap.img"
    image.write_bytes(swap)
    found = blkid_properties(image, Places())
    assert found["ID_FS_TYPE"] == "swap"
    assert unescaped(found["ID_FS_LABEL_ENC"]) == "my ärea"


def test_a_tool_gives_its_standard_output_in_the_c_locale() -> None:
    assert run_tool(["sh", "-c", "echo $LC_ALL; echo noise >&2"]) == "C\n"
