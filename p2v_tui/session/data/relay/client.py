"""A client's socket: reads it, writes it and moves data to it, as its `Session` decides."""

import errno
import select
import socket
from typing import Callable

from .data import MSG_MORE, CopiedData, Data, new_data
from .links import Link
from .session import Session
from .sockets import CLOSED, reason_of

POLLRDHUP = 0x2000


class Splice:
    """Whether data is moved without copying: until that has failed for one client of the disk."""

    def __init__(self, works: bool, log: Callable[[str], None]) -> None:
        self.works = works
        self.log = log


class Client:
    """full: whether the socket takes nothing at present. callback: called with the events that have come."""

    def __init__(self, session: Session, connection: socket.socket, splice: Splice) -> None:
        self.session = session
        self.socket = connection
        self.full = False
        self.callback: Callable[[int], None] = lambda _: None
        self._splice = splice
        self._data: Data = new_data(splice.works)
        # The mask that it is watched with.
        self._mask = 0

    def close(self) -> None:
        self.socket.close()
        self._data.close()

    # From the client

    @property
    def mask(self) -> int:
        """The events to wait for, always with the end of the connection."""
        self._mask = select.POLLIN if self.session.wants_from_client else POLLRDHUP
        if self.full:
            self._mask |= select.POLLOUT
        return self._mask

    @property
    def is_watched_right(self) -> bool:
        """Whether the mask is still right while nothing else has changed."""
        return not self.full and bool(self._mask & select.POLLIN) == bool(self.session.wants_from_client)

    def read_requests(self, events: int, now: float) -> None:
        """Read what the client sends, if the session wants it now."""
        if not self._mask & select.POLLIN:
            # Nothing is read now, but the end of the client is noticed.
            if events & (POLLRDHUP | select.POLLHUP | select.POLLERR):
                self.session.client_left()
            return
        wanted = self.session.wants_from_client
        if not wanted:
            return
        try:
            data = self.socket.recv(wanted)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.session.client_sent(data, now)
        else:
            self.session.client_left()

    # To the client

    def send_pending(self, now: float) -> None:
        """Send what is pending for the client, and notify the session."""
        while not self.session.over:
            everything = self.flush()
            if self.session.over or (self.session.plain and not self.full):
                return
            self.session.sent_to_client(full=self.full, everything=everything, now=now)
            if not everything or not self.session.to_client:
                return

    def flush(self, whole: bool = True) -> bool:
        """Send what is pending for it, as far as it takes it. Returns whether that was everything.

        whole: while there is room, wait until a reply is complete, so that the client is woken once for it.
        """
        outgoing = self.session.to_client
        more = self.session.reply_left > 0
        if more and whole and self._data.room and not self.full:
            return False
        try:
            while outgoing:
                del outgoing[: self.socket.send(outgoing, MSG_MORE if more else 0)]
            if self._data.pending:
                self._data.drain(self.socket, more)
            self.full = False
        except BlockingIOError:
            self.full = True
        except OSError:
            self.session.client_left()
        return not self.full

    # The replies of the tunnel that serves it

    def pass_on(self, link: Link, tunnel: socket.socket, clock: Callable[[], float]) -> None:
        """Pass on replies as long as they come, the client takes them, and its requests can wait.

        Most of the CPU time is spent here: this runs several times for each megabyte.
        """
        for _ in range(16):
            left = self.session.data_left
            more = self._move(link, tunnel, left, clock) if left else self._read(link, tunnel, clock)
            if not more or self.session.tunnel is not link:
                break

    def _move(self, link: Link, tunnel: socket.socket, left: int, clock: Callable[[], float]) -> bool:
        """Move a reply's data. Returns whether more may follow and the client takes it."""
        try:
            count = self._data.fill(tunnel, left)
        except BlockingIOError:
            if not self._data.pending:
                return False
            # Small pieces fill a pipe too.
            self.flush(whole=False)
            return not self.full
        except OSError as error:
            if self._works_otherwise(error):
                return True
            self.session.lost(link, reason_of(error), clock())
            return False
        now = clock()
        if not count:
            self.session.lost(link, CLOSED, now)
            return False
        self.session.moved(count, now)
        self.flush()
        return count == left and not self.full

    def _read(self, link: Link, tunnel: socket.socket, clock: Callable[[], float]) -> bool:
        """Read anything else. Returns whether more may follow and the client takes it."""
        try:
            data = tunnel.recv(self.session.wants(link))
        except BlockingIOError:
            return False
        except OSError as error:
            self.session.lost(link, reason_of(error), clock())
            return False
        now = clock()
        if not data:
            self.session.lost(link, CLOSED, now)
            return False
        self.session.received(link, data, now)
        if self.session.data_left:
            # It is sent together with the data.
            return True
        self.flush()
        return not self.full

    def _works_otherwise(self, error: OSError) -> bool:
        """Whether only splice failed: then data is copied from now on."""
        unable = error.errno in (errno.EINVAL, errno.ENOSYS, errno.EPERM)
        if not unable or self._data.pending or isinstance(self._data, CopiedData):
            return False
        self._splice.log("data is copied, because splice fails: " + reason_of(error))
        self._data.close()
        self._splice.works = False
        self._data = new_data(False)
        return True
