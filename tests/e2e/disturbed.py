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
import time
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

DISK_SIZE: Final = 16 << 20
# Slow enough to be caught in mid-copy, over in seconds.
RATE: Final = 5 << 20
CONVERTING: Final = CONVERSION_PHASES[2]
COPYING: Final = "Copying disk"
AFTER_THE_COPY: Final = "Creating output metadata"
SUCCESS, WRONG_SETTINGS, NO_CONNECTION, REFUSED, FAILED, CANCELLED, DETACHED = 0, 2, 3, 4, 5, 6, 8
# What a server lacks that has no Python. For an account whose login shell knows of no other one.
PYTHON: Final = ("/usr/bin/python3",)
_WAIT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Lab:
    """settings: what p2v-tui is started with. disks: to convert; out: where to."""

    server: ConversionServer
    stand_in: StandIn
    settings: str
    disks: tuple[Path, ...]
    out: Path

    def start(self, *more: str) -> Run:
        """more: settings, which win."""
        return Run(" ".join([*more, self.settings]))

    def pause_at(self, phase: str) -> Path:
        """virt-v2v stays in that phase until the file is there; it copies as fast as it can."""
        go_on = self.stand_in.directory / "go-on"
        self.stand_in.behave(Behaviour(writes=True, pauses=(Pause(phase, until=go_on),)))
        return go_on

    def process(self, word: str) -> psutil.Process:
        """The one on the conversion server that has the word in its command line."""
        found = [each for each in self.server.session_processes() if word in " ".join(each.cmdline()[:4])]
        assert found, f"{word} does not run on the conversion server"
        return found[0]

    @property
    def at_rest(self) -> bool:
        """Whether nothing runs on the conversion server any more; waits a little for the last to go."""
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self.server.session_processes())
        return not self.server.session_processes()

    @property
    def copied(self) -> bool:
        """Whether there are copies, the same in every byte."""
        copies = [self.out / f"guest-sd{letter}" for letter in string.ascii_lowercase[: len(self.disks)]]
        return all(
            copy.exists() and copy.read_bytes() == disk.read_bytes()
            for copy, disk in zip(copies, self.disks, strict=True)
        )

    @property
    def in_mid_copy(self) -> bool:
        """Whether the copy has begun, and not ended."""
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
        """Waits until they were printed, one after the other."""
        for text in texts:
            self.child.expect_exact(text)

    @property
    def goes_on_printing(self) -> bool:
        """Takes what was printed, so that it can go on; whether it has not ended."""
        return self.child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0) == 1

    def wait_for_directory(self) -> Path:
        """The remote directory, as soon as it is there."""
        return log_directory(self.child)

    def tunnels(self) -> list[psutil.Process]:
        return [ssh for ssh in self._children("ssh") if "-R" in ssh.cmdline()]

    def control(self) -> list[psutil.Process]:
        """The control connection, as a list of one, or of none while it is gone."""
        return [ssh for ssh in self._children("ssh") if "-R" not in ssh.cmdline()]

    def nbd_servers(self, program: str = "nbdkit") -> list[psutil.Process]:
        return self._children(program)

    @property
    def printed(self) -> str:
        """All that was read of it so far, without colours."""
        return "\n".join(plain(line) for line in self._screen.getvalue().splitlines())

    def end(self) -> Outcome:
        """Waits for its end. The output is the whole one."""
        outcome = wait_for_exit(self.child, CONVERSION_SECONDS)
        return Outcome(outcome.code, self.printed)

    def kill(self) -> None:
        """As the out-of-memory killer does. Waits until nothing of it runs any more."""
        family = [self.process, *self.process.children(recursive=True)]
        self.process.kill()
        wait_until(lambda: not any(map(runs, family)))
        self.child.close()

    def hang_up(self) -> int:
        """Its terminal goes away. Waits until nothing of it runs any more. The exit code."""
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
    """disks: how many. out_size: of the file system for the copies, in bytes.

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
        # Whoever logs in may convert.
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
    """At once, and waits until they are gone. There must be some."""
    assert processes
    kill(processes)


def wait_until(condition: Callable[[], object], seconds: float = _WAIT_SECONDS) -> None:
    """For what gives no event: processes and files of others."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("It did not happen.")
        time.sleep(0.02)


@contextlib.contextmanager
def _small(directory: Path, size: int) -> Iterator[None]:
    """A file system of its own for that directory. size: in bytes."""
    run_command(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], timeout=_WAIT_SECONDS)
    try:
        yield
    finally:
        run_command(["umount", directory], timeout=_WAIT_SECONDS)


def fill(directory: Path) -> None:
    """Until its file system has no room for one byte more."""
    with (directory / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def wait_for_bytes(directory: Path, count: int) -> None:
    """Until so many have come to virt-v2v, of all disks, by the word of the relay in the remote directory."""
    status = directory / "relay.status"
    wait_until(lambda: sum(disk["relayed"] for disk in json.loads(status.read_text())["disks"]) >= count)


def phases_shown(text: str) -> list[str]:
    """virt-v2v's lines with a time, of its log or of the console."""
    return [line for line in text.splitlines() if re.match(r"\[ *\d+\.\d\] ", line)]


def phases_logged(directory: Path) -> list[str]:
    """The same of the log in the remote directory."""
    lines = (directory / "virt-v2v-conversion-log.txt").read_text().splitlines()
    return phases_shown("\n".join(plain(line) for line in lines))
