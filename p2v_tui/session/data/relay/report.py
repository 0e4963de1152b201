"""relay.status: what the relay tells p2v-tui.

One line of JSON, replaced whenever it changes:

    {"pid": 1234, "disks": [{"port": 40001, "generation": 2, "size": 2147483648, "state": "relaying", "reason": "",
                             "cause": "", "relayed": 1048576, "distinct": 1048576, "reconnects": 1, "silent": 0,
                             "stalled": 0, "failures": 0, "failure": null}]}
"""

import enum
import json
import os
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Sequence

from .reads import FailedRead
from .states import Cause, DiskState


class DiskReport(NamedTuple):
    """One disk's part.

    port: on this machine's loopback (127.0.0.1 and ::1), for virt-v2v.
    generation: the tunnel in use, or before a client came the one that answered last; 0: none now.
    size: of the disk, in bytes; null until a tunnel has answered for the first time.
    reason: why the disk was given up, or which fault closed a client; else empty.
    relayed: bytes that came through tunnels for clients, counting repeated reads, so it may exceed the size.
    distinct: bytes of the disk that were delivered to clients at least once, rounded up to whole blocks (DiskReads).
    reconnects: how often a client's tunnel was replaced by another.
    silent: seconds without any byte of an answer that the client waits for; 0 when it waits for nothing.
    stalled: the same, but a greeting on another connection counts as an answer: then only the disk is slow.
    failures: how many reads the NBD server answered with an error.
    failure: the first of them: {"offset": bytes, "length": bytes, "error": NBD's error number}; null without one.
    """

    port: int
    generation: int
    size: Optional[int]
    state: DiskState
    reason: str
    cause: Cause
    relayed: int
    distinct: int
    reconnects: int
    silent: int
    stalled: int
    failures: int
    failure: Optional[FailedRead]


def _json_value(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    return dict(value._asdict()) if isinstance(value, FailedRead) else value


def status_line(reports: Sequence[DiskReport]) -> str:
    disks = [{key: _json_value(value) for key, value in report._asdict().items()} for report in reports]
    status: Dict[str, object] = {"pid": os.getpid(), "disks": disks}
    return json.dumps(status) + "\n"


class StatusFile:
    """Replaces relay.status so that nobody ever reads half of it."""

    def __init__(self) -> None:
        self._last = ""

    def write(self, text: str) -> None:
        """Write the text if it has changed. Raises OSError."""
        if text == self._last:
            return
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            number = os.open("relay.status.new", flags | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(number, "w") as file:
                file.write(text)
            Path("relay.status.new").replace("relay.status")
        except OSError:
            # A full disk has no room for a second file, but the first one has its room.
            with os.fdopen(os.open("relay.status", flags), "w") as file:
                file.write(text.ljust(len(self._last)))
        self._last = text
