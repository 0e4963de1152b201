"""What the relay on the conversion server says of itself (`nbd_relay.py` documents its status line)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from p2v_tui.session.terminal_text import plain

MAX_REASON = 200


@dataclass(frozen=True)
class DiskRelay:
    """One disk's part. size: bytes, None while no tunnel has answered. relayed: bytes passed on to virt-v2v so far.

    state: `waiting`, `ready`, `relaying`, `done` or `given up`, with the reason. silent: for how many seconds
    requests have been open without a byte coming.
    """

    port: int
    state: str
    size: int | None = None
    reason: str = ""
    relayed: int = 0
    generation: int = 0
    silent: float = 0.0


@dataclass(frozen=True)
class RelayStatus:
    """alive: whether its process is there."""

    alive: bool
    disks: tuple[DiskRelay, ...] = ()

    @property
    def lost(self) -> bool:
        """Whether it is gone and never said that it would: killed."""
        return not self.alive and any(disk.state in {"waiting", "ready", "relaying"} for disk in self.disks)


def parse(text: str, disks: int, *, alive: bool) -> RelayStatus | None:
    """None where that is no status for so many disks. It comes from the server: nothing in it is believed blindly."""
    try:
        entries: Any = json.loads(text)["disks"]
        found = tuple(_disk(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return RelayStatus(alive, found) if len(found) == disks else None


def _disk(entry: Any) -> DiskRelay:
    """Raises ValueError, KeyError or TypeError where it is not one."""
    size = entry["size"]
    return DiskRelay(
        port=_number(entry["port"], 65535),
        state=plain(str(entry["state"]))[:MAX_REASON],
        size=None if size is None else _number(size),
        reason=plain(str(entry["reason"]))[:MAX_REASON],
        relayed=_number(entry["relayed"]),
        generation=_number(entry["generation"]),
        silent=float(_number(int(entry["silent"]))),
    )


def _number(value: Any, largest: int = 1 << 63) -> int:
    if not isinstance(value, int) or not 0 <= value <= largest:
        raise ValueError("no such number")
    return value
