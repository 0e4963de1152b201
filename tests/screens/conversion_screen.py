"""The conversion screen on a made-up machine, and what its tests do with it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot
from textual.widget import Widget

from p2v_tui import cmdline
from p2v_tui.app import P2VTui
from p2v_tui.hwprobe.machine import (
    Content,
    Disk,
    DiskGroup,
    ExcludedDisk,
    Machine,
    NetworkInterface,
    Partition,
    Transport,
)
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.device_lists import DeviceList, InterfaceRow
from p2v_tui.screens.look import Look
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action, Choice, FormField, Line, Toggle
from p2v_tui.session.plan.output_modes import OUTPUT_MODES
from p2v_tui.session.plan.virt_v2v import VirtV2V
from tests.screens.conftest import cells, wait_until
from tests.unit.machines import GIB, SERVER

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

    def __init__(self, state: State, look: Look = Look.PLAIN) -> None:
        super().__init__(state, look=look)
        self.watches: list[MadeUpWatch] = []
        self.started = 0

    def watch_devices(self, changed: Callable[[], None]) -> MadeUpWatch:
        self.watches.append(MadeUpWatch(changed))
        return self.watches[-1]

    def on_ready(self) -> None:
        self.push_screen(ConversionScreen(self.state, watch=self.watch_devices))

    def action_show_summary(self) -> None:
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
async def opened(state: State | None = None, size: str = "80x24", look: Look = Look.PLAIN) -> AsyncIterator[Opened]:
    app = OneScreen(state or MadeUpState(), look)
    async with app.run_test(size=cells(size)) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, ConversionScreen))
        screen = app.screen
        assert isinstance(screen, ConversionScreen)
        await wait_until(pilot, lambda: not screen.looking)
        await pilot.pause()
        await pilot.pause()
        yield Opened(app, pilot, screen)
