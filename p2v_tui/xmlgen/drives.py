"""The names of removable drives in physical.xml, by which virt-v2v gives them their slots in the guest.

A host may have `sr7` and a USB floppy drive called `sdc`; a guest on QEMU's i440fx has one IDE controller of four
drives and one floppy controller of two, and libvirt refuses to define it with others, after everything was copied.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Final

from p2v_tui.hwprobe.machine import MediumKind, RemovableMedium

IDE_DRIVES: Final = 4
FLOPPY_DRIVES: Final = 2


def drive_names(media: Sequence[RemovableMedium]) -> tuple[str, ...]:
    """A name for each drive: its own where that is a slot of a guest and still free, else the first free slot.

    media: at most IDE_DRIVES CD drives and FLOPPY_DRIVES floppy drives.
    """
    cdroms = _slots([medium for medium in media if medium.kind is MediumKind.CDROM], IDE_DRIVES)
    floppies = _slots([medium for medium in media if medium.kind is MediumKind.FLOPPY], FLOPPY_DRIVES)
    # virt-v2v knows `sr0` as Linux has it, but a floppy drive only as `fda`.
    named = {name: f"sr{slot}" for name, slot in cdroms.items()}
    named |= {name: f"fd{string.ascii_lowercase[slot]}" for name, slot in floppies.items()}
    return tuple(named[medium.name] for medium in media)


def _slots(media: Sequence[RemovableMedium], count: int) -> dict[str, int]:
    taken: dict[str, int] = {}
    for medium in media:
        slot = _own_slot(medium)
        if slot is not None and slot < count and slot not in taken.values():
            taken[medium.name] = slot
    free = [slot for slot in range(count) if slot not in taken.values()]
    others = (medium for medium in media if medium.name not in taken)
    return taken | {medium.name: slot for medium, slot in zip(others, free, strict=False)}


def _own_slot(medium: RemovableMedium) -> int | None:
    """The slot in the names `sr1`, `hdb`, `fd1` and `fdb`; None in that of a USB drive, which is no slot."""
    found = re.fullmatch(r"(?:sr|fd)(\d)|(?:hd|fd)([a-d])", medium.name)
    if not found:
        return None
    return int(found[1]) if found[1] else string.ascii_lowercase.index(found[2])
