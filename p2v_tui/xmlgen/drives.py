"""The names of removable drives in physical.xml, from which virt-v2v takes their slots in the guest. A machine may
have `sr7` and a USB floppy drive called `sdc`; a guest on QEMU's i440fx has one IDE controller with four drives and
one floppy controller with two. libvirt refuses to define others, after everything was copied.
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
    """A name for each drive: its own if that is a free slot of a guest, else the first free slot.

    media: at most IDE_DRIVES CD drives and FLOPPY_DRIVES floppy drives.
    """
    cdroms = _slots([medium for medium in media if medium.kind is MediumKind.CDROM], IDE_DRIVES)
    floppies = _slots([medium for medium in media if medium.kind is MediumKind.FLOPPY], FLOPPY_DRIVES)
    # virt-v2v knows Linux's `sr0`, but a floppy drive only as `fda`.
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
    """The slot in the names `sr1`, `hdb`, `fd1` and `fdb`; None for the name of a USB drive."""
    found = re.fullmatch(r"(?:sr|fd)(\d)|(?:hd|fd)([a-d])", medium.name)
    if not found:
        return None
    return int(found[1]) if found[1] else string.ascii_lowercase.index(found[2])
