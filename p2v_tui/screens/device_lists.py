"""What the guest gets of the machine: its fixed disks, removable drives and network interfaces.

Each list is updated whenever the machine was looked at. What was checked stays checked, new devices appear checked,
and those that are gone disappear.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget

from p2v_tui.config import BY_KEY, Settings
from p2v_tui.errors import SettingsError
from p2v_tui.front.device_words import (
    carrier_in_words,
    contents_in_words,
    convertible,
    disk_details,
    disk_facts,
    disk_line,
    identity,
    interface_details,
    interface_line,
    left_out_lines,
    medium_kind,
    medium_line,
    shown,
    transport_in_words,
)
from p2v_tui.hwprobe import Disk, DiskGroup, Machine
from p2v_tui.kinds import NetworkMap
from p2v_tui.screens.form import Note, Reading, WrongField, setting_help
from p2v_tui.screens.labels import LABELS
from p2v_tui.screens.table import Cell, Column, Table, TableHead, TableToggle
from p2v_tui.screens.widgets import Action, FormField, Help, Line, Panel, Toggle
from p2v_tui.session.plan.disk_choice import default_disks, only_external
from p2v_tui.session.plan.disk_names import find_named
from p2v_tui.session.words.quantities import size_text

_NETWORK = BY_KEY["p2v.network_map"]


@dataclass(frozen=True)
class Row:
    """A device as a list shows it. key: tells it from another device of the same name. details: the second line.

    by_default: whether it is checked if nobody has chosen. cells: its columns, in a look that has columns; there
    `note` is the second line, `whole` another one on a narrow screen, and `facts` everything that is known about it.
    """

    key: tuple[str, ...]
    name: str
    label: str
    details: str = ""
    by_default: bool = True
    cells: tuple[Cell, ...] = ()
    note: str = ""
    whole: str = ""
    facts: str = ""


class DeviceNote(Note):
    """The text below a device's line. plain: all of it; rich: what is not in the columns."""

    def __init__(self, plain: str, rich: str) -> None:
        super().__init__(plain)
        self._by_look = {False: plain, True: rich}

    def tell(self, plain: str, rich: str) -> None:
        self._by_look = {False: plain, True: rich}
        self.dress()

    def dress(self) -> None:
        self.say(self._by_look[self.look.rich])
        super().dress()


class DeviceRow(Vertical):
    """A device that can be checked."""

    def __init__(self, row: Row, table: Table, *, checked: bool, help: Help) -> None:
        super().__init__(classes="device")
        self.row = row
        self._help = help
        self.toggle = TableToggle(table, self.cells, row.label, help=help, value=checked, name=row.name)
        self._details = DeviceNote(row.details, row.note)
        # The full text of what may be cut in the columns.
        self._whole = Line(row.whole, classes="whole rich-only")
        self._whole.set_class(not row.whole, "-empty")

    def compose(self) -> ComposeResult:
        yield self.toggle
        yield self._whole
        yield self._details

    def cells(self) -> tuple[Cell, ...]:
        """The row's cells, with its state last if the list shows one."""
        devices = next((each for each in self.ancestors if isinstance(each, DeviceList)), None)
        return (*self.row.cells, *(devices.state_of(self) if devices else ()))

    def details(self) -> Help:
        """For the panel beside the lists."""
        return Help(shown(self.row.name), "\n\n".join(filter(None, (self.row.facts, self._help.text))))

    @property
    def checked(self) -> bool:
        return self.toggle.value

    def show(self, row: Row) -> None:
        self.row = row
        self.toggle.label = row.label
        self.toggle.refresh()
        self._details.tell(row.details, row.note)
        self._whole.show(row.whole)
        self._whole.set_class(not row.whole, "-empty")


