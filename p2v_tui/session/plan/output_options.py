"""virt-v2v's -oo options: which each output mode has, from which version on, and what values they take.

From virt-v2v's output/*.ml, 1.40 to 2.13 (`virt-v2v -o MODE -oo '?'` lists them). virt-v2v itself reports a wrong
option only after it has looked at the disks, and exits with 0 when it is asked for the list.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

# The newest version whose options were read; a later one may have others.
NEWEST_KNOWN: Final = (2, 13)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# OCaml's bool_of_string takes no other spelling.
_FLAGS: Final = ("", "true", "false")


class Value(enum.Enum):
    """TEXT: not empty. FLAG: empty, true or false. ANY: virt-v2v decides."""

    TEXT = "text"
    FLAG = "flag"
    UUID = "uuid"
    ANY = "any"


@dataclass(frozen=True)
class MiscOption:
    """One -oo of a mode. name: a * at its end matches anything. choices: its only values.

    since: virt-v2v's version. once: may not be repeated. per_disk: if given, then once for each disk of the guest.
    """

    name: str
    value: Value = Value.TEXT
    choices: tuple[str, ...] = ()
    since: tuple[int, ...] = (1, 40)
    once: bool = False
    per_disk: bool = False

    def has_name(self, name: str) -> bool:
        return name.startswith(self.name[:-1]) if self.name.endswith("*") else name == self.name

    def wrong_value(self, value: str) -> str | None:
        """Says what the value should be instead; None if it is right."""
        if self.choices and value not in self.choices:
            return f"takes {' or '.join(self.choices)}"
        if self.value is Value.FLAG and value not in _FLAGS:
            return "takes true, false or no value"
        if self.value is Value.UUID and not _UUID.fullmatch(value):
            return "takes a UUID"
        if self.value is Value.TEXT and not value:
            return "needs a value after ="
        return None


COMPRESSED: Final = MiscOption("compressed", Value.FLAG, since=(2, 1))
QEMU: Final = (COMPRESSED, MiscOption("qemu-boot", Value.FLAG))
KUBEVIRT: Final = (
    MiscOption("compressed", Value.FLAG, since=(2, 3)),
    MiscOption("disk", Value.ANY, since=(2, 9)),
    MiscOption("create", Value.ANY, since=(2, 9)),
)
OPENSTACK: Final = (
    MiscOption("server-id"),
    MiscOption("guest-id"),
    MiscOption("dev-disk-by-id"),
    MiscOption("availability-zone", since=(2, 7)),
    MiscOption("verify-server-certificate", Value.FLAG),
    MiscOption("os-*", Value.ANY),
)


def _ovirt(prefix: str, since: tuple[int, ...]) -> tuple[MiscOption, ...]:
    return (
        MiscOption(f"{prefix}-cafile", since=since, once=True),
        MiscOption(f"{prefix}-cluster", since=since, once=True),
        MiscOption(f"{prefix}-direct", Value.FLAG, since=since),
        MiscOption(f"{prefix}-proxy", Value.FLAG, since=max(since, (1, 45))),
        MiscOption(f"{prefix}-verifypeer", Value.FLAG, since=since),
        MiscOption(f"{prefix}-disk-uuid", Value.UUID, since=since, per_disk=True),
    )


OVIRT_UPLOAD: Final = (*_ovirt("rhv", (1, 40)), *_ovirt("ovirt", (2, 7)))
VDSM: Final = (
    MiscOption("vdsm-compat", choices=("0.10", "1.1")),
    MiscOption("vdsm-vm-uuid", once=True),
    MiscOption("vdsm-ovf-output", once=True),
    MiscOption("vdsm-ovf-flavour"),
    MiscOption("vdsm-image-uuid", per_disk=True),
    MiscOption("vdsm-vol-uuid", per_disk=True),
)
JSON: Final = (MiscOption("json-disks-pattern"),)


def find_option(known: Sequence[MiscOption], given: str) -> tuple[MiscOption | None, str]:
    """The option of one -oo (None if the mode does not have it) and its value."""
    name, _, value = given.partition("=")
    return next((option for option in known if option.has_name(name)), None), value


def wrong_options(known: Sequence[MiscOption], given: Sequence[str], disks: int) -> Iterator[str]:
    """What is wrong with the known ones of these -oo, a sentence each. disks: how many the guest has."""
    counted: Counter[str] = Counter()
    for text in given:
        option, value = find_option(known, text)
        if option is None:
            continue
        if wrong := option.wrong_value(value):
            yield f"-oo {text.partition('=')[0]} {wrong}."
        counted[option.name] += 1
    for option in known:
        count = counted[option.name]
        if option.once and count > 1:
            yield f"-oo {option.name} may be given only once."
        if option.per_disk and count not in (0, disks):
            yield f"-oo {option.name} must be given once for each disk: {disks} times, not {count}."


def unknown_options(known: Sequence[MiscOption], given: Sequence[str], version: Sequence[int]) -> tuple[str, ...]:
    """The names of those -oo that the mode does not have in that version; empty if the version is not known."""
    if not version or tuple(version[:2]) > NEWEST_KNOWN:
        return ()
    names = (text.partition("=")[0] for text in given)
    there = available_options(known, version)
    return tuple(name for name in names if not any(option.has_name(name) for option in there))


def available_options(known: Sequence[MiscOption], version: Sequence[int]) -> tuple[MiscOption, ...]:
    return tuple(option for option in known if tuple(version) >= option.since)
