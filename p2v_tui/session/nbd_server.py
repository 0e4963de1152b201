"""Serves one disk, read-only, over NBD on a Unix socket: nbdkit or qemu-nbd, as a child of ours."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from p2v_tui.errors import PreflightRefused
from p2v_tui.session.cancellation import Cancellation

PROGRAMS: Final = ("nbdkit", "qemu-nbd")
START_TIMEOUT: Final = 15.0
STOP_TIMEOUT: Final = 5.0
ANSWER_TIMEOUT: Final = 0.5

# NBD's newstyle handshake (its doc/proto.md): two magic words and flags from the server; flags, then the option ABORT
# from the client; the header of the answer to it.
_GREETING_SIZE: Final = 18
_GOODBYE: Final = struct.pack(">I8sII", 3, b"IHAVEOPT", 2, 0)
_REPLY_SIZE: Final = 20


def find_program(wanted: str | None) -> str:
    """`wanted`, or the first of PROGRAMS that is installed. Raises PreflightRefused when it is not there."""
    for program in (wanted,) if wanted else PROGRAMS:
        if shutil.which(program):
            return program
    raise PreflightRefused(
        f"{wanted or ' and '.join(PROGRAMS)} {'is' if wanted else 'are'} not installed on this machine, so its disks "
        "cannot be served.",
        "Install nbdkit, or qemu-utils for qemu-nbd"
        + (", or leave p2v.nbd out to use the other one." if wanted else "."),
    )


def command(program: str, device: Path, socket: Path) -> list[str]:
    """The command line that serves `device` read-only on `socket` and dies with its parent."""
    if program == "nbdkit":
        options = ["--foreground", "--exit-with-parent", "--readonly", "--newstyle", "--threads=16"]
        return ["nbdkit", *options, f"--unix={socket}", "file", f"file={device}"]
    # --shared=0: any number of clients, --persistent: one after the other. qemu-nbd cannot watch its parent itself.
    options = ["--read-only", "--persistent", "--shared=0", "--format=raw", "--cache=none"]
    if not device.is_block_device():
        options.remove("--cache=none")
    return ["setpriv", "--pdeathsig=TERM", "qemu-nbd", *options, f"--socket={socket}", str(device)]


class NbdServer:
    """A running NBD server. `bytes_served` grows while it is read. `close()` ends it.

    Raises PreflightRefused when it does not start; `log` receives what it says.
    """

    def __init__(self, program: str, device: Path, socket: Path, log: Path, cancellation: Cancellation) -> None:
        self.socket = socket
        self._program = program
        self._device = device
        self._log = log
        self._last_count = 0
        with log.open("wb") as output:
            # In a session of its own, so that ^C on the terminal reaches only us and things end in order.
            self._process = subprocess.Popen(
                command(program, device, socket),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(cancellation)
        except BaseException:
            self.close()
            raise

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def last_words(self) -> str:
        lines: Sequence[str] = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    @property
    def bytes_served(self) -> int:
        """Bytes that it read from the disk so far; what the kernel counts, so that counting costs nothing."""
        with contextlib.suppress(psutil.Error):
            # rchar: socket traffic is received by recv() and not in it, so it is what was read from the disk.
            self._last_count = psutil.Process(self._process.pid).io_counters().read_chars
        return self._last_count

    def close(self) -> None:
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
        # A process that hangs in the kernel on a dying disk does not even die of KILL: it is left to itself.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        self.socket.unlink(missing_ok=True)

    def _wait_until_ready(self, cancellation: Cancellation) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                raise PreflightRefused(
                    f"{self._program} cannot serve {self._device}: {self.last_words}.",
                    "Check that the disk can be read: dd if=DISK of=/dev/null count=1",
                )
            cancellation.wait(0.02)

    def _answers(self) -> bool:
        """Whether it speaks NBD by now.

        That the socket is there is not enough: qemu-nbd makes it before it opens the disk, and may fail then.
        """
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_TIMEOUT)
            client.connect(str(self.socket))
            if client.recv(_GREETING_SIZE).startswith(b"NBDMAGICIHAVEOPT"):
                # A client that says goodbye leaves no complaint in the log.
                client.sendall(_GOODBYE)
                client.recv(_REPLY_SIZE)
                return True
        return False
