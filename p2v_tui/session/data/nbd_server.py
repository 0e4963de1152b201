"""Serves one disk, read-only, over NBD on a Unix socket: nbdkit or qemu-nbd, as a child process that may die."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from p2v_tui.errors import ConversionFailed, PreflightRefused
from p2v_tui.session.words.cancellation import Cancellation

PROGRAMS: Final = ("nbdkit", "qemu-nbd")
START_TIMEOUT: Final = 15.0
STOP_TIMEOUT: Final = 5.0
ANSWER_TIMEOUT: Final = 0.5
BACKLOG: Final = 16
# After so many deaths in a row, each before it had lived so many seconds and read so many bytes of the disk, an NBD
# server is not restarted. A connection without a read costs some 50 bytes.
MAX_FRUITLESS_STARTS: Final = 5
FRUITLESS_SECONDS: Final = 30.0
FRUITLESS_BYTES: Final = 4096
# Limits the memory that the conversion server can make the NBD server use with many large requests, in bytes:
# allocations beyond it fail. An honest nbdcopy (before 1.12) makes 8 threads of nbdkit hold 32 MiB each, twice that
# while the relay moves to another tunnel; nbdkit reserves 192 MiB at the start, without using them.
MAX_DATA: Final = 768 << 20
# In bytes. With the default of 8 MiB, ten connections with 8 threads each would take nearly all of MAX_DATA.
THREAD_STACK: Final = 512 << 10

# NBD's newstyle handshake (its doc/proto.md): two magic words and flags from the server; flags, then the option ABORT
# from the client; the header of the answer to it.
_GREETING_SIZE: Final = 18
_GOODBYE: Final = struct.pack(">I8sII", 3, b"IHAVEOPT", 2, 0)
_REPLY_SIZE: Final = 20


_READ_ERROR: Final = re.compile(r"error: pread: (.+)")


def find_program(wanted: str | None) -> str:
    """`wanted`, or the first of PROGRAMS that is installed. Raises PreflightRefused if none is."""
    for program in (wanted,) if wanted else PROGRAMS:
        if shutil.which(program):
            return program
    raise PreflightRefused(
        f"{wanted or ' and '.join(PROGRAMS)} {'is' if wanted else 'are'} not installed on this machine, so its disks "
        "cannot be served.",
        "Install nbdkit, or qemu-utils for qemu-nbd"
        + (", or leave p2v.nbd out to use the other one." if wanted else "."),
    )


def command(program: str, device: Path) -> list[str]:
    """The command line that serves `device` read-only.

    The listening socket is descriptor 3 (systemd's socket activation, sd_listen_fds(3)).
    """
    if program == "nbdkit":
        options = ["--foreground", "--readonly", "--newstyle", "--threads=8"]
        return ["nbdkit", *options, "file", f"file={device}"]
    # --shared=0: any number of clients, --persistent: one after the other.
    options = ["--read-only", "--persistent", "--shared=0", "--format=raw", "--cache=none"]
    if not device.is_block_device():
        options.remove("--cache=none")
    return ["qemu-nbd", *options, str(device)]


# $1: our process id. If we were killed before setpriv asked the kernel for the signal, the parent is another process
# by now: so the program can never outlive us. LISTEN_PID must be the program's own process id, which is known only to
# the process that execs it.
_BECOME_SERVER: Final = f"""\
[ "$PPID" = "$1" ] || exit
shift
ulimit -d {MAX_DATA >> 10}
ulimit -s {THREAD_STACK >> 10}
exec 3<&0 </dev/null
LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"
"""


def _start_command(program: Sequence[str]) -> list[str]:
    """Command to start the program, with its socket as standard input. The kernel kills it when our thread ends."""
    return ["setpriv", "--pdeathsig=KILL", "/bin/sh", "-c", _BECOME_SERVER, "sh", str(os.getpid()), *program]


class NbdServer:
    """A running NBD server. `bytes_served` grows while it is read. `close()` ends it.

    The listening socket is ours: connections wait, and are not refused, while the program is restarted. The program
    dies with the thread that started it, not only with the process (prctl(2), PR_SET_PDEATHSIG).

    Raises PreflightRefused when it does not start. `log`: the file for its output.
    """

    def __init__(self, program: str, device: Path, socket: Path, log: Path, cancellation: Cancellation) -> None:
        self.socket = socket
        self._program = program
        self._device = device
        self._log = log
        self._cancellation = cancellation
        # Bytes that earlier processes served; that the present one has read, and had read when it was ready.
        self._served_before = 0
        self._count = 0
        self._idle_count = 0
        self._fruitless_starts = 0
        # Since when starting it has failed, if it does.
        self._failing_since: float | None = None
        self._started = 0.0
        self._read_error: str | None = None
        self._log_read = 0
        self._listener = _listen(socket)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def running(self) -> bool:
        if self._process is None or self._process.returncode is not None:
            return False
        # Until an ended process is collected, the kernel still tells what it has read.
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return True
        self._look_at_count()
        self._process.wait()
        return False

    @property
    def last_words(self) -> str:
        lines: Sequence[str] = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    @property
    def read_error(self) -> str | None:
        """What nbdkit said of the last failed read; qemu-nbd says nothing."""
        size = self._log.stat().st_size
        if size != self._log_read:
            # This is called often, and a failing disk fills the log.
            self._log_read = size
            found = _READ_ERROR.findall(self._log.read_text(errors="replace"))
            self._read_error = str(found[-1]) if found else None
        return self._read_error

    @property
    def bytes_served(self) -> int:
        """Bytes read from the disk so far, as the kernel counts them.

        For the thread that owns the server.
        """
        if self.running:
            self._look_at_count()
        return self._served_before + self._served

    def start_again(self, *, wanted: bool = True) -> bool:
        """Restarts the program if it has died; returns whether it had. nbdkit aborts when a connection drops.

        wanted: whether somebody waits for data. Only then is a run without reads counted as fruitless.

        If the disk cannot be opened, the next call tries again. Raises ConversionFailed when that has lasted for
        FRUITLESS_SECONDS, or when the program died MAX_FRUITLESS_STARTS times in a row without having served
        anything.
        """
        if self.running:
            return False
        if self._failing_since is None:
            self._count_life(wanted=wanted)
        self._served_before += self._served
        self._count = self._idle_count = 0
        try:
            self._start()
        except PreflightRefused as error:
            # If it runs, it waits for the disk, and so do we.
            if self.running:
                return True
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if now - self._failing_since >= FRUITLESS_SECONDS:
                raise ConversionFailed(error.message, error.advice) from error
            return False
        self._failing_since = None
        return True

    def _count_life(self, *, wanted: bool) -> None:
        """Counts the run that has ended. Raises ConversionFailed after too many fruitless ones."""
        if self._served >= FRUITLESS_BYTES or time.monotonic() - self._started >= FRUITLESS_SECONDS:
            self._fruitless_starts = 0
        elif wanted:
            self._fruitless_starts += 1
        if self._fruitless_starts >= MAX_FRUITLESS_STARTS:
            raise ConversionFailed(
                f"The NBD server of {self._device} ends again and again: {self.last_words}.",
                "Look for a disk error in the kernel's log (dmesg) and convert again.",
            )

    def close(self) -> None:
        self._end_process()
        self._listener.close()
        self.socket.unlink(missing_ok=True)

    @property
    def _served(self) -> int:
        """Bytes by the present process, at the last look."""
        return self._count - self._idle_count

    def _look_at_count(self) -> None:
        """rchar does not include recv(), so it counts reads of the disk and not socket traffic."""
        assert self._process is not None
        with contextlib.suppress(OSError, ValueError, IndexError):
            counters = Path(f"/proc/{self._process.pid}/io").read_text()
            self._count = max(self._count, int(counters.partition("rchar: ")[2].split()[0]))

    def _start(self) -> None:
        self._started = time.monotonic()
        with self._log.open("ab") as output:
            # In its own session, so that ^C on the terminal reaches only us and things end in order.
            self._process = subprocess.Popen(
                _start_command(command(self._program, self._device)),
                stdin=self._listener.fileno(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready()

    def _end_process(self) -> None:
        if self._process is None:
            return
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
        # Not even KILL ends a process that hangs in the kernel on a dying disk: leave it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        self._cancellation.check()
        while not self.answers():
            if not self.running or time.monotonic() > deadline:
                raise PreflightRefused(
                    f"{self._program} cannot serve {self._device}: {self.last_words}.",
                    "Check that the disk can be read: dd if=DISK of=/dev/null count=1",
                )
            self._cancellation.wait(0.02)
        self._look_at_count()
        self._idle_count = self._count

    def answers(self) -> bool:
        """Whether it speaks NBD yet: the socket accepts connections before the program has opened the disk."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_TIMEOUT)
            client.connect(str(self.socket))
            if client.recv(_GREETING_SIZE).startswith(b"NBDMAGICIHAVEOPT"):
                # Without a goodbye it would complain in the log.
                client.sendall(_GOODBYE)
                client.recv(_REPLY_SIZE)
                return True
        return False


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
