"""Moves the data of replies from a tunnel to a client: through a kernel pipe, or by copying."""

import contextlib
import fcntl
import os
import socket
from typing import Union

from . import limits

F_SETPIPE_SZ = 1031  # fcntl knows it by name from Python 3.10 on.
SPLICE_F_NONBLOCK = 2
SPLICE_F_MORE = 4
MSG_MORE = int(socket.MSG_MORE)  # In Python 3.6 an enum, which is slow.


class CopiedData:
    """Moves the data of replies from the tunnel to the client through a buffer of ours."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(limits.BUFFER_BYTES))
        self._start = 0
        self._end = 0

    @property
    def pending(self) -> int:
        """How many bytes were taken and not yet sent."""
        return self._end - self._start

    @property
    def room(self) -> bool:
        """Whether more can be taken before this is sent to the client."""
        return self._end < limits.BUFFER_BYTES // 2

    def fill(self, tunnel: socket.socket, limit: int) -> int:
        """Take up to `limit` bytes from the tunnel. Returns how many; 0 at its end. Call it only with `room`.

        Raises OSError; BlockingIOError when nothing has come.
        """
        count = tunnel.recv_into(self._buffer[self._end :], min(limit, limits.BUFFER_BYTES - self._end))
        self._end += count
        return count

    def drain(self, client: socket.socket, more: bool) -> None:
        """Send what is pending to the client; more: the reply does not end here.

        Raises OSError; BlockingIOError when it takes nothing now.
        """
        while self._start < self._end:
            flags = MSG_MORE if more else 0
            self._start += client.send(self._buffer[self._start : self._end], flags)
        self._start = self._end = 0

    def close(self) -> None:
        self._buffer.release()


class SplicedData:
    """The same without copying: the kernel moves the pages through a pipe. Raises OSError where it cannot."""

    def __init__(self) -> None:
        self.pending = 0
        self._splice = os.splice
        self._outlet, self._inlet = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._size = 65536
        with contextlib.suppress(OSError):
            self._size = fcntl.fcntl(self._inlet, F_SETPIPE_SZ, limits.BUFFER_BYTES)

    def fill(self, tunnel: socket.socket, limit: int) -> int:
        count = self._splice(tunnel.fileno(), self._inlet, min(limit, self._size), flags=SPLICE_F_NONBLOCK)
        self.pending += count
        return count

    @property
    def room(self) -> bool:
        return self.pending < self._size // 2

    def drain(self, client: socket.socket, more: bool) -> None:
        flags = SPLICE_F_NONBLOCK | SPLICE_F_MORE if more else SPLICE_F_NONBLOCK
        while self.pending:
            self.pending -= self._splice(self._outlet, client.fileno(), self.pending, flags=flags)

    def close(self) -> None:
        os.close(self._outlet)
        os.close(self._inlet)


Data = Union[CopiedData, SplicedData]


def new_data(splice: bool) -> Data:
    """splice: without copying, if the kernel can."""
    if splice:
        with contextlib.suppress(OSError):
            return SplicedData()
    return CopiedData()