class InterfaceRow(DeviceRow):
    """A network interface, with the network that it is connected to in the guest."""

    _numbers = count(1)

    class BlinkAsked(Message):
        def __init__(self, interface: str) -> None:
            super().__init__()
            self.interface = interface

    def __init__(self, row: Row, table: Table, *, checked: bool, help: Help, network: str) -> None:
        super().__init__(row, table, checked=checked, help=help)
        # An interface's name may have characters that an id cannot have.
        number = next(self._numbers)
        self.network = FormField(
            LABELS["network_map"],
            id=f"network-{number}",
            help=setting_help("network_map", title=f"The network of {shown(row.name)}"),
            value=network,
            label_width=16,
        )
        self.blink = Action(
            "Blink port",
            id=f"blink-{number}",
            help=Help(
                "Blink port",
                "Makes the port's light blink for five seconds, so that you find its cable. Ctrl-N does the same.",
            ),
        )

    def compose(self) -> ComposeResult:
        yield from super().compose()
        with Horizontal(classes="buttons"):
            yield self.network
            yield self.blink

    @on(Action.Pressed)
    def _blink(self, message: Action.Pressed) -> None:
        message.stop()
        self.post_message(self.BlinkAsked(self.row.name))


class DeviceList(Panel):
    """A heading and the rows below it. nothing: the text if it has no rows. columns: those of the rich look."""

    heading = ""
    nothing = ""
    attribute = ""
    columns: tuple[Column, ...] = ()

    def __init__(self, id: str) -> None:
        super().__init__(self.heading, id=id, classes="part")
        self._table = Table(self.columns, lambda: [row.cells() for row in self.rows])
        self._head = TableHead(self._table)
        self._rows = Vertical(classes="rows")
        self._nothing = Note(self.nothing)
        # Names given on the command line that this machine does not have, until it has them.
        self._missing: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        yield self._nothing
        yield self._head
        yield self._rows

    @property
    def rows(self) -> list[DeviceRow]:
        return list(self._rows.query_children(DeviceRow))

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the checked devices, in order."""
        return tuple(row.row.name for row in self.rows if row.checked)

    def readings(self) -> list[Reading]:
        return [Reading(self.attribute, lambda: self.chosen)]

    def find(self, name: str) -> Toggle | None:
        return next((row.toggle for row in self.rows if row.row.name == name), None)

    def state_of(self, row: DeviceRow) -> tuple[Cell, ...]:
        """The last column, in a list that shows how the choice stands."""
        del row
        return ()

    @on(Toggle.Changed)
    def _state_changed(self) -> None:
        for row in self.rows:
            row.toggle.refresh()

    def new_row(self, row: Row, *, checked: bool) -> DeviceRow:
        return DeviceRow(row, self._table, checked=checked, help=setting_help(self.attribute, title=self.heading))

    async def show_rows(self, rows: Iterable[Row], wanted: Sequence[str] | None) -> None:
        """wanted: the names that are checked at first; None if the list was shown before.

        The widgets of devices that stay are kept, and so is the focus.
        """
        if wanted is not None:
            self._missing = tuple(name for name in wanted if name not in {row.name for row in rows})
        present = {row.name for row in rows}
        self._missing = tuple(name for name in self._missing if name not in present)
        rows = [*rows, *(self._missing_row(name) for name in self._missing)]
        existing = {row.row.key: row for row in self.rows}
        for key in existing.keys() - {row.key for row in rows}:
            await existing[key].remove()
        for position, row in enumerate(rows):
            if widget := existing.get(row.key):
                widget.show(row)
                if self.rows.index(widget) != position:
                    self._rows.move_child(widget, before=position)
            else:
                checked = row.by_default if wanted is None else row.name in wanted
                widget = self.new_row(row, checked=checked)
                await self._rows.mount(widget, before=position if position < len(self.rows) else None)
        self._nothing.display = not rows
        self._head.set_class(not rows, "-empty")

    def _missing_row(self, name: str) -> Row:
        """The row of a device that was named and not found."""
        said = _unknown(name)
        empty = (Cell(""),) * (len(self.columns) - len(self.state_columns) - 1)
        return Row(("named", name), name, said, cells=(Cell(shown(name)), *empty), note=said)

    # The columns that `state_of` fills.
    state_columns: tuple[Column, ...] = ()


class DiskList(DeviceList):
    """The fixed disks, and those that are left out with the reason."""

    heading = f"{LABELS['disks']} (the first one checked boots the guest)"
    state_columns = (Column("State", 10),)
    columns = (
        Column("Disk", 7),
        Column("Size", 6),
        Column("Model", 6),
        Column("Bus", 4),
        Column("What is on it", 9),
        *state_columns,
    )
    nothing = "None was found. If one is missing, so may be its driver: look at dmesg and lspci in the shell (F2)."
    attribute = "disks"

    def __init__(self) -> None:
        super().__init__("disks")
        self._warning = Note(id="disks-warning")
        self._left_out = Note(id="left-out")
        self._machine: Machine | None = None
        self._named: tuple[str, ...] | None = None

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield self._warning
        yield self._left_out

    async def show(self, machine: Machine, image: Path | None, first: Settings | None) -> None:
        """image: is offered instead of the disks. first: the settings, if the list is shown for the first time."""
        disks = () if image else disks_to_show(machine)
        wanted = None
        if first is not None:
            wanted = tuple(_name_of(name, disks) for name in first.disks or ())
            self._named = wanted
        # The first disk boots the guest, so the disks keep the order in which they were named.
        places = {name: place for place, name in enumerate(self._named or ())}
        ordered = sorted(disks, key=lambda disk: places.get(disk.name, len(places)))
        self._machine = machine
        await self.show_rows(_disk_rows(ordered, machine), wanted)
        names = {disk.name for disk in disks}
        left_out = left_out_lines(each for each in (() if image else machine.excluded) if each.name not in names)
        self._left_out.show("\n".join(["Left out:", *(f"  {line}" for line in left_out)]) if left_out else "")
        self._warn()

    def state_of(self, row: DeviceRow) -> tuple[Cell, ...]:
        chosen = self.chosen
        if not row.checked:
            return (Cell("left out", "muted"),)
        if any(row.row.name in group.disks for group, _ in self._halved):
            return (Cell("incomplete", "caution"),)
        return (Cell("boots" if chosen[:1] == (row.row.name,) else "converted", "good"),)

    @property
    def _halved(self) -> list[tuple[DiskGroup, frozenset[str]]]:
        return list(self._machine.incomplete_groups(self.chosen)) if self._machine else []

    @on(Toggle.Changed)
    def _warn(self) -> None:
        self._warning.show(self.warning)

    @property
    def warning(self) -> str:
        """Which groups would be incomplete, and the disks that they lack."""
        return "\n".join(
            f"Warning: {group.kind} {shown(group.name)} also needs {', '.join(sorted(missing))}. "
            "Check all of its disks or none."
            for group, missing in self._halved
        )


class MediaList(DeviceList):
    heading = f"{LABELS['removable']} (an empty drive in the guest)"
    columns = (Column("Drive", 6), Column("Kind", 12), Column("Model", 8))
    nothing = "None."
    attribute = "removable"

    async def show(self, machine: Machine, first: Settings | None) -> None:
        rows = [
            Row(
                identity(medium),
                medium.name,
                medium_line(medium),
                cells=(Cell(shown(medium.name)), Cell(medium_kind(medium)), Cell(shown(medium.model))),
            )
            for medium in convertible(machine.removable)
        ]
        names = None if first is None else tuple(name.removeprefix("/dev/") for name in first.removable or ())
        await self.show_rows(rows, names)


class InterfaceList(DeviceList):
    heading = LABELS["interfaces"]
    columns = (Column("Interface", 8), Column("Address", 17), Column("Link", 9), Column("Card", 8))
    nothing = "No physical network interface was found."
    attribute = "interfaces"

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self._network_map = NetworkMap()

    async def show(self, machine: Machine, first: Settings | None) -> None:
        if first is not None:
            self._network_map = first.network_map or NetworkMap()
        rows = [
            Row(
                identity(interface),
                interface.name,
                interface_line(interface),
                interface_details(interface),
                cells=(
                    Cell(shown(interface.name)),
                    Cell(shown(interface.mac)),
                    Cell(carrier_in_words(interface), "good" if interface.carrier else "caution"),
                    Cell(interface_details(interface), "muted"),
                ),
            )
            for interface in machine.interfaces
        ]
        await self.show_rows(rows, None if first is None else first.interfaces or ())

    def new_row(self, row: Row, *, checked: bool) -> DeviceRow:
        return InterfaceRow(
            row,
            self._table,
            checked=checked,
            help=setting_help("interfaces", "Ctrl-N makes the port's light blink.", title=self.heading),
            network=self._network_map.target(row.name),
        )

    def readings(self) -> list[Reading]:
        return [*super().readings(), Reading("network_map", self._read_networks)]

    def interface_of(self, widget: Widget | None) -> str | None:
        """The name of the interface that the widget belongs to, or of the machine's only one."""
        for ancestor in widget.ancestors_with_self if widget else ():
            if isinstance(ancestor, InterfaceRow):
                return ancestor.row.name
        return self.rows[0].row.name if len(self.rows) == 1 else None

    def _read_networks(self) -> NetworkMap:
        """The networks of the checked interfaces. A network that all have is given once, so that the setting also
        fits other machines.
        """
        rows = [row for row in self.rows if isinstance(row, InterfaceRow) and row.checked]
        pairs = tuple((row.row.name, _network(row)) for row in rows)
        targets = {target for _, target in pairs}
        if len(targets) == 1:
            return NetworkMap((), targets.pop())
        default = self._network_map.default
        return NetworkMap(tuple(pair for pair in pairs if pair[1] != default), default)


