"""Asks LVM's own tool for the physical volumes and their volume groups. It reads the metadata of the given devices
only. Nothing is locked, activated or written, not even below /etc/lvm, and the live system's own settings do not
matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from p2v_tui.hwprobe.blockdev import BlockDevice
from p2v_tui.hwprobe.places import Places

# One argument of a command may have 128 KiB (MAX_ARG_STRLEN): a filter for some 600 devices.
_LONGEST_ARGUMENT: Final = 96 * 1024
_COLUMNS: Final = "pv_name,vg_name,vg_uuid,vg_missing_pv_count"


def physical_volumes(holding: Iterable[BlockDevice], places: Places) -> list[dict[str, str]] | None:
    """What pvs reports of these devices, a row each; None where it is missing or fails."""
    report = places.run(pvs_command(holding))
    return None if report is None else _rows(report)


def pvs_command(holding: Iterable[BlockDevice]) -> list[str]:
    """The command that reads LVM's metadata on these devices and nothing else on the machine."""
    devices = tuple(holding)
    # For LVM a group of a cluster or with a system ID belongs to another host; these options report it.
    command = ["pvs", "--readonly", "--foreign", "--shared", "--reportformat", "json", "-o", _COLUMNS]
    nodes = [str(device.node) for device in devices]
    mapped = [f"/dev/mapper/{device.dm_name}" for device in devices if device.dm_name]
    allowed = ", ".join(json.dumps(f"a|^{re.escape(node)}$|") for node in nodes + mapped)
    settings = _settings(f'{allowed}, "r|.*|"')
    if len(settings) <= _LONGEST_ARGUMENT:
        return [*command, "--config", settings]
    # LVM before 2.03.12 does not have this option, and works only with up to some 600 devices.
    named = [word for node in nodes for word in ("--devices", node)]
    return [*command, "--config", _settings('"a|.*|"'), *named]


def _settings(accepted: str) -> str:
    """Neither a devices file, nor hints of an earlier look, nor a filter of the live system."""
    return f'devices {{ use_devicesfile=0 hints="none" filter=[{accepted}] global_filter=["a|.*|"] }}'


def _rows(report: str) -> list[dict[str, str]] | None:
    """The rows of an LVM report in JSON; None where it is not one."""
    try:
        parsed: Any = json.loads(report)
        rows = [row for section in parsed["report"] for row in section["pv"]]
    except (ValueError, KeyError, TypeError):
        return None
    if not all(isinstance(row, dict) for row in rows):
        return None
    return [{str(key): value for key, value in row.items() if isinstance(value, str)} for row in rows]
