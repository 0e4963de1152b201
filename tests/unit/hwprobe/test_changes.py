"""The watch over devices that come and go: bursts are one change, and the kernel's own events arrive."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import pyudev

from p2v_tui.hwprobe import changes
from p2v_tui.hwprobe.changes import DeviceWatch, Source, carriers, machine_sources

pytestmark = pytest.mark.xdist_group("devices")

# Long enough for a loaded machine; nothing waits for it where all is well.
TIMEOUT = 20

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="making a network interface needs root")


class Wire:
    """A source whose events the test makes."""

    def __init__(self, *, means_something: bool = True) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._means_something = means_something
        self.closed = False
        self.taken = threading.Semaphore(0)

    def happen(self) -> None:
        self._far.send(b"x")

    def sources(self) -> Iterator[Source]:
        yield Source(self._near.fileno(), self._take, self._close)

    def _take(self) -> bool:
        self._near.recv(100)
        self.taken.release()
        return self._means_something

    def _close(self) -> None:
        self._near.close()
        self._far.close()
        self.closed = True


def test_a_change_is_told() -> None:
    wire, told = Wire(), threading.Semaphore(0)
    watch = DeviceWatch(told.release, wire.sources, quiet_seconds=0.01, longest_seconds=1)
    for _ in range(2):
        wire.happen()
        assert told.acquire(timeout=TIMEOUT)
    watch.stop()
    assert wire.closed


def test_a_burst_is_one_change() -> None:
    wire, told = Wire(), threading.Semaphore(0)
    watch = DeviceWatch(told.release, wire.sources, quiet_seconds=0.5, longest_seconds=TIMEOUT)
    for _ in range(5):
        wire.happen()
        assert wire.taken.acquire(timeout=TIMEOUT)
    assert told.acquire(timeout=TIMEOUT)
    watch.stop()
    assert not told.acquire(blocking=False)


def test_a_stream_of_events_is_told_of_before_it_ends() -> None:
    wire, told = Wire(), threading.Event()
    watch = DeviceWatch(told.set, wire.sources, quiet_seconds=TIMEOUT, longest_seconds=0.01)
    for _ in range(1000):
        wire.happen()
        assert wire.taken.acquire(timeout=TIMEOUT)
        if told.wait(0.001):
            break
    assert told.is_set()
    watch.stop()


def test_what_means_nothing_is_not_told() -> None:
    wire, told = Wire(means_something=False), threading.Event()
    watch = DeviceWatch(told.set, wire.sources, quiet_seconds=0.01)
    wire.happen()
    assert wire.taken.acquire(timeout=TIMEOUT)
    watch.stop()
    assert not told.is_set()


def test_it_stops_in_the_middle_of_a_burst_and_twice() -> None:
    wire, told = Wire(), threading.Event()
    watch = DeviceWatch(told.set, wire.sources, quiet_seconds=TIMEOUT, longest_seconds=TIMEOUT)
    wire.happen()
    assert wire.taken.acquire(timeout=TIMEOUT)
    watch.stop()
    watch.stop()
    assert not told.is_set()


def test_no_udev_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("No library named udev")

    monkeypatch.setattr(pyudev, "Context", missing)
    monkeypatch.setattr(socket, "AF_NETLINK", -1)
    watch = DeviceWatch(lambda: None)
    watch.stop()


def test_the_carrier_is_read_from_sysfs(tmp_path: Path) -> None:
    for name, carrier in (("em1", "1\n"), ("em2", "0\n"), ("em3", None)):
        (tmp_path / name).mkdir()
        if carrier:
            (tmp_path / name / "carrier").write_text(carrier)
    assert carriers(tmp_path) == {"em1": "1", "em2": "0", "em3": None}
    assert carriers(tmp_path / "nowhere") == {}


@pytest.fixture
def cable() -> Iterator[tuple[str, str]]:
    """Two network interfaces with a cable between them, both up."""
    ends = ("p2vtest0", "p2vtest1")
    subprocess.run(["ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1]], check=True)
    try:
        for end in ends:
            subprocess.run(["ip", "link", "set", end, "up"], check=True)
        yield ends
    finally:
        subprocess.run(["ip", "link", "delete", ends[0]], check=True)


@pytest.mark.integration
@needs_root
def test_a_cable_that_is_pulled_is_told(cable: tuple[str, str]) -> None:
    told = threading.Event()
    watch = DeviceWatch(told.set, quiet_seconds=0.01)
    subprocess.run(["ip", "link", "set", cable[1], "down"], check=True)
    assert told.wait(TIMEOUT)
    watch.stop()


@pytest.mark.integration
@needs_root
def test_a_device_that_comes_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The kernel's own event, as it comes where no udevd runs.
    monkeypatch.setattr(changes, "_UDEVD", tmp_path / "no-udevd")
    source = next(machine_sources())
    told = threading.Event()
    watch = DeviceWatch(told.set, lambda: iter([source]), quiet_seconds=0.01)
    Path("/sys/class/net/lo/uevent").write_text("change")
    assert told.wait(TIMEOUT)
    watch.stop()
