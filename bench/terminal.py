"""A terminal to measure with: a pty with a program on it, read at any speed."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

# Long enough for a program on a busy machine to complete its output, in seconds.
QUIET = 0.5


class Terminal:
    """Runs a program on a pty of 80x24. What it writes is read when one of the methods is called.

    environment: added to ours.
    """

    def __init__(
        self,
        command: Sequence[str],
        term: str,
        environment: Mapping[str, str] | None = None,
        rows: int = 24,
        columns: int = 80,
    ) -> None:
        self.received = b""
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        removed = ("TMUX", "STY", "COLORTERM", "NO_COLOR", "LINES", "COLUMNS", "LC_ALL", "LC_CTYPE")
        inherited = {name: value for name, value in os.environ.items() if name not in removed}
        self.started = time.monotonic()
        # A session leader with this terminal, like a getty's program, so that it gets the hang-up.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**inherited, "TERM": term, "LANG": "C.UTF-8", **(environment or {})},
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.read_until_quiet(0.2)
        self.hang_up()
        self.process.wait(10)

    def hang_up(self) -> None:
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def write(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def read_until_quiet(self, quiet: float = QUIET, *, first: float = 5.0) -> bytes:
        """All that arrives until nothing does for `quiet` seconds. first: how long to wait for the first byte."""
        got, wait = b"", first
        while self._readable(wait):
            piece = self._read()
            if not piece:
                break
            got, wait = got + piece, quiet
        return got

    def read_for(self, seconds: float) -> bytes:
        """All that arrives in that time."""
        got, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._readable(left):
            piece = self._read()
            if not piece:
                break
            got += piece
        return got

    def read_until(self, text: bytes, timeout: float = 20.0) -> bytes:
        """All that arrives up to and together with the text. Raises TimeoutError."""
        got, end = b"", time.monotonic() + timeout
        while text not in got:
            if not self._readable(max(0.0, end - time.monotonic())) or not (piece := self._read()):
                raise TimeoutError(f"{text!r} did not come; this did: {got!r}")
            got += piece
        return got

    def read_slowly(self, rate: int, quiet: float) -> tuple[bytes, float]:
        """Reads `rate` bytes a second until nothing comes for `quiet` seconds; and the seconds to the last byte."""
        start = last = time.monotonic()
        got, step = b"", 0.05
        while time.monotonic() - last < quiet:
            allowed = int((time.monotonic() - start) * rate) - len(got)
            if allowed > 0 and self._readable(0):
                piece = self._read(allowed)
                if not piece:
                    break
                got, last = got + piece, time.monotonic()
            time.sleep(step)
        return got, last - start

    def _readable(self, timeout: float) -> bool:
        # Nothing comes from a terminal that has hung up.
        return self._master >= 0 and bool(select.select([self._master], [], [], timeout)[0])

    def _read(self, size: int = 65536) -> bytes:
        try:
            piece = os.read(self._master, size)
        except OSError:
            # EIO: the other end was closed.
            return b""
        self.received += piece
        return piece
