"""Disks, drives and interfaces on the conversion screen: what is shown, checked, and comes and goes."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path

import pytest

from p2v_tui.hwprobe.machine import (
    Clock,
    ExcludedDisk,
    Machine,
    NetworkInterface,
)
from p2v_tui.kinds import NetworkMap
from p2v_tui.screens.device_lists import DiskList
from tests.screens.conftest import screen_text, wait_until
from tests.screens.conversion_screen import (
    BACKUP,
    CARD,
    DB1,
    EM1,
    EM2,
    NVME,
    SDA,
    SDB,
    SDC,
    MadeUpState,
    opened,
)
from tests.unit.machines import DISKLESS


async def test_disks_show_what_they_are_and_what_is_on_them() -> None:
    async with opened(size="132x43") as it:
        text = screen_text(it.app)
        for words in (
            "[x] sda  500 GB  ST500DM002-1BD142  SATA",
            'serial Z3TA1B2C: Linux (EFI, ext4 "boot", LVM vg0)',
            "[x] sdb  1 TB  HITACHI HUS72  SAS",
            "[x] nvme0n1  275 GB  PM981  NVMe",
            'NTFS "Windows", ext4 "root"',
            "sdz (8.6 GB): p2v-tui runs from it",
            "loop1, loop2: loop device",
            "sdr (0 bytes): no medium",
            "[x] em1  52:54:00:00:00:01  link up",
            "Intel Corporation I350 Gigabit",
            "[x] em2  52:54:00:00:00:02  link down",
            "driver tg3",
            "[x] sr0  CD or DVD drive",
            "[x] fd0  floppy drive",
        ):
            assert words in text
        assert "loop0" not in text


async def test_half_of_a_group_is_warned_of_at_once_and_goes_into_the_plan_with_that_warning() -> None:
    async with opened() as it:
        await it.switch("sda")
        warning = "Warning: LVM volume group vg0 also needs sda. Check all of its disks or none."
        assert it.status == warning
        assert it.line("disks-warning") == warning
        await it.press("start")
        assert it.app.started == 1
        assert it.state.plan is not None
        assert [check.key for check in it.state.plan.checks] == ["groups"]


async def test_none_of_a_group_needs_no_warning() -> None:
    async with opened() as it:
        await it.switch("sda")
        await it.switch("sdb")
        assert it.status == it.line("disks-warning") == ""
        await it.press("start")
        assert it.app.started == 1
        assert it.state.settings.disks == ("nvme0n1",)


async def test_no_disk_at_all_is_refused() -> None:
    async with opened() as it:
        for name in ("sda", "sdb", "nvme0n1"):
            await it.switch(name)
        await it.press("start")
        assert it.status == "No fixed disk is chosen. Check at least one."
        assert it.focused is it.toggle("sda")


async def test_a_machine_without_disks_is_refused() -> None:
    async with opened(MadeUpState(DISKLESS)) as it:
        await it.press("start")
        assert it.status == "No fixed disk was found to convert. Plug one in, or load its driver in the shell (F2)."
        assert it.focused.id == "refresh"


async def test_a_disk_that_cannot_be_read_gets_the_focus() -> None:
    broken = dataclasses.replace(NVME, device=Path("/dev/no-such-disk"))
    async with opened(MadeUpState(dataclasses.replace(DB1, disks=(SDA, SDB, broken)))) as it:
        await it.press("start")
        assert it.status.startswith("The disk nvme0n1 cannot be read")
        assert it.focused is it.toggle("nvme0n1")


async def test_the_plan_is_what_was_chosen() -> None:
    async with opened() as it:
        await it.type("guestname", "web")
        await it.switch("nvme0n1")
        await it.switch("fd0")
        await it.switch("em1")
        it.interface("em2").network.input.focus()
        await it.pilot.press("end", *["backspace"] * 7, *"blue")
        await it.press("start")
        plan = it.state.plan
        assert plan is not None
        assert plan.guest.name == "web"
        assert [disk.name for disk in plan.disks] == ["sda", "sdb"]
        assert [medium.name for medium in plan.guest.removable] == ["sr0"]
        assert [(it.name, it.network) for it in plan.guest.interfaces] == [("em2", "blue")]
        assert it.app.started == 1


async def test_a_network_that_cannot_be_said_gets_the_focus() -> None:
    async with opened() as it:
        it.interface("em2").network.input.focus()
        await it.pilot.press(*",x:y")
        await it.press("start")
        assert it.focused is it.interface("em2").network.input
        assert it.app.started == 0
        assert it.status


async def test_networks_are_kept_by_interface() -> None:
    async with opened() as it:
        it.interface("em2").network.input.focus()
        await it.pilot.press("2")
        assert it.screen.settings().network_map == NetworkMap((("em2", "default2"),))
        it.interface("em1").network.input.focus()
        await it.pilot.press("2")
        assert it.screen.settings().network_map == NetworkMap((), "default2")


async def test_the_order_of_the_command_line_chooses_the_boot_disk() -> None:
    async with opened(MadeUpState(words="p2v.disks=/dev/nvme0n1,sda,sdb")) as it:
        assert [name for name, _ in it.names("disks")] == ["nvme0n1", "sda", "sdb"]
        await it.press("start")
        assert it.state.settings.disks == ("nvme0n1", "sda", "sdb")


async def test_a_disk_of_the_command_line_that_is_not_there_is_shown_and_refused() -> None:
    async with opened(MadeUpState(words="p2v.disks=nvme0n1,sdq")) as it:
        assert it.toggle("sdq").label == "sdq  not found on this machine"
        await it.press("start")
        assert "The fixed disk sdq was not found" in it.status
        assert it.focused is it.toggle("sdq")
        await it.switch("sdq")
        await it.press("start")
        assert it.app.started == 1


async def test_an_image_stands_in_for_the_disks(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(b"x" * 512)
    async with opened(MadeUpState(image=image)) as it:
        assert it.names("disks") == [(str(image), True)]
        await it.press("start")
        assert it.state.plan is not None
        assert [disk.device for disk in it.state.plan.disks] == [image]
        assert it.state.settings.disks is None


# Devices that come and go.


async def test_a_new_disk_comes_checked_and_what_was_chosen_stays() -> None:
    async with opened() as it:
        await it.switch("nvme0n1")
        await it.type("guestname", "typed")
        focused = it.focused
        it.state.found = dataclasses.replace(DB1, disks=(*DB1.disks, SDC))
        await it.look()
        assert it.names("disks") == [("sda", True), ("sdb", True), ("nvme0n1", False), ("sdc", True)]
        assert it.status == "New disk: sdc."
        assert it.field("guestname").value == "typed"
        assert it.focused is focused


async def test_a_disk_on_usb_comes_unchecked_with_the_reason() -> None:
    async with opened(MadeUpState(dataclasses.replace(DB1, disks=(*DB1.disks, BACKUP))), size="132x43") as it:
        assert it.names("disks")[-1] == ("sdu", False)
        assert "Left out by default: on USB" in screen_text(it.app)
        await it.switch("sdu")
        assert it.screen.settings().disks == ("sda", "sdb", "nvme0n1", "sdu")


async def test_what_was_left_out_by_a_guess_can_be_checked_and_is_warned_of() -> None:
    left_out = ExcludedDisk("mmcblk0", CARD.size, "removable medium", disk=CARD, risk="It may be another's.")
    machine = dataclasses.replace(DB1, excluded=(left_out,))
    async with opened(MadeUpState(machine), size="132x43") as it:
        assert it.names("disks")[-1] == ("mmcblk0", False)
        assert "Left out by default: removable medium" in screen_text(it.app)
        await it.switch("mmcblk0")
        await it.press("start")
        assert it.state.plan is not None
        assert [check.key for check in it.state.plan.checks] == ["left-out"]


async def test_a_disk_that_has_gone_goes() -> None:
    async with opened() as it:
        it.toggle("nvme0n1").focus()
        it.state.found = dataclasses.replace(DB1, disks=(SDA, SDB))
        await it.look()
        assert it.names("disks") == [("sda", True), ("sdb", True)]
        assert it.status == "Gone: nvme0n1."
        await it.pilot.press("tab")
        assert it.focused in it.screen.focus_chain


async def test_another_disk_of_the_same_name_is_a_new_one() -> None:
    async with opened() as it:
        await it.switch("nvme0n1")
        it.state.found = dataclasses.replace(DB1, disks=(SDA, SDB, dataclasses.replace(NVME, serial="other")))
        await it.look()
        assert it.names("disks")[2] == ("nvme0n1", True)
        assert it.status == "New disk: nvme0n1. Gone: nvme0n1."


async def test_a_cable_shows() -> None:
    async with opened() as it:
        it.state.found = dataclasses.replace(DB1, interfaces=(EM1, dataclasses.replace(EM2, carrier=True)))
        await it.look()
        assert it.status == "em2: link up."
        assert it.toggle("em2").label.endswith("link up")


async def test_what_the_screen_does_not_show_is_not_told() -> None:
    async with opened() as it:
        said = it.status
        it.state.found = dataclasses.replace(DB1, clock=Clock(offset=7))
        await it.look()
        assert it.status == said


async def test_interfaces_and_drives_come_and_go() -> None:
    async with opened() as it:
        it.state.found = dataclasses.replace(
            DB1, interfaces=(EM1, NetworkInterface("em3", "52:54:00:00:00:03")), removable=DB1.removable[:1]
        )
        await it.look()
        assert it.status == "Gone: fd0. New network interface: em3. Gone: em2."
        assert it.names("interfaces") == [("em1", True), ("em3", True)]
        assert it.names("removable") == [("sr0", True)]


@pytest.mark.parametrize("key", ["f5", "ctrl+r", "the action"])
async def test_refresh_says_what_changed(key: str) -> None:
    async def refresh() -> None:
        if key == "the action":
            await it.press("refresh")
        else:
            await it.pilot.press(key)
        await wait_until(it.pilot, lambda: not it.state.jobs.busy)
        await it.pilot.pause()

    async with opened() as it:
        await refresh()
        assert it.status == "Looked again: nothing has changed."
        it.state.found = dataclasses.replace(DB1, disks=(*DB1.disks, SDC))
        await refresh()
        assert it.status == "New disk: sdc."


async def test_a_change_during_a_look_makes_another_one_follow() -> None:
    looking, go_on = threading.Event(), threading.Event()

    class SlowState(MadeUpState):
        def look_again(self) -> Machine:
            found = super().look_again()
            if self.looks == 2:
                looking.set()
                go_on.wait(10)
            return found

    async with opened(SlowState()) as it:
        it.app.watches[-1].changed()
        await wait_until(it.pilot, looking.is_set)
        it.state.found = dataclasses.replace(DB1, disks=(*DB1.disks, SDC))
        it.app.watches[-1].changed()
        await it.pilot.pause()
        go_on.set()
        await wait_until(it.pilot, lambda: it.status == "New disk: sdc.")
        assert it.state.looks == 3


async def test_below_another_screen_it_looks_only_when_it_is_seen_again() -> None:
    async with opened() as it:
        await it.press("arguments")
        looks = it.state.looks
        it.app.watches[-1].changed()
        await it.pilot.pause()
        assert it.state.looks == looks
        await it.pilot.press("escape")
        await wait_until(it.pilot, lambda: it.state.looks == looks + 1)


async def test_the_watch_ends_with_the_screen() -> None:
    async with opened() as it:
        await it.pilot.press("escape")
        await wait_until(it.pilot, lambda: it.app.watches[-1].stopped)
        it.app.watches[-1].changed()
        await it.pilot.pause()


async def test_a_device_that_comes_while_the_program_ends_disturbs_nothing() -> None:
    async with opened() as it:
        leaving = asyncio.Event()

        async def show() -> None:
            await leaving.wait()
            it.state.found = dataclasses.replace(DB1, disks=(*DB1.disks, SDC))
            await it.screen.query_one("#disks", DiskList).show(it.state.found, None, None)

        it.screen.work_on(show())
        it.app.exit()
        leaving.set()
    assert it.app.return_code == 0