def _network(row: InterfaceRow) -> str:
    """The target network of an interface. Raises WrongField for a name that p2v.network cannot hold."""
    target = row.network.value.strip()
    try:
        value = _NETWORK.parse(f"{row.row.name}:{target}")
        if value.pairs != ((row.row.name, target),):
            raise SettingsError(
                f"{target!r} is not a valid network name.", "It cannot have a comma.", setting=_NETWORK.name
            )
    except SettingsError as error:
        raise WrongField(error, row.network.input) from error
    return target


def disks_to_show(machine: Machine) -> tuple[Disk, ...]:
    """The offered disks, and the drives that were left out by a guess. Devices that are made of drives have no
    transport.
    """
    left_out = (each.disk for each in machine.excluded if each.disk and each.disk.transport)
    return (*machine.disks, *left_out)


def _disk_rows(disks: Iterable[Disk], machine: Machine) -> list[Row]:
    """The rows of the disks. The reason why one is not checked by default comes before what is on it."""
    by_default = {disk.name for disk in default_disks(machine)}
    reasons = {each.name: each.reason for each in machine.excluded if each.disk}
    guessed = only_external(machine)
    rows = []
    for disk in disks:
        said = ""
        if disk.name not in by_default:
            bus = f"on {transport_in_words(disk.transport)}, so it may not belong to this machine (a guess)"
            said = f"Left out by default: {shown(reasons.get(disk.name, bus))}. "
        elif guessed:
            said = "That it belongs to this machine is a guess: no other disk was found. "
        rows.append(
            Row(
                identity(disk),
                disk.name,
                disk_line(disk),
                said + disk_details(disk, machine),
                disk.name in by_default,
                (
                    Cell(shown(disk.name)),
                    Cell(size_text(disk.size)),
                    Cell(shown(disk.model)),
                    Cell(transport_in_words(disk.transport)),
                    Cell(contents_in_words(disk, machine)),
                ),
                said,
                disk_details(disk, machine),
                disk_facts(disk, machine),
            )
        )
    return rows


def _name_of(name: str, disks: Sequence[Disk]) -> str:
    """The kernel's name of a disk that `p2v.disks` names in another way; any other name stays as it is."""
    try:
        found = find_named(name, disks)
    except SettingsError:
        # The plan reports it.
        return name
    return found.name if found else name


def _unknown(name: str) -> str:
    with contextlib.suppress(OSError):
        status = Path(name).stat()
        if name.startswith("/") and stat.S_ISREG(status.st_mode):
            return f"{shown(name)}  {size_text(status.st_size)}  disk image"
    return f"{shown(name)}  not found on this machine"
