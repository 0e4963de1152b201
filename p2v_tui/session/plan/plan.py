"""Makes the plan of one conversion from the settings and the machine, and checks it.

Only `with_keys` uses the network, and nothing is written.
"""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2v_tui.config import Settings
from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.images import read_image
from p2v_tui.hwprobe.machine import (
    Disk,
    Firmware,
    Machine,
    Topology,
)
from p2v_tui.kinds import MAX_GUEST_NAME, NetworkMap, Secret
from p2v_tui.session.plan.devices import choose_drives, choose_interfaces, default_drives
from p2v_tui.session.plan.disk_choice import default_disks
from p2v_tui.session.plan.disk_names import find_named, plain
from p2v_tui.session.plan.guess_checks import judge_guesses
from p2v_tui.session.plan.output_modes import Output, choose_output, find_mode
from p2v_tui.session.plan.plan_checks import judge_disks
from p2v_tui.session.plan.size_checks import judge_size
from p2v_tui.session.plan.volume_keys import AssignedKey, VolumeKey, assign_keys, get_keys
from p2v_tui.session.ssh.fetch import Persistence
from p2v_tui.session.words.checks import Check
from p2v_tui.session.words.events import Report
from p2v_tui.xmlgen import Guest, GuestDisk, GuestInterface


@dataclass(frozen=True)
class Plan:
    """One conversion, complete except for the ports of the data connections.

    settings: with the machine's defaults filled in. image: of --test-disk.
    set_read_only: tell the kernel to refuse writes to the disks before they are served.
    wanted_keys: for its encrypted volumes. keys: the same once `with_keys` has fetched them. checks: of the choices;
    they are enforced together with those of the server and of the disks.
    """

    guest: Guest
    disks: tuple[Disk, ...]
    output: Output
    settings: Settings
    image: Path | None = None
    set_read_only: bool = False
    wanted_keys: tuple[AssignedKey, ...] = ()
    keys: tuple[VolumeKey, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def nbd(self) -> str | None:
        """The program that serves the disks; None for the first that is installed."""
        return self.settings.nbd

    @property
    def debug(self) -> bool:
        return self.settings.debug

    def guest_with(self, ports: Sequence[int]) -> Guest:
        """The guest with its disks. ports: one for each of `disks`, on the conversion server's loopback."""
        disks = tuple(GuestDisk(disk, port) for disk, port in zip(self.disks, ports, strict=True))
        return dataclasses.replace(self.guest, disks=disks)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What only the conversion server may see."""
        password = (self.output.password,) if self.output.password else ()
        return (*password, *(key.passphrase for key in self.keys))


def with_keys(plan: Plan, report: Report, persistence: Persistence | None = None) -> Plan:
    """The plan with the keys of its encrypted volumes, fetched and tried.

    It takes as long as the web server and the volumes do. persistence: without it each is fetched with one try.
    Raises WrongKey, a SettingsError; Cancelled.
    """
    return dataclasses.replace(plan, keys=get_keys(plan.wanted_keys, report, persistence))


def fill_in(settings: Settings, machine: Machine, image: Path | None = None) -> Settings:
    """The settings with this machine's defaults filled in, as the dump and the forms show them.

    image: a disk image to convert instead of the machine's disks (--test-disk).
    """
    cpu, clock = machine.cpu, machine.clock
    all_disks = (str(image),) if image else tuple(disk.name for disk in default_disks(machine))
    count = len(all_disks if settings.disks is None else settings.disks)
    all_removable = () if image else tuple(medium.name for medium in default_drives(machine, count))
    defaults = {
        "guestname": _default_name(machine.hostname),
        "vcpus": cpu.online,
        "memory": machine.memory,
        "cpu_vendor": cpu.vendor,
        "cpu_acpi": cpu.acpi,
        "cpu_apic": "apic" in cpu.flags,
        "cpu_pae": "pae" in cpu.flags,
        "rtc_basis": clock.basis.value,
        "rtc_offset": clock.offset,
        "disks": all_disks,
        "removable": all_removable,
        "interfaces": tuple(interface.name for interface in machine.interfaces),
        "network_map": NetworkMap(),
        "output_storage": find_mode(settings.output_type).default_storage,
    }
    missing = {name: value for name, value in defaults.items() if getattr(settings, name) is None}
    return dataclasses.replace(settings, **missing)  # type: ignore[arg-type]


def make_plan(
    settings: Settings, machine: Machine, image: Path | None = None, *, set_read_only: bool = False
) -> Plan:
    """The plan for these settings on this machine. Raises SettingsError, with what does not fit and what would."""
    chosen = fill_in(settings, machine, image)
    disks = _choose_disks(chosen.disks or (), machine)
    network_map = chosen.network_map or NetworkMap()
    interfaces = choose_interfaces(chosen.interfaces or (), network_map, machine)
    no_drives = image is not None and settings.removable is None
    drives = choose_drives(() if no_drives else settings.removable, machine, len(disks))
    guest = Guest(
        name=chosen.guestname or _default_name(machine.hostname),
        memory=chosen.memory or machine.memory,
        topology=_topology(chosen, machine),
        disks=(),
        removable=drives.chosen,
        interfaces=tuple(
            GuestInterface(interface.name, interface.mac, network_map.target(interface.name))
            for interface in interfaces.chosen
        ),
        cpu_vendor=chosen.cpu_vendor,
        cpu_model=chosen.cpu_model,
        acpi=bool(chosen.cpu_acpi),
        apic=bool(chosen.cpu_apic),
        pae=bool(chosen.cpu_pae),
        firmware=_firmware(chosen.target_firmware, disks, machine),
    )
    wanted_keys = assign_keys(chosen.keys, disks, machine.disks)
    return Plan(
        guest,
        disks,
        choose_output(settings),
        chosen,
        image,
        set_read_only,
        wanted_keys,
        checks=(
            *judge_disks(disks, machine, named=bool(image or settings.disks)),
            *judge_guesses(disks, machine, memory_given=settings.memory is not None),
            *judge_size(guest.topology.processors, guest.memory, machine),
            *interfaces.checks,
            *drives.checks,
        ),
    )


def _default_name(hostname: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._+-]", "-", hostname.partition(".")[0]).lstrip("._+-")[:MAX_GUEST_NAME]
    # A live image without a name from DHCP is "localhost", so all guests would have the same name.
    return name if name and name != "localhost" else f"p2v-{secrets.token_hex(4)}"


def _topology(settings: Settings, machine: Machine) -> Topology:
    if settings.phys_topo:
        return machine.cpu.topology
    return Topology(1, settings.vcpus or machine.cpu.online, 1)


def _firmware(wanted: str, disks: Sequence[Disk], machine: Machine) -> Firmware | None:
    if wanted != "auto":
        return Firmware(wanted)
    # The installed system was looked for on the machine's boot disk only.
    return machine.installed_firmware if machine.disks and disks[0] == machine.disks[0] else None


_WHERE_A_DISK_IS: Final = "If one is missing, so may be its driver: look at dmesg and lspci in the shell."
_IMAGE_BOOTS: Final = "Disks that are in use are free when the machine runs from the live image (docs/live-image.md)."


def _choose_disks(names: Sequence[str], machine: Machine) -> tuple[Disk, ...]:
    if not names:
        left_out = _left_out(machine)
        raise SettingsError(
            "No fixed disk was found to convert."
            + (f" These were left out: {left_out}." if left_out else " None was found on this machine."),
            f"{_which_can_be_named(machine)} {_WHERE_A_DISK_IS}",
            setting="disks",
        )
    disks = [find_disk(name, machine) for name in names]
    for position, disk in enumerate(disks):
        if any(other.device == disk.device for other in disks[:position]):
            raise SettingsError(
                f"The disk {disk.name} is named twice.", "Name each disk in p2v.disks once.", setting="disks"
            )
    for disk in disks:
        _check_readable(disk)
    return tuple(disks)


def find_disk(name: str, machine: Machine) -> Disk:
    """The disk that a name in p2v.disks means. Raises SettingsError, with what there is instead."""
    if name.startswith("/") and (image := disk_image(Path(name))) is not None:
        return image
    if (found := find_named(name, machine.nameable)) is not None:
        return found
    plain_name = plain(name)
    # `disk/by-id/...` is short for a path.
    path = name if name.startswith("/") else f"/dev/{name}" if "/" in name else None
    device = Path(os.path.realpath(path)) if path else None
    for disk in machine.nameable:
        for partition in disk.partitions:
            if plain_name == partition.name or (device and device.name == partition.name):
                raise SettingsError(
                    f"{name} is a partition of {disk.name}; only whole disks can be converted.",
                    f"Write p2v.disks={disk.name}.",
                    setting="disks",
                )
    for excluded in machine.excluded:
        if excluded.name == plain_name or (device and device.name == excluded.name):
            raise SettingsError(
                f"The disk {name} cannot be converted: {excluded.reason}.", _choices(machine), setting="disks"
            )
    nor = ", nor was a disk image of that name" if name.startswith("/") and not name.startswith("/dev/") else ""
    raise SettingsError(
        f"The fixed disk {name} was not found on this machine{nor}.", _choices(machine), setting="disks"
    )


def _choices(machine: Machine) -> str:
    names = ", ".join(disk.name for disk in machine.disks)
    if names:
        return f"There are: {names}."
    left_out = _left_out(machine)
    return f"No fixed disk of this machine can be converted{f': {left_out}' if left_out else ''}. {_IMAGE_BOOTS}"


def _which_can_be_named(machine: Machine) -> str:
    names = ", ".join(disk.name for disk in machine.nameable)
    return f"p2v.disks may name {names} all the same." if names else _IMAGE_BOOTS


def _left_out(machine: Machine) -> str:
    return "; ".join(f"{disk.name}: {disk.reason}" for disk in machine.excluded if disk.worth_listing)


def disk_image(path: Path) -> Disk | None:
    """A regular file as a disk; None if the path is something else (a device) or does not exist.

    Raises SettingsError for an empty one.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    if status.st_size == 0:
        raise SettingsError(f"The disk image {path} is empty.", "Name a raw disk image.", setting="disks")
    return read_image(path, status.st_size)


def _check_readable(disk: Disk) -> None:
    try:
        os.close(os.open(disk.device, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        advice = "Run p2v-tui as root." if isinstance(error, PermissionError) else "Look at dmesg for its errors."
        raise SettingsError(
            f"The disk {disk.name} cannot be read: {error.strerror}.", advice, setting="disks"
        ) from error
