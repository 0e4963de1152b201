"""Which network interfaces and removable drives of the machine the guest gets.

One line of settings serves several kinds of machines, as with virt-p2v: a name that this machine lacks is reported
and left out. So is a drive that a guest cannot have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.machine import Machine, MediumKind, NetworkInterface, RemovableMedium
from p2v_tui.kinds import NetworkMap
from p2v_tui.session.words.checks import Check, Subject, Verdict
from p2v_tui.setting_names import SettingName
from p2v_tui.xmlgen import FLOPPY_DRIVES, IDE_DRIVES

INTERFACES = Subject(
    "network interfaces",
    "interfaces",
    "The interfaces that `p2v.interfaces` and `p2v.network` name: whether this machine has them.",
    {
        Verdict.NOTED: "It lacks some: one line of settings may serve several kinds of machines.",
        Verdict.WARNING: "It has none of them: the guest would have no network, or not the network that was meant.",
    },
    "Name the machine's interfaces, or leave `p2v.interfaces` out: then the guest gets all of them.",
)
DRIVES = Subject(
    "removable drives",
    "drives",
    "CD, DVD and floppy drives: whether this machine has those named, and whether a guest can have them.",
    {
        Verdict.NOTED: "It lacks some; or some are left out: those of a management controller, those for which a "
        "guest's four IDE drives (its disks may be among them) and two floppy drives leave no room."
    },
    "A drive is given to the guest empty. Name those that it is to have in `p2v.removable`.",
)

SUBJECTS: Final = (INTERFACES, DRIVES)


@dataclass(frozen=True)
class Interfaces:
    """chosen: in the order of the settings. checks: what to tell the operator about them."""

    chosen: tuple[NetworkInterface, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Drives:
    """chosen: those that the guest gets. checks: what to tell the operator about them."""

    chosen: tuple[RemovableMedium, ...]
    checks: tuple[Check, ...]


def choose_interfaces(names: Sequence[str], network_map: NetworkMap, machine: Machine) -> Interfaces:
    """The interfaces with these names. Raises SettingsError if one is named twice."""
    check_named_once(names, "interfaces")
    known = {interface.name: interface for interface in machine.interfaces}
    chosen = tuple(known[name] for name in names if name in known)
    return Interfaces(chosen, (*_absent_interfaces(names, machine), *_absent_in_map(network_map, machine)))


def _absent_interfaces(names: Sequence[str], machine: Machine) -> Iterator[Check]:
    absent = _absent(names, [interface.name for interface in machine.interfaces])
    if absent and len(absent) == len(names):
        yield INTERFACES.warning(
            f"This machine has no network interface {_either(absent)}: the guest would have none.",
            f"{_interfaces(machine)} Name those in p2v.interfaces, or leave it out.",
        )
    elif absent:
        yield INTERFACES.noted(f"This machine has no network interface {_either(absent)}.", _interfaces(machine))


def _absent_in_map(network_map: NetworkMap, machine: Machine) -> Iterator[Check]:
    names = [name for name, _ in network_map.pairs]
    absent = _absent(names, [interface.name for interface in machine.interfaces])
    text = f"p2v.network connects {' and '.join(absent)}, which this machine does not have."
    if absent and len(absent) == len(names) and network_map.default == NetworkMap.default:
        yield INTERFACES.warning(
            f"{text} All of the guest's interfaces would be in the network {NetworkMap.default}.",
            f"{_interfaces(machine)} p2v.network=NETWORK connects all of them.",
        )
    elif absent:
        yield INTERFACES.noted(text, _interfaces(machine))


def _interfaces(machine: Machine) -> str:
    names = ", ".join(interface.name for interface in machine.interfaces)
    return f"It has {names}." if names else "It has no physical network interface."


def usable(media: Sequence[RemovableMedium]) -> tuple[RemovableMedium, ...]:
    """The drives of a kind that a guest can have."""
    return tuple(medium for medium in media if medium.kind is not MediumKind.OTHER)


def default_drives(machine: Machine, disks: int) -> tuple[RemovableMedium, ...]:
    """The drives that a guest gets by default. disks: how many it has.

    If the guest's system has no virtio drivers, its disks are among the four IDE drives, but that is known only after
    the conversion. A guest with more than four disks cannot be of that kind, and most are not: so one CD drive always
    stays.
    """
    room = max(IDE_DRIVES - disks, 1) if disks <= IDE_DRIVES else IDE_DRIVES
    own = [medium for medium in usable(machine.removable) if not medium.management]
    return _fitting(own, room)


def choose_drives(named: Sequence[str] | None, machine: Machine, disks: int) -> Drives:
    """The drives with these names; the default for None. Raises SettingsError if one is named twice."""
    known = {medium.name: medium for medium in usable(machine.removable)}
    if named is None:
        chosen = default_drives(machine, disks)
        return Drives(chosen, tuple(_left_out(chosen, machine)))
    names = [name.removeprefix("/dev/") for name in named]
    check_named_once(names, "removable")
    wanted = [known[name] for name in names if name in known]
    chosen = _fitting(wanted, IDE_DRIVES)
    return Drives(chosen, (*_absent_drives(names, known), *_too_many(wanted, chosen)))


def _fitting(media: Sequence[RemovableMedium], room: int) -> tuple[RemovableMedium, ...]:
    """The first ones, up to a guest's limit. room: how many CD drives fit."""
    left = {MediumKind.CDROM: room, MediumKind.FLOPPY: FLOPPY_DRIVES}
    fitting = []
    for medium in media:
        left[medium.kind] -= 1
        if left[medium.kind] >= 0:
            fitting.append(medium)
    return tuple(fitting)


def _left_out(chosen: Sequence[RemovableMedium], machine: Machine) -> Iterator[Check]:
    left = [medium for medium in usable(machine.removable) if medium not in chosen]
    management = [medium.name for medium in left if medium.management]
    if management:
        yield DRIVES.noted(
            f"Drives of the management controller are left out: {', '.join(management)}.",
            "The guest has no such controller. p2v.removable=NAME gives it a drive all the same.",
        )
    others = [medium for medium in left if not medium.management]
    yield from _no_room(others)


def _too_many(wanted: Sequence[RemovableMedium], chosen: Sequence[RemovableMedium]) -> Iterator[Check]:
    yield from _no_room([medium for medium in wanted if medium not in chosen])


def _no_room(left: Sequence[RemovableMedium]) -> Iterator[Check]:
    if left:
        yield DRIVES.noted(
            f"Left out: {', '.join(medium.name for medium in left)}. A guest can have {IDE_DRIVES} IDE drives, CD "
            f"drives among them, and {FLOPPY_DRIVES} floppy drives.",
            "It gets a drive empty, and one can be added later. p2v.removable=NAME,NAME names others.",
        )


def _absent_drives(names: Sequence[str], known: dict[str, RemovableMedium]) -> Iterator[Check]:
    absent = _absent(names, list(known))
    if absent:
        there = ", ".join(known)
        yield DRIVES.noted(
            f"This machine has no CD, DVD or floppy drive {_either(absent)}.",
            f"There are: {there}." if there else "It has none.",
        )


def check_named_once(names: Sequence[str], setting: SettingName) -> None:
    """Raises SettingsError if a name is given twice."""
    for position, name in enumerate(names):
        if name in names[:position]:
            raise SettingsError(
                f"{name} is named twice in p2v.{setting}.", f"Name each one in p2v.{setting} once.", setting=setting
            )


def _absent(names: Sequence[str], known: Sequence[str]) -> list[str]:
    return [name for name in names if name not in known]


def _either(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
