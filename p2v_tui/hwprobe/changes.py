"""Tells when disks come and go, or when a network cable does, so that nobody has to ask for another look.

What changed is not said: a burst of events (a SAN login brings hundreds) is one call, and the one who is called
probes the machine again. A machine without udev, or one that lets us listen to nothing, has no changes to tell: that
is no failure.
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

# Events that come within this time of each other are one change; a stream of them is told of this often at least.
QUIET_SECONDS = 0.5
LONGEST_SECONDS = 3.0

_UDEVD = Path("/run/udev/control")
_LINK_MESSAGES = 1  # RTMGRP_LINK in linux/rtnetlink.h
_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """Something that can be waited for. take: takes what is there, without blocking; whether anything changed."""

    fileno: int
    take: Callable[[], bool]
    close: Callable[[], None]


class DeviceWatch:
    """Calls `changed` from a thread of its own when devices have changed, until it is stopped.

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
        """Ends the thread and closes what it listened to. `changed` is not called any more, and may not call this."""
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
        # Every source is emptied, whichever spoke.
        taken = [source.take() for source in self._sources]
        return any(taken)

    def _wait(self, seconds: float | None) -> bool | None:
        """True when a source has something, None when none had for so long, False when stopped."""
        poll = select.poll()
        for descriptor in (self._wake_read, *(source.fileno for source in self._sources)):
            poll.register(descriptor, select.POLLIN)
        ready = poll.poll(None if seconds is None else seconds * 1000)
        if self._stopping:
            return False
        return True if ready else None


def machine_sources() -> Iterator[Source]:
    """udev's events of disks and network cards, and the kernel's of cables, as far as they can be listened to."""
    # pyudev says ImportError where libudev is not there.
    with contextlib.suppress(ImportError, OSError):
        yield _udev_events()
    with contextlib.suppress(OSError):
        yield _cables()


def _udev_events() -> Source:
    # Without udevd nothing comes as "udev"; with it, the kernel's own event comes before the database is written.
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

    # The descriptor is libudev's and closes with the monitor.
    return Source(monitor.fileno(), take, lambda: None)


def _cables() -> Source:
    """Cables: the kernel tells of a carrier by rtnetlink only, never by an event that udev sees."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    try:
        link.bind((0, _LINK_MESSAGES))
    except OSError:
        link.close()
        raise
    known = carriers()

    def take() -> bool:
        nonlocal known
        # The end is BlockingIOError; ENOBUFS says that the kernel dropped some, and the carriers are read anyhow.
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
