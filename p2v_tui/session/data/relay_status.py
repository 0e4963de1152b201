"""What the relay on the conversion server says of itself (`relay/report.py` documents its status line)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from p2v_tui.session.data.relay.states import Cause, DiskState
from p2v_tui.session.words.terminal_text import plain

MAX_REASON = 200
MAX_ERRNO = 4095


@dataclass(frozen=True)
class FailedRead:
    """A read that this machine's NBD server answered with an error. In bytes; error: the errno of Linux."""

    offset: int
    length: int
    error: int


@dataclass(frozen=True)
class DiskRelay:
    """One disk's part. size: bytes; None until a tunnel has answered.

    relayed: bytes passed on to virt-v2v so far, counting repeated reads, so it may exceed the size. distinct: bytes
    of the disk that virt-v2v has received at least once, rounded up to blocks of 64 KiB (more on disks above 64 GiB),
    never more than size. So 0 proves that nothing of the disk was read. For a disk that was copied whole it equals
    the size, or is less if virt-v2v skipped what it had trimmed or zeroed in its overlay.

    reason, cause: why the disk was given up. silent: for how many seconds requests have been open without a byte
    coming. stalled: the same, but the tunnel has not answered a handshake either; if it has, the disk is slow.
    failures: how many reads failed; failure: the first of them.
    """

    port: int
    state: DiskState
    size: int | None = None
    reason: str = ""
    relayed: int = 0
    generation: int = 0
    silent: float = 0.0
    distinct: int = 0
    stalled: float = 0.0
    cause: Cause = Cause.NONE
    failures: int = 0
    failure: FailedRead | None = None


@dataclass(frozen=True)
class RelayStatus:
    """alive: whether its process runs. disks: in the plan's order.

    The last status of a relay that has ended stays valid: it tells what each disk has delivered (DiskRelay.distinct).
    """

    alive: bool
    disks: tuple[DiskRelay, ...] = ()

    @property
    def lost(self) -> bool:
        """Whether it vanished without ending in order: it was killed."""
        return not self.alive and any(not disk.state.ended for disk in self.disks)


def parse(text: str, disks: int, *, alive: bool) -> RelayStatus | None:
    """Returns None if it is not a status for that many disks. It comes from the server, so all of it is checked."""
    try:
        entries: Any = json.loads(text)["disks"]
        found = tuple(_disk(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return RelayStatus(alive, found) if len(found) == disks else None


def _disk(entry: Any) -> DiskRelay:
    """Raises ValueError, KeyError or TypeError if malformed."""
    size = entry["size"]
    return DiskRelay(
        port=_number(entry["port"], 65535),
        state=DiskState(entry["state"]),
        size=None if size is None else _number(size),
        reason=plain(str(entry["reason"]))[:MAX_REASON],
        relayed=_number(entry["relayed"]),
        generation=_number(entry["generation"]),
        silent=float(_number(int(entry["silent"]))),
        distinct=_number(entry["distinct"]),
        stalled=float(_number(int(entry["stalled"]))),
        cause=Cause(entry["cause"]),
        failures=_number(entry["failures"]),
        failure=None if entry["failure"] is None else _failed_read(entry["failure"]),
    )


def _failed_read(entry: Any) -> FailedRead:
    return FailedRead(
        offset=_number(entry["offset"]), length=_number(entry["length"]), error=_number(entry["error"], MAX_ERRNO)
    )


def _number(value: Any, largest: int = 1 << 63) -> int:
    if not isinstance(value, int) or not 0 <= value <= largest:
        raise ValueError("no such number")
    return value
