"""The conversion screen on made-up machines: what it shows, what it refuses, and what it makes of the choices."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot
from textual.widget import Widget

from p2v_tui import cmdline
from p2v_tui.app import P2VTui
from p2v_tui.config import Settings
from p2v_tui.errors import P2VError, SettingsError
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.front.port_blinking import CannotBlink
from p2v_tui.hwprobe.machine import (
    Clock,
    Content,
    Disk,
    DiskGroup,
    ExcludedDisk,
    Machine,
    NetworkInterface,
    Partition,
    Transport,
)
from p2v_tui.kinds import NetworkMap
from p2v_tui.screens import conversion
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.device_lists import DeviceList, InterfaceRow
from p2v_tui.screens.dialogs import Dialog
from p2v_tui.screens.key_fields import KeyFields
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action, Choice, FormField, Line, Toggle
from p2v_tui.session.plan import volume_keys
from p2v_tui.session.plan.output_modes import OUTPUT_MODES
from p2v_tui.session.plan.plan import fill_in, make_plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.directory_checks import STORAGE
from p2v_tui.session.preflight.output_checks import EXISTING
from p2v_tui.session.preflight.preflight import ChecksRefused
from p2v_tui.session.preflight.server_checks import PROGRAMS
from tests.lab.encrypted_disk import luks_disk
from tests.screens.conftest import SIZES, screen_lines, screen_text, wait_until
from tests.screens.scripted_conversion import NoServer, ScriptedConversion, plan
from tests.unit.machines import DISKLESS, GIB, SERVER

MODES = tuple(sorted(name for mode in OUTPUT_MODES for name in mode.names[:1]))
VIRT_V2V = VirtV2V("2.2.0", frozenset({"virt-v2v"}), MODES)

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
SDA = Disk(
    "sda",
    Path("/dev/null"),
    500_107_862_016,
    model="ST500DM002-1BD142",
    serial="Z3TA1B2C",
    transport=Transport.SATA,
    partition_table="gpt",
    partitions=(
        Partition("sda1", 1, GIB, ESP, content=Content("vfat")),
        Partition("sda2", 2, GIB, content=Content("ext4", label="boot")),
        Partition("sda3", 3, 463 * GIB, content=Content("LVM2_member")),
    ),
)
SDB = Disk(
    "sdb",
    Path("/dev/zero"),
    1_000_204_886_016,
    model="HITACHI HUS72",
    serial="B4",
    transport=Transport.SAS,
    content=Content("LVM2_member"),
)
NVME = Disk(
    "nvme0n1",
    Path("/dev/full"),
    256 * GIB,
    model="PM981",
    transport=Transport.NVME,
    partitions=(
        Partition("nvme0n1p1", 1, GIB, content=Content("ntfs", label="Windows")),
        Partition("nvme0n1p2", 2, GIB, content=Content("ext4", label="root")),
    ),
)
UUID = "1b6e1c0e-0d5f-4b5d-9b0a-0c5d5a0f3a11"
LOCKED = Disk(
    "sdl",
    Path("/dev/urandom"),
    256 * GIB,
    model="MZ7LM",
    transport=Transport.SATA,
    partitions=(
        Partition("sdl1", 1, GIB, content=Content("ntfs", label="Windows")),
        Partition("sdl2", 2, GIB, content=Content("BitLocker")),
        Partition("sdl3", 3, GIB, content=Content("crypto_LUKS", UUID)),
    ),
)
EM1 = NetworkInterface("em1", "52:54:00:00:00:01", "Intel Corporation", "I350 Gigabit", "igb", carrier=True)
EM2 = NetworkInterface("em2", "52:54:00:00:00:02", driver="tg3", carrier=False)
DB1 = dataclasses.replace(
    SERVER,
    disks=(SDA, SDB, NVME),
    excluded=(
        ExcludedDisk("sdz", 8 * GIB, "p2v-tui runs from it", "Flash"),
        ExcludedDisk("loop0", 0, "loop device: a file that looks like a disk"),
        ExcludedDisk("loop1", GIB, "loop device: a file that looks like a disk"),
        ExcludedDisk("loop2", GIB, "loop device: a file that looks like a disk"),
        ExcludedDisk("sdr", 0, "no medium in the drive", "Card reader"),
    ),
    groups=(DiskGroup("LVM volume group", "vg0", frozenset({"sda", "sdb"})),),
    interfaces=(EM1, EM2),
)
ENCRYPTED = dataclasses.replace(DB1, disks=(NVME, LOCKED), groups=())
SDC = Disk("sdc", Path("/dev/random"), 2 * GIB, model="SanDisk", transport=Transport.SATA)
BACKUP = dataclasses.replace(SDC, name="sdu", transport=Transport.USB)
CARD = dataclasses.replace(SDC, name="mmcblk0", transport=Transport.MMC)


class MadeUpState(State):
    """A State that finds the machine that the test puts into `found`."""

    def __init__(
        self,
        found: Machine | Exception = DB1,
        words: str = "p2v.server=conv.example.com",
        virt_v2v: VirtV2V | None = VIRT_V2V,
        image: Path | None = None,
    ) -> None:
        super().__init__(cmdline.parse(words).settings, image=image, virt_v2v=virt_v2v)
        self.found = found
        self.looks = 0

    def machine(self) -> Machine:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def look_again(self) -> Machine:
        self.looks += 1
        return self.machine()


class MadeUpWatch:
    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True


class OneScreen(P2VTui):
    """The application with the conversion screen on top."""

    def __init__(self, state: State) -> None:
        super().__init__(state, rich=False)
        self.watches: list[MadeUpWatch] = []
        self.started = 0

    def watch_devices(self, changed: Callable[[], None]) -> MadeUpWatch:
        self.watches.append(MadeUpWatch(changed))
        return self.watches[-1]

    def on_ready(self) -> None:
        self.push_screen(ConversionScreen(self.state, watch=self.watch_devices))

    def action_start_conversion(self) -> None:
        self.started += 1


@dataclasses.dataclass
class Opened:
    """The screen on its application, and what tests do with it."""

    app: OneScreen
    pilot: Pilot[int]
    screen: ConversionScreen

    def field(self, name: str) -> FormField:
        return self.screen.query_one(f"#{name}", FormField)

    def line(self, name: str) -> str:
        line = self.screen.query_one(f"#{name}", Line)
        return line.text if line.display else ""

    @property
    def status(self) -> str:
        return self.line("status")

    @property
    def focused(self) -> Widget:
        assert self.screen.focused is not None
        return self.screen.focused

    def toggle(self, name: str) -> Toggle:
        return next(toggle for toggle in self.screen.query(Toggle) if toggle.name == name)

    def names(self, part: str) -> list[tuple[str, bool]]:
        """What a list shows, and whether it is checked."""
        rows = self.screen.query_one(f"#{part}", DeviceList).rows
        return [(row.row.name, row.checked) for row in rows]

    def interface(self, name: str) -> InterfaceRow:
        return next(row for row in self.screen.query(InterfaceRow) if row.row.name == name)

    async def type(self, name: str, text: str) -> None:
        """Replaces the text of a field; a key in it costs the tests too much time."""
        field = self.field(name)
        field.input.focus()
        field.value = text
        await self.pilot.pause()

    async def choose_mode(self, mode: str) -> None:
        choice = self.screen.query_one("#mode", Choice)
        choice.focus()
        steps = MODES.index(mode) - MODES.index(choice.value)
        await self.pilot.press(*["right" if steps > 0 else "left"] * abs(steps))
        assert choice.value == mode

    async def switch(self, name: str) -> None:
        self.toggle(name).focus()
        await self.pilot.press("space")

    async def press(self, action: str) -> None:
        self.screen.query_one(f"#{action}", Action).focus()
        await self.pilot.press("enter")
        await wait_until(self.pilot, lambda: not self.state.jobs.busy)
        await self.pilot.pause()

    async def look(self) -> None:
        """As the watch does when a device came or went."""
        looks = self.state.looks
        self.app.watches[-1].changed()
        await wait_until(self.pilot, lambda: self.state.looks > looks)
        await wait_until(self.pilot, lambda: not self.state.jobs.busy)
        await self.pilot.pause()

    @property
    def state(self) -> MadeUpState:
        assert isinstance(self.app.state, MadeUpState)
        return self.app.state


@asynccontextmanager
async def opened(state: State | None = None, size: str = "80x24") -> AsyncIterator[Opened]:
    app = OneScreen(state or MadeUpState())
    async with app.run_test(size=SIZES[size]) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, ConversionScreen))
        screen = app.screen
        assert isinstance(screen, ConversionScreen)
        await wait_until(pilot, lambda: not screen.looking)
        await pilot.pause()
        await pilot.pause()
        yield Opened(app, pilot, screen)


# What it looks like.


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_as_it_opens(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size=size) as it:
        assert screen_text(it.app) == snapshot


async def test_the_pages_of_80_columns(snapshot: SnapshotAssertion) -> None:
    async with opened() as it:
        await it.pilot.press("pagedown")
        assert screen_text(it.app) == snapshot(name="second")
        await it.pilot.press("pagedown")
        assert screen_text(it.app) == snapshot(name="third")


@pytest.mark.parametrize("size", SIZES)
async def test_a_mode_that_needs_much(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(MadeUpState(words="p2v.o=rhv-upload"), size) as it:
        assert screen_text(it.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_half_a_volume_group(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(size=size) as it:
        await it.switch("sdb")
        assert screen_text(it.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_the_kernel_arguments(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(MadeUpState(words="p2v.server=conv.example.com p2v.password=swordfish"), size) as it:
        await it.switch("nvme0n1")
        await it.type("memory", "4096")
        await it.press("arguments")
        assert screen_text(it.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_a_machine_with_nothing_to_convert(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(MadeUpState(DISKLESS), size) as it:
        if size == "80x24":
            await it.pilot.press("pagedown")
        assert screen_text(it.app) == snapshot


async def test_it_says_that_it_looks_at_the_machine_and_the_keys_work_meanwhile() -> None:
    looking = threading.Event()

    class SlowState(MadeUpState):
        def machine(self) -> Machine:
            looking.wait(10)
            return super().machine()

    app = OneScreen(SlowState())
    async with app.run_test(size=SIZES["80x24"]) as pilot:
        try:
            await wait_until(pilot, lambda: "Looking at the machine..." in screen_text(app))
            assert "Guest name" not in screen_text(app)
            await pilot.press("f1")
            await wait_until(pilot, lambda: isinstance(app.screen, Dialog))
            await pilot.press("escape")
        finally:
            looking.set()
        await wait_until(pilot, lambda: "[db1" in screen_text(app))


async def test_a_machine_that_cannot_be_looked_at_is_told_and_may_be_tried_again() -> None:
    state = MadeUpState(OSError("udev is \x1b[31mnot there"))
    async with opened(state) as it:
        assert it.status.startswith("This machine could not be examined: This machine's system refused")
        assert "(udev is not there)" in it.status
        assert it.status.endswith("F5 or Ctrl-R looks again.")
        state.found = DB1
        await it.pilot.press("f5")
        await wait_until(it.pilot, lambda: it.field("guestname").value == "db1")


async def test_every_character_is_one_that_every_console_has() -> None:
    nasty = "caf\u00e9 \u2588\x1b[31m[bold]x[/]\x07\u202e" + "long " * 40
    machine = dataclasses.replace(
        DB1,
        disks=(
            dataclasses.replace(SDA, model=nasty, serial=nasty, partitions=(), content=Content("ext4", label=nasty)),
            SDB,
        ),
        excluded=(ExcludedDisk("sdz", GIB, nasty, nasty),),
        groups=(DiskGroup("LVM volume group", nasty, frozenset({"sda", "sdb"})),),
        interfaces=(dataclasses.replace(EM1, vendor=nasty, model=nasty),),
    )
    for size in SIZES:
        async with opened(MadeUpState(machine, virt_v2v=dataclasses.replace(VIRT_V2V, version=nasty)), size) as it:
            for _ in range(5):
                text = screen_text(it.app)
                assert text.isascii() and text.replace("\n", "").isprintable(), text
                assert max(len(line) for line in screen_lines(it.app)) <= SIZES[size][0]
                await it.pilot.press("pagedown")
            await it.switch("sda")
            assert screen_text(it.app).isascii()
            assert it.toggle("sda").label.startswith("sda  500 GB  cafe ?[bold]x[/]long")


# Moving about.


async def test_the_focus_goes_top_down_and_is_always_in_view() -> None:
    async with opened() as it:
        seen: list[str] = []
        form = it.screen.query_one("#form").region
        for _ in range(60):
            focused = it.focused
            if focused.id == "guestname-input" and seen:
                break
            seen.append(focused.name or focused.id or "")
            if it.screen.query_one("#form") in focused.ancestors:
                assert form.contains_region(focused.region), seen
            await it.pilot.press("tab" if len(seen) % 2 else "down")
        numbered = [name.rstrip("0123456789-") if name.startswith(("network", "blink")) else name for name in seen]
        assert [name.removesuffix("-input").rstrip("0123456789-") for name in numbered] == [
            *("guestname", "vcpus", "topology", "memory", "firmware"),
            *("mode", "storage", "format", "allocation", "misc", "debug"),
            *("sda", "sdb", "nvme0n", "sr", "fd"),
            *("em", "network", "blink", "em", "network", "blink"),
            *("back", "start", "arguments", "refresh"),
        ]


async def test_the_focus_goes_back_up_as_well() -> None:
    async with opened() as it:
        form = it.screen.query_one("#form").region
        for _ in range(30):
            await it.pilot.press("up")
            if it.screen.query_one("#form") in it.focused.ancestors:
                assert form.contains_region(it.focused.region), it.focused


async def test_a_line_says_which_way_there_is_more() -> None:
    async with opened() as it:
        assert it.line("more").strip() == "v more below (PageUp, PageDown)"
        await it.pilot.press("pagedown")
        await wait_until(it.pilot, lambda: "^v more above and below" in it.line("more"))
        await it.pilot.press("pagedown", "pagedown")
        await wait_until(it.pilot, lambda: "^  more above (" in it.line("more"))
        await it.pilot.press("pageup", "pageup", "pageup")
        await wait_until(it.pilot, lambda: it.line("more").strip().startswith("v more below"))
        assert it.focused.id == "guestname-input"


async def test_where_all_is_seen_no_line_says_more() -> None:
    async with opened(size="132x43") as it:
        assert it.line("more") == ""


async def test_two_columns_from_120_on() -> None:
    async with opened() as it:
        left, right = it.screen.query_one("#left"), it.screen.query_one("#right")
        await it.pilot.resize_terminal(119, 40)
        await wait_until(it.pilot, lambda: right.region.y >= left.region.bottom)
        await it.pilot.resize_terminal(120, 40)
        await wait_until(it.pilot, lambda: right.region.x >= left.region.right and right.region.y == left.region.y)


async def test_space_enter_and_arrows_change_everything() -> None:
    async with opened() as it:
        await it.pilot.press("down", "down", "space", "down", "down", "down", "right")
        assert it.screen.query_one("#topology", Toggle).value
        assert it.screen.query_one("#mode", Choice).value == "null"
        await it.pilot.press("up", "left")
        assert it.screen.query_one("#firmware", Choice).value == "uefi"


@pytest.mark.parametrize("key", ["f1", "ctrl+w"])
async def test_help_is_about_the_field(key: str) -> None:
    async with opened(MadeUpState(words="p2v.o=vdsm")) as it:
        it.field("misc").input.focus()
        await it.pilot.press(key)
        await wait_until(it.pilot, lambda: "p2v.oo" in screen_text(it.app))
        assert "vdsm-image-uuid" in screen_text(it.app)


# The target.


async def test_the_fields_are_filled_from_the_machine() -> None:
    async with opened() as it:
        assert [it.field(name).value for name in ("guestname", "vcpus", "memory")] == ["db1", "16", "23552"]
        assert it.focused.id == "guestname-input"


async def test_the_fields_are_filled_from_the_kernel_command_line() -> None:
    words = (
        "p2v.name=web p2v.vcpu.cores=3 p2v.memory=2G p2v.target.firmware=uefi p2v.o=libvirt p2v.os=pool "
        "p2v.oa=sparse p2v.oc=qemu:///session p2v.of=qcow2 p2v.oo=a=b,c=d p2v.disks=nvme0n1 p2v.removable= "
        "p2v.interfaces=em2 p2v.network=em2:blue,red p2v.debug"
    )
    async with opened(MadeUpState(words=words)) as it:
        names = ("guestname", "vcpus", "memory", "connection", "storage", "misc")
        assert [it.field(name).value for name in names] == [
            *("web", "3", "2048", "qemu:///session", "pool", "a=b,c=d")
        ]
        choices = ("firmware", "mode", "format", "allocation")
        values = {name: it.screen.query_one(f"#{name}", Choice).value for name in choices}
        assert values == {"firmware": "uefi", "mode": "libvirt", "format": "qcow2", "allocation": "sparse"}
        assert it.names("disks") == [("nvme0n1", True), ("sda", False), ("sdb", False)]
        assert not any(checked for _, checked in it.names("removable"))
        assert it.names("interfaces") == [("em1", False), ("em2", True)]
        assert it.interface("em2").network.value == "blue"
        assert it.interface("em1").network.value == "red"
        assert it.screen.query_one("#debug", Toggle).value
        before = it.state.settings
        await it.press("start")
        again, first = make_plan(it.state.settings, DB1), make_plan(before, DB1)
        assert (again.guest, again.disks, again.output) == (first.guest, first.disks, first.output)
        assert it.state.settings.memory == before.memory


async def test_the_keyboard_edits_a_field() -> None:
    async with opened() as it:
        await it.pilot.press("end", "backspace", "2", "-", "x")
        assert it.field("guestname").value == "db2-x"
        await it.pilot.press("tab")
        assert "/var/tmp/db2-x.xml" in it.line("mode-note")


async def test_the_physical_topology_shows_its_number_and_closes_the_field() -> None:
    async with opened() as it:
        await it.type("vcpus", "5")
        it.screen.query_one("#topology").focus()
        await it.pilot.press("enter")
        assert it.field("vcpus").value == "16"
        assert it.field("vcpus").input.disabled
        assert it.line("vcpus-note") == "2 sockets x 4 cores x 2 threads, as in this machine."
        await it.pilot.press("enter")
        assert it.field("vcpus").value == "5"
        assert not it.field("vcpus").input.disabled
        await it.pilot.press("enter")
        await it.press("start")
        assert it.state.settings.phys_topo
        assert it.state.plan is not None
        assert it.state.plan.guest.topology.sockets == 2


@pytest.mark.parametrize(
    ("field", "text", "warning"),
    [
        ("vcpus", "16", ""),
        ("vcpus", "17", "Warning: this machine has only 16."),
        ("vcpus", "256", "i440fx machine runs at most 255."),
        ("vcpus", "289", "QEMU before 8.1 runs at most 288."),
        ("vcpus", "711", "RHEL 9 supports at most 710"),
        ("memory", "23552", ""),
        ("memory", "511", "less than 512 MB"),
        ("memory", "23553", "Warning: this machine has only 23552 MB."),
        ("memory", "67108865", "64 TiB"),
        ("memory", "32G", "Warning: this machine has only 23552 MB."),
        ("memory", "nonsense", ""),
    ],
)
async def test_what_kvm_may_not_take_is_warned_of_and_not_refused(field: str, text: str, warning: str) -> None:
    async with opened() as it:
        await it.type(field, text)
        note = it.line(f"{field}-note")
        assert warning in note if warning else not note
        await it.press("start")
        assert it.app.started == (text != "nonsense")


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("guestname", "", "is empty"),
        ("guestname", "-x", "is not a valid guest name"),
        ("vcpus", "0", "below the limit"),
        ("vcpus", "many", "not a whole number"),
        ("memory", "1", "too little"),
        ("memory", "", "not a size"),
        ("memory", "1M", "Give megabytes, from 64 on"),
        ("misc", "a=b,,c=d", "has an empty item"),
    ],
)
async def test_a_wrong_value_gets_the_focus_and_the_reason(field: str, text: str, message: str) -> None:
    async with opened() as it:
        await it.type(field, text)
        await it.press("start")
        assert message in it.status
        assert it.focused is it.field(field).input
        assert it.app.started == 0
        assert it.state.plan is None


async def test_what_is_wrong_in_a_field_that_the_mode_hides_does_not_matter() -> None:
    async with opened() as it:
        await it.type("misc", "a=b,,c=d")
        await it.choose_mode("null")
        await it.press("start")
        assert it.app.started == 1


async def test_a_relative_storage_is_refused_on_this_screen_and_its_field_has_the_focus() -> None:
    async with opened() as it:
        await it.type("storage", "guests")
        await it.press("start")
        assert "p2v.os=guests is not an absolute path" in it.status
        assert it.focused is it.field("storage").input
        assert it.app.started == 0


@pytest.mark.parametrize(
    ("failure", "field"),
    [
        (SettingsError("No such connection.", setting="output.connection"), "connection"),
        (ChecksRefused([STORAGE.refused("There is no /srv.", "")]), "storage"),
        (ChecksRefused([PROGRAMS.refused("No nbdkit.", ""), EXISTING.refused("db1 exists.", "")]), "guestname"),
    ],
)
async def test_back_from_a_conversion_that_failed_leads_to_the_field_that_mends_it(
    failure: P2VError, field: str
) -> None:
    async with opened() as it:
        await it.choose_mode("libvirt")
        conversion = ScriptedConversion()
        conversion.say(failure)
        it.state.run = run = ConversionRun(NoServer().as_server(), plan(), convert=conversion)
        run.start()
        await it.app.push_screen(RunningScreen(it.state, interval=0.0))
        await wait_until(it.pilot, lambda: failure.message in screen_text(it.app))
        await it.pilot.press("enter")
        await wait_until(it.pilot, lambda: it.focused is it.field(field).input)
        assert failure.message in it.status


# The output.


async def test_the_format_is_a_choice_among_those_that_the_mode_makes() -> None:
    async with opened() as it:
        choice = it.screen.query_one("#format", Choice)
        choice.focus()
        values = [choice.value]
        for _ in range(3):
            await it.pilot.press("right")
            values.append(choice.value)
        assert values == ["default", "raw", "qcow2", "default"]
        await it.choose_mode("openstack")
        choice.focus()
        await it.pilot.press("right", "right")
        assert choice.value == "default"


async def test_a_format_of_the_kernel_command_line_that_the_mode_cannot_make_is_refused_here() -> None:
    async with opened(MadeUpState(words="p2v.o=openstack p2v.oo=server-id=x p2v.of=qcow2")) as it:
        await it.press("start")
        assert "cannot make the format qcow2" in it.status
        assert it.focused.id == "format"
        await it.pilot.press("right")
        await it.press("start")
        assert it.app.started == 1
        assert it.state.settings.output_format in (None, "raw")


async def test_the_accepted_host_key_is_among_the_kernel_arguments() -> None:
    async with opened() as it:
        it.state.host_key = "SHA256:mJcgwqEeQ9g4GvCDZDjuqaKsPnl8D+gfpKM2S5pczao"
        await it.press("arguments")
        await wait_until(it.pilot, lambda: "As kernel arguments" in screen_text(it.app))
        shown = "".join(screen_text(it.app).replace("|", " ").split())
        assert "p2v.hostkey=SHA256:mJcgwqEeQ9g4GvCDZDjuqaKsPnl8D+gfpKM2S5pczao" in shown


@pytest.mark.parametrize("mode", MODES)
async def test_a_mode_has_the_fields_that_it_takes_and_no_other(mode: str) -> None:
    taken = {
        "local": "storage format allocation misc",
        "libvirt": "connection storage format allocation misc",
        "qemu": "storage format allocation misc",
        "null": "",
        "glance": "format allocation misc",
        "openstack": "connection storage format allocation misc",
        "kubevirt": "storage format allocation misc",
        "rhv": "storage format allocation misc",
        "rhv-upload": "connection storage format allocation misc password",
        "vdsm": "storage format allocation misc",
        "json": "storage format allocation misc",
    }
    async with opened() as it:
        await it.choose_mode(mode)
        fields = ("connection", "storage", "format", "allocation", "misc", "password")
        shown = [name for name in fields if it.screen.query_one(f"#{name}").display]
        assert shown == taken[mode].split()


async def test_the_modes_are_the_servers_own() -> None:
    modes = ("disk", "null")
    async with opened(MadeUpState(virt_v2v=VirtV2V("2.7.1", frozenset(), modes))) as it:
        choice = it.screen.query_one("#mode", Choice)
        assert choice.value == "disk"
        choice.focus()
        values = []
        for _ in modes:
            await it.pilot.press("right")
            values.append(choice.value)
        assert values == ["null", "disk"]
        await it.press("start")
        assert it.state.settings.output_type == "local"


async def test_a_mode_that_the_server_lacks_is_warned_of_and_refused() -> None:
    async with opened(MadeUpState(words="p2v.o=glance", virt_v2v=VirtV2V("1.42", frozenset(), ("local",)))) as it:
        assert "does not have the mode glance" in it.line("mode-note")
        await it.press("start")
        assert "has no output mode 'glance'" in it.status
        assert it.focused.id == "mode"
        assert it.app.started == 0


async def test_the_storage_is_the_modes_own_until_one_is_typed() -> None:
    async with opened() as it:
        assert it.field("storage").value == "/var/tmp"
        await it.choose_mode("rhv")
        assert it.field("storage").value == ""
        await it.choose_mode("qemu")
        assert it.field("storage").value == "/var/tmp"
        await it.type("storage", "/data")
        await it.choose_mode("local")
        await it.pilot.pause()
        assert it.field("storage").value == "/data"
        assert "/data/db1.xml" in it.line("mode-note")


@pytest.mark.parametrize(
    ("mode", "field", "message"),
    [
        ("rhv-upload", "connection", "The output mode rhv-upload needs -oc (connection)."),
        ("rhv", "storage", "The output mode rhv needs -os (storage)."),
        ("openstack", "misc", "The output mode openstack needs -oo server-id=...."),
        ("local", "storage", "The output mode local needs -os (storage)."),
    ],
)
async def test_what_a_mode_needs_is_marked_and_asked_for(mode: str, field: str, message: str) -> None:
    async with opened() as it:
        await it.choose_mode(mode)
        label = it.field(field).query_one(".label", Line).text
        assert label.strip().endswith(", needed:")
        await it.type(field, "")
        await it.press("start")
        assert it.status.startswith(message)
        assert it.focused is it.field(field).input


async def test_the_password_is_never_seen() -> None:
    async with opened(size="132x43") as it:
        await it.choose_mode("rhv-upload")
        await it.type("connection", "https://engine/api")
        await it.type("storage", "data")
        await it.type("password", "swordfish")
        assert "swordfish" not in screen_text(it.app)
        assert "[*********" in screen_text(it.app)
        await it.press("arguments")
        assert "p2v.op=..." in screen_text(it.app)
        assert "swordfish" not in screen_text(it.app)
        await it.pilot.press("escape")
        await it.press("start")
        assert it.state.plan is not None
        assert it.state.plan.output.password is not None
        assert it.state.plan.output.password.reveal() == "swordfish"


# Disks, drives and interfaces.


async def test_disks_show_what_they_are_and_what_is_on_them() -> None:
    async with opened(size="132x43") as it:
        text = screen_text(it.app)
        for words in (
            "[x] sda  500 GB  ST500DM002-1BD142  SATA",
            'serial Z3TA1B2C: EFI, ext4 "boot", LVM vg0',
            "[x] sdb  1 TB  HITACHI HUS72  SAS",
            "[x] nvme0n1  275 GB  PM981  NVMe",
            'Windows NTFS "Windows", ext4 "root"',
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


# Keys of encrypted volumes.


@pytest.fixture(autouse=True)
def no_disk_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of made-up disks are not tried on real ones that have the same names."""
    monkeypatch.setattr(volume_keys, "NODES", ())


