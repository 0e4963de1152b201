"""A conversion that can be disturbed: p2v-tui on a terminal, a stand-in for virt-v2v that copies slowly.

The disk holds random bytes, so that a copy with one byte lost, doubled or misplaced is another one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pexpect
import psutil

from p2v_tui.session.words.terminal_text import plain
from tests.e2e.conftest import with_key
from tests.e2e.program import CONVERSION_SECONDS, Outcome, log_directory, spawn_p2v, wait_for_exit
from tests.lab.commands import run_command
from tests.lab.conversion_server import ConversionServer, Identity
from tests.lab.processes import kill, runs
from tests.lab.stand_in import VIRT_V2V, Behaviour, Pause, StandIn
from tests.lab.stand_in_virt_v2v import CONVERSION_PHASES
from tests.lab.waiting import happens

DISK_SIZE: Final = 16 << 20
# Slow enough to be caught in mid-copy, over in seconds.
RATE: Final = 5 << 20
CONVERTING: Final = CONVERSION_PHASES[2]
COPYING: Final = "Copying disk"
AFTER_THE_COPY: Final = "Creating output metadata"
SUCCESS, WRONG_SETTINGS, NO_CONNECTION, REFUSED, FAILED, CANCELLED, COMMAND, DETACHED = 0, 2, 3, 4, 5, 6, 7, 8
# What a server lacks that has no Python. For an account whose login shell knows of no other one.
PYTHON: Final = ("/usr/bin/python3",)
_WAIT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Lab:
    """settings: p2v-tui's settings. disks: to convert. out: the directory for the copies."""

    server: ConversionServer
    stand_in: StandIn
    settings: str
    disks: tuple[Path, ...]
    out: Path

    def start(self, *more: str) -> Run:
        """more: settings that override the others."""
        return Run(" ".join([*more, self.settings]))

    def pause_at(self, phase: str) -> Path:
        """Makes virt-v2v wait in this phase until the returned file exists, and copy at full speed."""
        go_on = self.stand_in.directory / "go-on"
        self.stand_in.behave(Behaviour(writes=True, pauses=(Pause(phase, until=go_on),)))
        return go_on

    def process(self, word: str) -> psutil.Process:
        """The process on the conversion server that has the word in its command line."""
        found = [each for each in self.server.session_processes() if word in " ".join(each.cmdline()[:4])]
        assert found, f"{word} does not run on the conversion server"
        return found[0]

    @property
    def at_rest(self) -> bool:
        """Whether nothing runs on the conversion server any more; waits a little for the last process."""
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self.server.session_processes())
        return not self.server.session_processes()

    @property
    def copied(self) -> bool:
        """Whether all copies exist and are identical."""
        copies = [self.out / f"guest-sd{letter}" for letter in string.ascii_lowercase[: len(self.disks)]]
        return all(
            copy.exists() and copy.read_bytes() == disk.read_bytes()
            for copy, disk in zip(copies, self.disks, strict=True)
        )

    @property
    def in_mid_copy(self) -> bool:
        """Whether the copy has begun and not ended."""
        names = [event.name for event in self.stand_in.events()]
        return any(name.startswith(COPYING) for name in names) and AFTER_THE_COPY not in names


