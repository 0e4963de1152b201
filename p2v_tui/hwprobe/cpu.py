"""The processors: vendor, model, flags, topology."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import psutil

from p2v_tui.hwprobe.machine import Cpu, Topology
from p2v_tui.hwprobe.places import Places, entries, exists, read_text

# CPUID's vendor string and libvirt's name for it.
_VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon"}


def read_cpu(places: Places) -> Cpu:
    """The processors as they run now."""
    first = _first_processor(read_text(places.proc / "cpuinfo") or "")
    cpus = places.sys / "devices/system/cpu"
    online = _online(cpus)
    return Cpu(
        vendor=_VENDORS.get(first.get("vendor_id", "")),
        model_name=first.get("model name") or None,
        flags=frozenset((first.get("flags") or first.get("Features") or "").split()),
        topology=_topology(cpus, online),
        online=len(online),
        acpi=exists(places.sys / "firmware/acpi"),
    )


def _first_processor(cpuinfo: str) -> dict[str, str]:
    """The fields of the first processor in the text of /proc/cpuinfo."""
    pairs = (line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def numbers_in(text: str) -> frozenset[int]:
    """The numbers in the kernel's list form: `0-3,8` is 0, 1, 2, 3 and 8."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _online(cpus: Path) -> frozenset[int]:
    return numbers_in(read_text(cpus / "online") or "") or frozenset(range(psutil.cpu_count() or 1))


def _topology(cpus: Path, online: frozenset[int]) -> Topology:
    """The topology of the processors that are online, from sysfs.

    A guest's topology is a product of three numbers. If the machine's is not (performance and efficiency cores, some
    threads offline, different sockets, or sysfs does not say), the result is flat: one socket, one thread.
    """
    flat = Topology(1, max(1, len(online)), 1)
    cores_of: defaultdict[str, set[frozenset[int]]] = defaultdict(set)
    for entry in entries(cpus):
        number = entry.name.removeprefix("cpu")
        if not number.isdecimal() or int(number) not in online:
            continue
        package = read_text(entry / "topology/physical_package_id")
        # core_id repeats between dies of one package; the list of a core's threads is unique on every kernel.
        siblings = read_text(entry / "topology/core_cpus_list") or read_text(entry / "topology/thread_siblings_list")
        if package is None or siblings is None:
            return flat
        cores_of[package].add(numbers_in(siblings) & online)
    cores = Counter(len(found) for found in cores_of.values())
    threads = Counter(len(core) for found in cores_of.values() for core in found)
    if len(cores) != 1 or len(threads) != 1:
        return flat
    topology = Topology(len(cores_of), next(iter(cores)), next(iter(threads)))
    return topology if topology.processors == len(online) else flat