def keys_of(settings: Settings) -> dict[str, str]:
    """What is typed, or the URL, for each volume of p2v.key."""
    values = {source.volume: source.passphrase or source.url for source in settings.keys}
    return {volume: value.reveal() for volume, value in values.items() if value}


@dataclasses.dataclass
class KeysOpened:
    """The part of the screen with the keys."""

    it: Opened

    @property
    def part(self) -> KeyFields:
        return self.it.screen.query_one(KeyFields)

    @property
    def labels(self) -> list[str]:
        """Of the fields that are shown, in their order."""
        if not self.part.display:
            return []
        return [row.field.query_one(".label", Line).text.strip() for row in self.part.rows if row.display]

    async def type(self, name: str, text: str) -> None:
        field = self.part.find(name)
        assert field is not None and field.id is not None
        await self.it.type(field.id, text)

    def has_focus(self, name: str) -> bool:
        field = self.part.find(name)
        return field is not None and self.it.focused is field.input


@pytest.mark.parametrize("size", SIZES)
async def test_encrypted_volumes_have_fields_for_their_keys(size: str, snapshot: SnapshotAssertion) -> None:
    words = f"p2v.server=conv.example.com p2v.key={UUID}:https://user:swordfish@keys.example.com/db1"
    async with opened(MadeUpState(ENCRYPTED, words), size) as it:
        keys = KeysOpened(it)
        await keys.type("sdl2", "opensesame")
        assert screen_text(it.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_the_help_of_a_key(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(MadeUpState(ENCRYPTED), size) as it:
        await KeysOpened(it).type("sdl3", "x")
        await it.pilot.press("f1")
        await wait_until(it.pilot, lambda: isinstance(it.app.screen, Dialog))
        await it.pilot.pause()
        assert screen_text(it.app) == snapshot


async def test_a_machine_without_encrypted_volumes_has_no_field_for_a_key() -> None:
    async with opened() as it:
        assert KeysOpened(it).labels == []
        assert "Keys of" not in screen_text(it.app)


async def test_the_fields_for_keys_follow_the_disks_that_are_checked() -> None:
    async with opened(MadeUpState(ENCRYPTED)) as it:
        keys = KeysOpened(it)
        assert keys.labels == ["BitLocker sdl2:", "LUKS sdl3:"]
        await it.switch("sdl")
        assert keys.labels == []
        await it.press("start")
        assert it.app.started == 1
        assert it.state.plan is not None
        assert it.state.plan.keys == ()


async def test_the_fields_for_keys_come_and_go_with_their_disks_and_what_is_typed_stays() -> None:
    async with opened(MadeUpState(dataclasses.replace(ENCRYPTED, disks=(NVME,)))) as it:
        keys = KeysOpened(it)
        assert keys.labels == []
        it.state.found = ENCRYPTED
        await it.look()
        assert keys.labels == ["BitLocker sdl2:", "LUKS sdl3:"]
        await keys.type("sdl3", "opensesame")
        extra = dataclasses.replace(
            SDC, partitions=(Partition("sdc1", 1, GIB, content=Content("crypto_LUKS", UUID.replace("1", "2"))),)
        )
        it.state.found = dataclasses.replace(ENCRYPTED, disks=(extra, LOCKED, NVME))
        await it.look()
        assert keys.labels == ["LUKS sdc1:", "BitLocker sdl2:", "LUKS sdl3:"]
        assert keys_of(it.screen.settings()) == {"sdl3": "opensesame"}
        it.state.found = dataclasses.replace(ENCRYPTED, disks=(NVME,))
        await it.look()
        assert keys.labels == []


async def test_a_volume_without_a_key_is_refused_at_its_field() -> None:
    async with opened(MadeUpState(ENCRYPTED)) as it:
        keys = KeysOpened(it)
        await it.press("start")
        assert it.status.startswith("BitLocker sdl2 is encrypted, and no key was given for it.")
        assert keys.has_focus("sdl2")
        await keys.type("sdl2", "opensesame")
        await it.press("start")
        assert it.status.startswith("LUKS sdl3 is encrypted")
        assert keys.has_focus("sdl3")
        assert it.app.started == 0


async def test_typed_keys_get_into_the_plan_and_are_never_seen() -> None:
    async with opened(MadeUpState(ENCRYPTED), "132x43") as it:
        keys = KeysOpened(it)
        await keys.type("sdl2", "opensesame")
        await keys.type("sdl3", "swordfish")
        assert "[**********" in screen_text(it.app)
        await it.press("arguments")
        dialog = screen_text(it.app)
        assert "p2v.key=sdl2:... p2v.key=sdl3:..." in dialog
        await it.pilot.press("escape")
        await it.press("start")
        assert it.app.started == 1
        plan = it.state.plan
        assert plan is not None
        assert [(key.id, key.passphrase.reveal()) for key in plan.keys] == [
            ("/dev/sdb2", "opensesame"),
            (UUID, "swordfish"),
        ]
        for said in (dialog, screen_text(it.app), repr(plan), repr(it.state.settings)):
            assert "opensesame" not in said and "swordfish" not in said


async def test_what_is_typed_goes_before_the_url_of_the_command_line() -> None:
    words = f"p2v.key=/dev/sdl2:https://user:swordfish@host/key p2v.key={UUID.upper()}:file:///nowhere"
    async with opened(MadeUpState(ENCRYPTED, words), "132x43") as it:
        keys = KeysOpened(it)
        assert "Left empty: from https://user:***@host/key" in screen_text(it.app)
        assert "Left empty: from file:///nowhere" in screen_text(it.app)
        await keys.type("sdl2", "typed")
        assert keys_of(it.screen.settings()) == {"sdl2": "typed", UUID.upper(): "file:///nowhere"}
        await it.press("start")
        assert it.status.startswith("The key of LUKS sdl3 in /nowhere cannot be read: No such file")
        assert keys.has_focus("sdl3")
        assert it.app.started == 0


async def test_a_key_of_a_volume_that_is_not_seen_is_kept() -> None:
    words = f"p2v.key={UUID}:file:///key"
    async with opened(MadeUpState(words=words)) as it:
        assert keys_of(it.screen.settings()) == {UUID: "file:///key"}


async def test_typed_keys_are_there_again_after_going_back() -> None:
    async with opened(MadeUpState(ENCRYPTED)) as it:
        await KeysOpened(it).type("sdl3", "opensesame")
        await it.pilot.press("escape")
        await wait_until(it.pilot, lambda: it.app.screen is not it.screen)
        await it.app.push_screen(ConversionScreen(it.state, watch=it.app.watch_devices))
        screen = it.app.screen
        assert isinstance(screen, ConversionScreen)
        await wait_until(it.pilot, lambda: not screen.looking)
        field = screen.query_one(KeyFields).find("sdl3")
        assert field is not None
        assert field.value == "opensesame"
        assert "opensesame" not in screen_text(it.app)


async def test_a_wrong_passphrase_of_a_real_volume_is_refused_at_its_field(tmp_path: Path) -> None:
    image = luks_disk(tmp_path / "disk.img", "opensesame")
    async with opened(MadeUpState(image=image)) as it:
        keys = KeysOpened(it)
        assert keys.labels == ["LUKS disk.img2:"]
        await keys.type(f"{image}2", "swordfish")
        await it.press("start")
        assert it.status.startswith(f"The key of LUKS {image}2 does not open it.")
        assert keys.has_focus(f"{image}2")
        assert it.app.started == 0
        await keys.type(f"{image}2", "opensesame")
        await it.press("start")
        assert it.app.started == 1
        assert it.state.plan is not None
        assert [key.unchecked for key in it.state.plan.keys] == [""]


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


# Back, and the kernel arguments.


@pytest.mark.parametrize("way", ["escape", "back"])
async def test_back_keeps_what_was_edited(way: str) -> None:
    async with opened() as it:
        await it.type("guestname", "web")
        await it.type("memory", "nonsense")
        await it.switch("sdb")
        await it.type("storage", "/data")
        if way == "escape":
            await it.pilot.press("escape")
        else:
            await it.press("back")
        await wait_until(it.pilot, lambda: it.app.screen is not it.screen)
        settings = it.state.settings
        assert settings.guestname == "web"
        assert settings.disks == ("sda", "nvme0n1")
        assert settings.output_storage == "/data"
        assert settings.memory is None
        assert settings.server == "conv.example.com"
        await it.app.push_screen(ConversionScreen(it.state, watch=it.app.watch_devices))
        screen = it.app.screen
        assert isinstance(screen, ConversionScreen)
        await wait_until(it.pilot, lambda: not screen.looking)
        again = dataclasses.replace(it, screen=screen)
        assert again.field("guestname").value == "web"
        assert again.names("disks") == [("sda", True), ("nvme0n1", True), ("sdb", False)]


async def test_leaving_at_once_changes_no_settings() -> None:
    async with opened() as it:
        before = it.state.settings
        await it.pilot.press("escape")
        assert it.state.settings == before


async def kernel_arguments(it: Opened) -> str:
    await it.press("arguments")
    assert isinstance(it.app.screen, Dialog)
    text = it.app.screen.query_one("#dialog-text Line", Line).text
    await it.pilot.press("escape")
    await it.pilot.pause()
    return next((line for line in text.split("\n") if line.startswith("p2v.")), text)


async def test_the_kernel_arguments_say_only_what_differs() -> None:
    async with opened() as it:
        assert await kernel_arguments(it) == "p2v.server=conv.example.com"
        await it.switch("nvme0n1")
        await it.switch("sr0")
        await it.switch("fd0")
        await it.type("vcpus", "4")
        assert await kernel_arguments(it) == (
            "p2v.server=conv.example.com p2v.vcpu.cores=4 p2v.disks=sda,sdb p2v.removable="
        )


async def test_the_kernel_arguments_repeat_the_choices() -> None:
    async with opened() as it:
        await it.type("guestname", "web")
        await it.type("memory", "4096")
        await it.choose_mode("libvirt")
        await it.type("connection", "qemu+unix:///system?a b")
        await it.type("misc", "a=b")
        await it.switch("em2")
        words = await kernel_arguments(it)
        await it.press("start")
        repeated = cmdline.parse(words).settings
        assert make_plan(repeated, DB1) == it.state.plan
        assert fill_in(repeated, DB1) == fill_in(it.state.settings, DB1)


async def test_a_name_that_was_made_up_is_a_kernel_argument() -> None:
    async with opened(MadeUpState(dataclasses.replace(DB1, hostname="localhost"))) as it:
        name = it.field("guestname").value
        assert name.startswith("p2v-")
        assert f"p2v.name={name}" in await kernel_arguments(it)


async def test_a_mode_leaves_out_what_it_does_not_take() -> None:
    async with opened(MadeUpState(words="p2v.oc=x p2v.of=raw p2v.oa=sparse p2v.os=/data")) as it:
        await it.choose_mode("null")
        assert await kernel_arguments(it) == "p2v.o=null"


async def test_a_double_quote_is_explained() -> None:
    async with opened() as it:
        await it.type("storage", 'a"b')
        assert "double quote" in await kernel_arguments(it)


# Finding a port.


async def test_ctrl_n_blinks_the_port_of_the_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    blinked: list[str] = []
    monkeypatch.setattr(conversion, "blink_port", blinked.append)
    async with opened() as it:
        await it.pilot.press("ctrl+n")
        assert it.status.startswith("Move to a network interface")
        it.toggle("em2").focus()
        await it.pilot.press("ctrl+n")
        await wait_until(it.pilot, lambda: not it.state.jobs.busy)
        await it.pilot.pause()
        assert blinked == ["em2"]
        assert it.status == "The port of em2 has blinked."
        it.interface("em1").network.input.focus()
        await it.pilot.press("tab", "enter")
        await wait_until(it.pilot, lambda: not it.state.jobs.busy)
        assert blinked == ["em2", "em1"]


async def test_a_port_that_does_not_blink_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(interface: str) -> None:
        raise CannotBlink(f"Only root can make {interface} blink.", "Run p2v-tui as root.")

    monkeypatch.setattr(conversion, "blink_port", fail)
    async with opened() as it:
        it.toggle("em1").focus()
        await it.pilot.press("ctrl+n")
        await wait_until(it.pilot, lambda: not it.state.jobs.busy)
        await it.pilot.pause()
        assert it.status == "Only root can make em1 blink. Run p2v-tui as root."


def test_the_inputs_need_no_mouse_and_no_alt() -> None:
    keys = {binding.key for binding in ConversionScreen.BINDINGS if not isinstance(binding, tuple)}
    for key in ",".join(keys).split(","):
        assert key not in {"ctrl+q", "ctrl+s", "ctrl+a", "ctrl+b"}
        assert not key.startswith("alt")
