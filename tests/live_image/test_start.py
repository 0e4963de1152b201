"""What the initramfs shows on the consoles until the screens are there, and with too little memory."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.commands import program
from tests.live_image.test_boot_scripts import ROOT, SCRIPTS

STARTING = SCRIPTS / "starting"
MEMORY = ROOT / "etc/initramfs-tools/scripts/init-premount/p2v-tui"
PATIENCE = 60.0


class Machine:
    """What the scripts read and write, in a directory. A console is a file; `missing0` cannot be opened."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("proc", "sys/class/tty/console", "dev", "run"):
            (directory / name).mkdir(parents=True)
        (directory / "dev/missing0").mkdir()
        (directory / "sys/class/tty/console/active").write_text("tty0 missing0 ttyS0\n")
        for console in ("tty1", "ttyS0"):
            (directory / "dev" / console).touch()
        self.proc("uptime", "12.30 20.00\n")
        self.proc("mounts", "proc /proc proc rw 0 0\n")
        self.proc("diskstats", "   8 0 sda 1 0 999999 1\n   7 0 loop0 5 0 8192 1\n")
        os.mkfifo(directory / "run/pipe")

    def proc(self, name: str, text: str) -> None:
        new = self.directory / "proc" / f"{name}.new"
        new.write_text(text)
        new.rename(self.directory / "proc" / name)

    def start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        places = {f"P2V_{name.upper()}": str(self.directory / name) for name in ("proc", "sys", "dev", "run")}
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **places, "P2V_IMAGE": str(self.directory / "p2v-image")},
        )

    def shown(self, console: str) -> str:
        return (self.directory / "dev" / console).read_bytes().decode()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (self.shown("tty1"), self.shown("ttyS0"))
            time.sleep(0.05)  # A file has no event that a test could wait for.

    def wait_for(self, text: str) -> None:
        """Waits until the text is on both consoles."""
        self.wait_until(lambda: all(text in self.shown(console) for console in ("tty1", "ttyS0")))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def starting(machine: Machine) -> Iterator[subprocess.Popen[bytes]]:
    process = machine.start(program("busybox"), "sh", STARTING, machine.directory / "run/pipe")
    yield process
    process.kill()
    process.wait()


@pytest.mark.usefixtures("starting")
def test_each_console_sees_what_is_under_way_how_long_and_how_much_was_loaded(machine: Machine) -> None:
    machine.wait_for("\rp2v-tui: finding the live system, 12 s, 4 MiB loaded\x1b[K")
    machine.proc("uptime", "61.99 20.00\n")
    machine.proc("mounts", "proc /proc proc rw 0 0\n/dev/sr0 /run/live/medium iso9660 ro 0 0\n")
    machine.proc("diskstats", "  11 0 sr0 5 0 81920 1\n   7 0 loop0 5 0 8192 1\n")
    # init-bottom's way to say it: it must not wait for a reader.
    with os.fdopen(os.open(machine.directory / "run/pipe", os.O_RDWR), "wb", buffering=0) as pipe:
        pipe.write(b"starting the system\n")
        machine.wait_for("\rp2v-tui: starting the system, 61 s, 40 MiB loaded\x1b[K")


def test_it_clears_its_line_when_it_is_ended(machine: Machine, starting: subprocess.Popen[bytes]) -> None:
    machine.wait_for("s, 4 MiB loaded")
    starting.terminate()
    assert starting.wait(PATIENCE) == 0
    assert machine.shown("ttyS0").endswith("\r\x1b[K")


@pytest.mark.usefixtures("starting")
def test_a_slow_line_is_not_flooded(machine: Machine) -> None:
    machine.wait_until(lambda: machine.shown("ttyS0").count("\r") >= 3)
    # One every two seconds: a line of 9600 baud passes 1920 bytes in that time.
    assert max(map(len, machine.shown("ttyS0").split("\r"))) < 80


def memory(machine: Machine, mebibytes: int) -> None:
    machine.proc("meminfo", f"MemTotal:      {mebibytes * 1024} kB\nMemFree:       1 kB\n")


def test_enough_memory_is_not_mentioned(machine: Machine) -> None:
    memory(machine, 900)
    assert machine.start("sh", MEMORY).wait(PATIENCE) == 0
    assert machine.shown("tty1") + machine.shown("ttyS0") == ""


class Terminals:
    """The machine's consoles as terminals."""

    def __init__(self, machine: Machine) -> None:
        self._ends: dict[str, tuple[int, int]] = {}
        for console in ("tty1", "ttyS0"):
            ours, its = os.openpty()
            place = machine.directory / "dev" / console
            place.unlink()
            place.symlink_to(os.ttyname(its))
            self._ends[console] = (ours, its)

    def read_until(self, console: str, text: bytes) -> bytes:
        said = b""
        while text not in said:
            said += os.read(self._ends[console][0], 4096)
        return said

    def press_enter(self, console: str) -> None:
        os.write(self._ends[console][0], b"\r")

    def close(self) -> None:
        for descriptor in itertools.chain(*self._ends.values()):
            os.close(descriptor)


@pytest.fixture
def terminals(machine: Machine) -> Iterator[Terminals]:
    terminals = Terminals(machine)
    yield terminals
    terminals.close()


@pytest.mark.parametrize("console", ["tty1", "ttyS0"])
def test_too_little_memory_is_said_on_every_console_and_enter_on_any_goes_on(
    machine: Machine, terminals: Terminals, console: str
) -> None:
    memory(machine, 200)
    script = machine.start("sh", MEMORY)
    for each in ("tty1", "ttyS0"):
        said = terminals.read_until(each, b"programs may be killed")
        assert b"the system can use     200 MiB" in said
    assert script.poll() is None
    terminals.press_enter(console)
    assert script.wait(PATIENCE) == 0


def test_a_network_boot_needs_more_as_the_loader_has_put_all_of_it_into_memory(
    machine: Machine, terminals: Terminals
) -> None:
    (machine.directory / "p2v-image").mkdir()
    memory(machine, 300)
    script = machine.start("sh", MEMORY)
    terminals.read_until("tty1", b"too little memory")
    terminals.press_enter("tty1")
    assert script.wait(PATIENCE) == 0
