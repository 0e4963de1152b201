"""Which parts of a disk were delivered, and which could not be read."""

from typing import NamedTuple, Optional

from .limits import MAX_BLOCKS, SMALLEST_BLOCK
from .nbd import MAX_ERRNO


class FailedRead(NamedTuple):
    """A read that the NBD server answered with an error. error: NBD's number, which is the errno of Linux."""

    offset: int
    length: int
    error: int


class DiskReads:
    """Which parts of a disk were delivered, and which could not be read.

    A disk is counted in blocks, so that memory use has a limit: of 64 KiB, or larger if those would be more than a
    million.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.failure: Optional[FailedRead] = None
        self._size = 0
        self._block = SMALLEST_BLOCK
        # One byte for each block, and how many are set.
        self._blocks = bytearray()
        self._delivered = 0

    @property
    def distinct(self) -> int:
        """Bytes that were delivered at least once, rounded up to whole blocks; at most the size of the disk."""
        return min(self._delivered * self._block, self._size)

    def set_size(self, size: int) -> None:
        """size: of the disk, in bytes. Nothing is counted before it is known."""
        if size == self._size:
            return
        while size // self._block >= MAX_BLOCKS:
            self._block *= 2
        self._size = size
        self._blocks = bytearray(-(-size // self._block))
        self._delivered = 0

    def delivered(self, offset: int, length: int) -> None:
        end = min(offset + length, self._size)
        if offset < end:
            first, after = offset // self._block, -(-end // self._block)
            self._delivered += self._blocks.count(0, first, after)
            self._blocks[first:after] = b"\1" * (after - first)

    def failed(self, offset: int, length: int, error: int) -> None:
        self.failures += 1
        if self.failure is None:
            self.failure = FailedRead(offset, length, min(error, MAX_ERRNO))
