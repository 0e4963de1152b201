"""The relay as a program: its arguments, its signals, its log, and a thread for each disk."""

import contextlib
import os
import select
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import List, NoReturn, Sequence

from . import limits, peer
from .loop import DiskLoop
from .report import StatusFile, status_line
from .sockets import reason_of
from .states import DiskState


def log(text: str) -> None:
    """Log one line on standard error, with the time. A full disk must not end the relay."""
    line = time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime()) + text + "\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode("ascii", "replace"))


class Status:
    """Writes relay.status. A failure is logged once, until it succeeds again."""

    def __init__(self, loops: Sequence[DiskLoop]) -> None:
        self._loops = loops
        self._file = StatusFile()
        self._fails = False

    def write_first(self) -> None:
        """Raises OSError."""
        self._file.write(status_line([loop.report for loop in self._loops]))

    def write(self) -> None:
        try:
            self.write_first()
            self._fails = False
        except OSError as error:
            if not self._fails:
                log("relay.status cannot be written: " + reason_of(error))
            self._fails = True


def relay(disks: int, seconds: float, many_clients: bool) -> int:
    """Relay the disks of the working directory. Returns the exit code. Raises OSError when it cannot start."""
    wake_up, ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    told: List[int] = []

    def changed() -> None:
        # A full pipe wakes us too.
        with contextlib.suppress(OSError):
            os.write(ring, b"\0")

    def end(number: int, _: object) -> None:
        told.append(number)
        changed()

    # Better to fail now.
    peer.check()
    loops = [DiskLoop(number, seconds, many_clients, log, changed) for number in range(disks)]
    status = Status(loops)
    status.write_first()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGUSR1, end)
    signal.signal(signal.SIGINT, end)
    threads = [threading.Thread(target=loop.run, daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    waiting = select.poll()
    waiting.register(wake_up, select.POLLIN)
    while not told and any(thread.is_alive() for thread in threads):
        if waiting.poll(int(limits.STATUS_SECONDS * 1000)):
            os.read(wake_up, 4096)
        status.write()
    if told:
        for loop in loops:
            if signal.SIGUSR1 in told:
                loop.finish()
            else:
                loop.give_up("the relay was told to end")
        deadline = time.monotonic() + limits.END_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    status.write()
    if not told and all(loop.disk.abandoned for loop in loops):
        # Nobody comes back to a conversion that never began, so leave nothing behind.
        log("virt-v2v was never started: the directory is removed")
        shutil.rmtree(str(Path.cwd()), ignore_errors=True)
    return 0 if told or all(loop.report.state is DiskState.DONE for loop in loops) else 1


def main(arguments: Sequence[str]) -> int:
    many_clients = "--many-clients" in arguments
    rest = [argument for argument in arguments if argument != "--many-clients"]
    try:
        directory, disks, seconds = rest[0], int(rest[1]), float(rest[2])
        if len(rest) != 3 or not 0 < disks <= 256 or not 0 < seconds < 1e9:
            raise ValueError
    except (ValueError, IndexError):
        log("usage: nbd_relay.pyz DIRECTORY DISKS SECONDS [--many-clients]")
        return 2
    os.umask(0o077)
    try:
        os.chdir(directory)
        return relay(disks, seconds, many_clients)
    except OSError as error:
        log("the relay cannot start: " + (f"{error.filename}: " if error.filename else "") + reason_of(error))
        return 2


def run() -> NoReturn:
    # At once: the disks' threads have nothing to finish, and the kernel closes their files.
    os._exit(main(sys.argv[1:]))
