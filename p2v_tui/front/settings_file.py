"""The settings that an operator has chosen, as a file that p2v-tui reads again: on the screens, or with --config.

It holds one `p2v.*` word a line, and comments that say what it is of and what is not in it: secrets.
"""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass
from typing import Any, Final

from p2v_tui import __version__
from p2v_tui.cmdline import Written
from p2v_tui.config import BOOT_SETTINGS, Settings
from p2v_tui.config_file import holds_secrets, parse_all, private_file
from p2v_tui.errors import SettingsError
from p2v_tui.front.device_words import disk_line, shown
from p2v_tui.front.kept_file import SETTINGS_SUFFIX, Kept, KeptFile, file_name
from p2v_tui.hwprobe import Machine
from p2v_tui.kinds import NetworkMap
from p2v_tui.session.plan.devices import choose_drives, choose_interfaces
from p2v_tui.session.plan.plan import find_disk

DEFAULTS_HOLD: Final = "Anything not listed uses this machine's defaults: all disks, all interfaces, its name."
_GIVE_AGAIN: Final = "# Secrets are not in here. To give again: "
# What a boot asks for, and not the conversion.
_OF_THIS_START: Final = (*BOOT_SETTINGS, "dry_run", "dump_config_and_exit")


@dataclass(frozen=True)
class Loaded:
    """settings: what the fields are to say. notes: what the operator should know about them."""

    settings: Settings
    notes: tuple[str, ...]


def settings_file(
    written: Written, guest: str, machine: Machine, disks: tuple[str, ...], now: datetime.datetime
) -> KeptFile:
    """guest: its name. disks: the names of those that are to be converted. now: with its time zone."""
    address = f" ({machine.interfaces[0].mac})" if machine.interfaces else ""
    name = shown(machine.hostname) or "a machine without a name"
    lines = [
        f"# Settings of p2v-tui {__version__} for the machine {name}{address}, {now:%Y-%m-%d %H:%M %z}".rstrip(),
        "# Load them with F8 on the first screen, with --config, or in one line as kernel arguments.",
        f"# {DEFAULTS_HOLD}",
    ]
    # The kernel may give the names to other disks at the next boot.
    for disk in machine.nameable:
        serial = f"  serial {shown(disk.serial)}" if disk.serial else ""
        lines += [f"# Disk: {disk_line(disk)}{serial}"] if disk.name in disks else []
    lines += [f"{_GIVE_AGAIN}{shown(' '.join(written.missing))}"] if written.missing else []
    text = "\n".join([*lines, *written.words, ""])
    return KeptFile(file_name(guest, SETTINGS_SUFFIX), text.encode())


def read_settings(found: Kept, before: Settings, machine: Machine) -> Loaded:
    """What the file says, in place of what the fields said before. Secrets that it lacks stay where they still fit.

    Raises SettingsError with everything that is wrong in the file.
    """
    loaded = parse_all(found.content, found.where)
    if holds_secrets(loaded) and (error := private_file(found.where, found.mode)):
        raise error
    return Loaded(_with_secrets(loaded, before), (*_to_give_again(found.content), *lacking(loaded, machine)))


def lacking(settings: Settings, machine: Machine) -> tuple[str, ...]:
    """What the settings name and this machine does not have, a warning each."""
    said = []
    for name in settings.disks or ():
        try:
            find_disk(name, machine)
        except SettingsError as error:
            said.append(f"{error.message} {error.advice}")
    network_map = settings.network_map or NetworkMap()
    checks = [*choose_interfaces(settings.interfaces or (), network_map, machine).checks]
    if settings.removable is not None:
        checks += choose_drives(settings.removable, machine, len(settings.disks or machine.disks)).checks
    said += [f"{check.text} {check.advice}" for check in checks]
    return tuple(f"Warning: {text}" for text in said)


def _with_secrets(loaded: Settings, before: Settings) -> Settings:
    kept: dict[str, Any] = {name: getattr(before, name) for name in _OF_THIS_START}
    # A password goes to nobody but the account for which it was typed.
    if loaded.password is None and (loaded.server, loaded.username) == (before.server, before.username):
        kept["password"] = before.password
    same_output = loaded.output_connection == before.output_connection and loaded.output_type == before.output_type
    if loaded.output_password is None and same_output:
        kept["output_password"] = before.output_password
    if not loaded.keys:
        kept["keys"] = before.keys
    return dataclasses.replace(loaded, **kept)


def _to_give_again(content: bytes) -> tuple[str, ...]:
    lines = content.decode(errors="replace").splitlines()
    words = next((line.removeprefix(_GIVE_AGAIN) for line in lines if line.startswith(_GIVE_AGAIN)), "")
    return (f"Not in it, as it is secret: {shown(words)}",) if words else ()