class Run:
    """A running p2v-tui."""

    def __init__(self, settings: str, *options: str) -> None:
        self._screen = io.StringIO()
        self.child = spawn_p2v(settings, *options)
        self.child.logfile_read = self._screen
        self.process = psutil.Process(self.child.pid)

    def expect(self, *texts: str) -> None:
        """Waits until the texts were printed, in this order."""
        for text in texts:
            self.child.expect_exact(text)

    @property
    def goes_on_printing(self) -> bool:
        """Whether it has not ended. Reads its output, so that it is not blocked by a full pipe."""
        return self.child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0) == 1

    def wait_for_directory(self) -> Path:
        """Waits until the remote directory is named, and returns it."""
        return log_directory(self.child)

    def tunnels(self) -> list[psutil.Process]:
        return [ssh for ssh in self._children("ssh") if "-R" in ssh.cmdline()]

    def control(self) -> list[psutil.Process]:
        """The control connection's ssh; an empty list while it is gone."""
        return [ssh for ssh in self._children("ssh") if "-R" not in ssh.cmdline()]

    def nbd_servers(self, program: str = "nbdkit") -> list[psutil.Process]:
        return self._children(program)

    @property
    def printed(self) -> str:
        """The output that was read so far, without colours."""
        return "\n".join(plain(line) for line in self._screen.getvalue().splitlines())

    def end(self) -> Outcome:
        """Waits for its end. Returns its exit code and whole output."""
        outcome = wait_for_exit(self.child, CONVERSION_SECONDS)
        return Outcome(outcome.code, self.printed)

    def kill(self) -> None:
        """Kills it as the out-of-memory killer does, and waits until none of its processes is left."""
        family = [self.process, *self.process.children(recursive=True)]
        self.process.kill()
        wait_until(lambda: not any(map(runs, family)))
        self.child.close()

    def hang_up(self) -> int:
        """Closes its terminal, and waits until none of its processes is left. Returns the exit code."""
        family = [self.process, *self.process.children(recursive=True)]
        os.close(self.child.fileno())
        wait_until(lambda: not any(map(runs, family)))
        self.child.closed = True
        return self.process.wait(_WAIT_SECONDS)

    def _children(self, name: str) -> list[psutil.Process]:
        found = []
        for process in self.process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == name and process.cmdline():
                    found.append(process)
        return found


@contextlib.contextmanager
def laboratory(
    directory: Path,
    key: Identity,
    *,
    disks: int = 1,
    out_size: int | None = None,
    replace: Mapping[str, Path] | None = None,
    **of_the_server: Any,
) -> Iterator[Lab]:
    """disks: how many. out_size: size of the file system for the copies, in bytes.

    replace, of_the_server: arguments of ConversionServer.
    """
    images = tuple(directory / f"disk{number}.img" for number in range(disks))
    for image in images:
        image.write_bytes(os.urandom(DISK_SIZE))
    with contextlib.ExitStack() as stack:
        stand_in = stack.enter_context(StandIn(Behaviour(rate=RATE, writes=True)))
        out = stand_in.directory / "out"
        out.mkdir()
        if out_size is not None:
            stack.enter_context(_small(out, out_size))
        # Any account may convert.
        out.chmod(0o777)
        server = stack.enter_context(
            ConversionServer(
                authorized=[key.public_key],
                replace={VIRT_V2V: stand_in.program, **(replace or {})},
                **of_the_server,
            )
        )
        source = f"p2v.name=guest p2v.disks={','.join(map(str, images))}"
        settings = f"{with_key(server, key)} {source} p2v.o=local p2v.os={out} p2v.post="
        yield Lab(server, stand_in, settings, images, out)


def end(processes: list[psutil.Process]) -> None:
    """Kills the processes, at least one, and waits until they are gone."""
    assert processes
    kill(processes)


def wait_until(condition: Callable[[], object], seconds: float = _WAIT_SECONDS) -> None:
    """Raises TimeoutError if it does not happen within so many seconds."""
    if not happens(condition, seconds):
        raise TimeoutError("It did not happen.")


@contextlib.contextmanager
def _small(directory: Path, size: int) -> Iterator[None]:
    """Mounts a small file system on the directory. size: bytes."""
    run_command(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], timeout=_WAIT_SECONDS)
    try:
        yield
    finally:
        run_command(["umount", directory], timeout=_WAIT_SECONDS)


def fill(directory: Path) -> None:
    """Fills its file system to the last byte."""
    with (directory / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def wait_for_bytes(directory: Path, count: int) -> None:
    """Waits until virt-v2v has received so many bytes of all disks, according to the relay's status."""
    status = directory / "relay.status"
    wait_until(lambda: sum(disk["relayed"] for disk in json.loads(status.read_text())["disks"]) >= count)


def phases_shown(text: str) -> list[str]:
    """virt-v2v's lines that begin with a time, in its log or console output."""
    return [line for line in text.splitlines() if re.match(r"\[ *\d+\.\d\] ", line)]


def phases_logged(directory: Path) -> list[str]:
    """The same lines of the log in the remote directory."""
    lines = (directory / "virt-v2v-conversion-log.txt").read_text().splitlines()
    return phases_shown("\n".join(plain(line) for line in lines))
