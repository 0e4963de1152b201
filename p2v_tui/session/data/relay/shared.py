"""What the clients of a disk and its probe share. It uses no sockets and no clock."""

from collections import deque
from typing import Callable, Deque, Optional

from . import limits
from .errors import TunnelFault, Unrecoverable, another_disk
from .links import Action, Schedule
from .reads import DiskReads


class Shared:
    """What is known of a disk, and the loop's next actions.

    relayed, reconnects: as in `report`. faults: how many invalid answers a server has sent in a row.
    """

    def __init__(self, number: int, log: Callable[[str], None]) -> None:
        self.schedule = Schedule()
        self.actions: Deque[Action] = deque()
        self.size: Optional[int] = None
        self.reads = DiskReads()
        self.relayed = 0
        self.reconnects = 0
        self.faults = 0
        self._number = number
        self._log = log

    def log(self, text: str) -> None:
        self._log(f"disk {self._number}: {text}")

    def check_size(self, size: int) -> None:
        """Raises Unrecoverable if it has changed."""
        if self.size is not None and self.size != size:
            raise another_disk()
        self.size = size
        self.reads.set_size(size)

    def count_fault(self, fault: TunnelFault) -> None:
        """Raises Unrecoverable after too many."""
        self.faults += 1
        if self.faults >= limits.MAX_FAULTS:
            raise Unrecoverable(str(fault))
