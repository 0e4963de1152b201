"""Identifies this machine, to recognize it after a restart: by the firmware's tables and the network."""

from __future__ import annotations

import re
from dataclasses import dataclass

from p2v_tui.hwprobe.places import Places, entries, read_text

# UUIDs of firmware whose maker has filled in nothing: one repeated byte, or a row of numbers, with the bytes in
# either order. The last one is Dell's without a service tag.
_NO_UUIDS = re.compile(
    r"([0-9a-f]{2})\1{3}(-\1\1){3}-\1{6}|"
    "(03000200-0400-0500|00020003-0004-0005)-0006-000700080009|"
    "(12345678-1234-5678|78563412-3412-7856)-90ab-cddeefaabbcc|"
    "(01020304-0506-0708|04030201-0605-0807)-090a-0b0c0d0e0f10|"
    "4c4c4544-0000-2010-8020-80c04f202020"
)
_NO_SERIALS = re.compile(
    r"|[0. x-]*|[\W_]*|none|n/?a|not (specified|applicable|available|present)|default( string)?|empty|unknown|"
    r"invalid|undefined|no (asset|serial)|system serial number|to be filled by o\.?e\.?m\.?|o\.?e\.?m\.?|"
    r"(chassis )?serial number|0?123456789(0|abcdef)?"
)
# ARPHRD_ETHER.
_ETHERNET = "1"
# The bit in the first byte of a locally administered address (IEEE 802).
_LOCAL = 0x02


@dataclass(frozen=True)
class MachineIdentity:
    """uuid, serial: the system's in SMBIOS, in lower case; None if not usable. macs: lower case."""

    uuid: str | None
    serial: str | None
    macs: frozenset[str]

    def same_machine(self, other: MachineIdentity) -> bool:
        """Whether all that both know agrees, and they know something. One common network address is enough."""
        agreements = [
            mine == theirs
            for mine, theirs in ((self.uuid, other.uuid), (self.serial, other.serial))
            if mine is not None and theirs is not None
        ]
        if self.macs and other.macs:
            agreements.append(bool(self.macs & other.macs))
        return bool(agreements) and all(agreements)


def identify(places: Places | None = None) -> MachineIdentity:
    """Identifies this machine. Only root may read the firmware's serial numbers."""
    places = places or Places()
    tables = places.sys / "class/dmi/id"
    return MachineIdentity(
        uuid=_worth((read_text(tables / "product_uuid") or "").lower(), _NO_UUIDS),
        serial=_worth((read_text(tables / "product_serial") or "").lower(), _NO_SERIALS),
        macs=frozenset(_macs(places)),
    )


def _worth(text: str, nothing: re.Pattern[str]) -> str | None:
    return text if text and not nothing.fullmatch(text) else None


def _macs(places: Places) -> set[str]:
    """The addresses of the interfaces with hardware, with or without udev; the permanent one in a bond.

    Preferably only those that belong to this machine alone: people carry USB adapters from machine to machine, and a
    management controller's network over USB has the same address in every machine of its make, mostly a locally
    administered one.
    """
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for entry in entries(places.sys / "class/net"):
        if not (entry / "device").exists() or read_text(entry / "type") not in {_ETHERNET, None}:
            continue
        address = read_text(entry / "bonding_slave/perm_hwaddr") or read_text(entry / "address") or ""
        if re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", address.lower()) and set(address) != {"0", ":"}:
            usb = any(re.fullmatch("usb[0-9]+", part) for part in (entry / "device").resolve().parts)
            found[not usb and not int(address[:2], 16) & _LOCAL].add(address.lower())
    return found[True] or found[False]
