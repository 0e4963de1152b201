"""Reports when disks or network cables come and go, so that nobody has to refresh.

It does not say what changed: a burst of events (a SAN login brings hundreds) is one call, and the callback probes the
machine again. On a machine without udev or its events it reports nothing, without an error.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyudev

from p2v_tui.hwprobe.places import entries, read_text

# Events within this time of each other are one change; an endless stream is reported at least this often.
QUIET_SECONDS = 0.5
LONGEST_SECONDS = 3.0

_UDEVD = Path("/run/udev/control")
_LINK_MESSAGES = 1  # RTMGRP_LINK in linux/rtnetlink.h
_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """Something to wait for. take: reads what has come, without blocking; returns whether anything changed."""

    fileno: int
    take: Callable[[], bool]
    close: Callable[[], None]


class DeviceWatch:
    """Calls `changed` from its own thread when devices have changed, until it is stopped.

    sources: what to listen to; this machine's udev events and cables by default.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        sources: Callable[[], Iterator[Source]] | None = None,
        *,
        quiet_seconds: float = QUIET_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._changed = changed
        self._sources = tuple((sources or machine_sources)())
        self._quiet = quiet_seconds
        self._longest = longest_seconds
        self._wake_read, self._wake_write = os.pipe()
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name="device-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes its sources. After that `changed` is never called; it must not call this."""
        if self._stopping:
            return
        self._stopping = True
        os.write(self._wake_write, b"x")
        self._thread.join()
        for source in self._sources:
            source.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _watch(self) -> None:
        while self._wait(None):
            if self._take() and self._wait_for_quiet():
                self._changed()

    def _wait_for_quiet(self) -> bool:
        """Waits until the burst is over, or has lasted long enough; False when stopped meanwhile."""
        end = time.monotonic() + self._longest
        while time.monotonic() < end:
            ready = self._wait(self._quiet)
            if not ready:
                return ready is None
            self._take()
        return True

    def _take(self) -> bool:
        # All sources are emptied, not only the first with an event.
        taken = [source.take() for source in self._sources]
        return any(taken)

    def _wait(self, seconds: float | None) -> bool | None:
        """True when a source has something, None after the time, False when stopped."""
        poll = select.poll()
        for descriptor in (self._wake_read, *(source.fileno for source in self._sources)):
            poll.register(descriptor, select.POLLIN)
        ready = poll.poll(None if seconds is None else seconds * 1000)
        if self._stopping:
            return False
        return True if ready else None


def machine_sources() -> Iterator[Source]:
    """udev's events for disks and network cards, and the kernel's for cables, if available."""
    # pyudev raises ImportError without libudev.
    with contextlib.suppress(ImportError, OSError):
        yield _udev_events()
    with contextlib.suppress(OSError):
        yield _cables()


def _udev_events() -> Source:
    # Without udevd no "udev" events come; with it, the kernel's events come before the database is written.
    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), "udev" if _UDEVD.exists() else "kernel")
    monitor.filter_by("block")
    monitor.filter_by("net")
    monitor.start()

    def take() -> bool:
        found = False
        try:
            while monitor.poll(0) is not None:
                found = True
        except OSError:
            # ENOBUFS: there were more events than the socket holds, so something did change.
            return True
        return found

    # The descriptor belongs to libudev and closes with the monitor.
    return Source(monitor.fileno(), take, lambda: None)


def _cables() -> Source:
    """Cables: the kernel reports a carrier only over rtnetlink, never by an event for udev."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    try:
        link.bind((0, _LINK_MESSAGES))
    except OSError:
        link.close()
        raise
    known = carriers()

    def take() -> bool:
        nonlocal known
        # BlockingIOError is the end; ENOBUFS means that the kernel dropped some, but the carriers are read anyhow.
        with contextlib.suppress(OSError):
            while link.recv(_BYTES):
                pass
        # A wireless card sends link messages all the time; only its carrier matters.
        before, known = known, carriers()
        return known != before

    return Source(link.fileno(), take, link.close)


def carriers(net: Path = Path("/sys/class/net")) -> dict[str, str | None]:
    """Whether each network interface has a carrier (`0`, `1`), None where it is down."""
    return {interface.name: read_text(interface / "carrier") for interface in entries(net)}
