"""How much memory the machine has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from p2v_tui.hwprobe.machine import Memory, MemorySource
from p2v_tui.hwprobe.places import Places, entries, read_bytes, read_number, read_text

MIB = 1 << 20
GIB = 1 << 30

# SMBIOS (DSP0134): structure 16 describes a memory array, with its use at 5; structure 17 a module in it, with the
# array's handle at 4, the size at 0x0c and, where that does not fit, the extended size at 0x1c.
_SYSTEM_MEMORY = 3
_NO_SIZE = frozenset({0, 0xFFFF})
_SIZE_IS_EXTENDED = 0x7FFF
_SIZE_IN_KIB = 0x8000
# Next to the hole for devices a block may exist only in part, but counts as a whole one.
_PARTIAL_BLOCKS = 2


def installed_memory(places: Places) -> int:
    """The memory of the machine in bytes, from the best source."""
    return read_memory(places).size


def read_memory(places: Places) -> Memory:
    """The memory of the machine, and the source of that figure.

    Three sources, the first plausible one wins:

    1. The memory blocks that the kernel has online: what the firmware mapped as RAM, in blocks of 128 MiB to 2 GiB.
       If rounding to blocks makes them a little more than the modules have, the modules are exact.
    2. The firmware's list of modules (SMBIOS): what is printed on them. In one of forty servers that is 12 to 20 per
       cent more than the machine can use: modules are in reserve, mirrored or broken.
    3. MemTotal: what the kernel can use, some per cent less. Rounded up to whole MiB.

    A figure is plausible if it is at least MemTotal and not much more. A far larger one means that the running system
    cannot use it all (mirrored memory, `mem=` on the kernel's command line).

    The figure is not rounded up to a power of two, as the original virt-p2v does: 23 GiB would become 32 GiB and
    96 GiB would become 128 GiB, and a guest with more memory than the machine ever had takes it from others.
    """
    total = _total(places)
    spare = max(2 * GIB, total // 4)
    unit, blocks = _blocks(places)
    modules = _modules(places)
    if total <= modules <= blocks < modules + _PARTIAL_BLOCKS * unit:
        return Memory(modules, MemorySource.MODULES)
    for found, source in ((blocks, MemorySource.BLOCKS), (modules, MemorySource.MODULES)):
        if total <= found <= total + spare:
            return Memory(found, source)
    return Memory(-(-total // MIB) * MIB, MemorySource.IN_USE)


def _total(places: Places) -> int:
    found = re.search(r"^MemTotal:\s*(\d+) kB", read_text(places.proc / "meminfo") or "", re.MULTILINE)
    return int(found[1]) * 1024 if found else int(psutil.virtual_memory().total)


def _modules(places: Places) -> int:
    """The sum of the modules in arrays of system memory, in bytes; 0 if the firmware lists none.

    Only root may read SMBIOS. Graphics and flash memory have arrays of their own and are left out.
    """
    table = places.sys / "firmware/dmi/entries"
    system = {raw[2:4] for raw in _structures(table, 16) if len(raw) > 5 and raw[5] == _SYSTEM_MEMORY}
    return sum(module_size(raw) for raw in _structures(table, 17) if raw[4:6] in system)


def _structures(table: Path, kind: int) -> Iterator[bytes]:
    for entry in entries(table):
        if entry.name.startswith(f"{kind}-") and (raw := read_bytes(entry / "raw")):
            yield raw


def module_size(structure: bytes) -> int:
    """The size of a module in bytes, from its SMBIOS structure; 0 for an empty slot or one of unknown size."""
    size = int.from_bytes(structure[0x0C:0x0E], "little")
    if size in _NO_SIZE:
        return 0
    if size == _SIZE_IS_EXTENDED:
        return (int.from_bytes(structure[0x1C:0x20], "little") & 0x7FFFFFFF) * MIB
    return (size & ~_SIZE_IN_KIB) * 1024 if size & _SIZE_IN_KIB else size * MIB


def _blocks(places: Places) -> tuple[int, int]:
    """The size of a memory block, and of all online ones, in bytes; 0 if the kernel has none (no hotplug)."""
    memory = places.sys / "devices/system/memory"
    unit = read_number(memory / "block_size_bytes", 16) or 0
    numbered = (entry for entry in entries(memory) if re.fullmatch(r"memory\d+", entry.name)) if unit else ()
    return unit, unit * sum(read_text(block / "state") == "online" for block in numbered)
