"""`make pictures`: records a whole conversion, of the real program in a terminal, as a file for asciinema.

The conversion server is the laboratory's, with the stand-in for virt-v2v: it reads the disk as virt-v2v does, and
takes a minute instead of an hour. Needs root.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from tests.lab.commands import LabFailure
from tests.lab.conversion_server import ConversionServer, identity
from tests.lab.stand_in import VIRT_V2V, Behaviour, Pause, StandIn

FILE: Final = Path(__file__).parents[2] / "docs" / "pictures" / "conversion.cast"
COLUMNS, LINES = 120, 36
_MIB: Final = 1 << 20
_SIZE: Final = 96 * _MIB
_RATE: Final = 6 * _MIB
_LONGEST_WAIT: Final = 120.0
_PHASES: Final = ("Opening", "Inspecting", "Checking", "Converting", "Mapping", "Closing", "Assigning", "Setting")
_TAB, _BACK_TAB, _ENTER, _RIGHT, _F7, _F10 = "\t", "\x1b[Z", "\r", "\x1b[C", "\x1b[18~", "\x1b[21~"


class Recording:
    """A program on a terminal of its own. events: what it wrote, each with the seconds since the start."""

    def __init__(self, command: Sequence[str]) -> None:
        self.events: list[tuple[float, str]] = []
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        environment = {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._heard = ""
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave, env=environment
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._master)
        self._process.wait(30)

    def wait_for(self, text: str) -> None:
        """Until the program has painted this since the last call. Raises LabFailure."""
        end = time.monotonic() + _LONGEST_WAIT
        while text not in self._heard:
            if time.monotonic() > end or not self._read(1.0):
                raise LabFailure(f"{text!r} did not come; this did: {self._heard[-2000:]!r}")
        self._heard = ""

    def watch(self, seconds: float) -> None:
        """Lets the viewer look for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._read(left):
            pass

    def press(self, *keys: str) -> None:
        for key in keys:
            os.write(self._master, key.encode())
            self.watch(0.4)

    def save(self, file: Path) -> None:
        """As asciicast, version 2."""
        header = {"version": 2, "width": COLUMNS, "height": LINES, "idle_time_limit": 2.0, "title": "p2v-tui"}
        lines = [header, *([round(at, 3), "o", text] for at, text in self.events)]
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    def _read(self, timeout: float) -> bool:
        """Whether more may come."""
        if not select.select([self._master], [], [], timeout)[0]:
            return True
        try:
            received = os.read(self._master, 65536)
        except OSError:
            return False
        text = self._decoder.decode(received)
        self._heard += text
        self.events.append((time.monotonic() - self._started, text))
        return bool(received)


def convert(recording: Recording) -> None:
    """What an operator does, from the first screen to the end."""
    recording.wait_for("Fill in the fields")
    recording.watch(2)
    recording.press(*[_TAB] * 4)
    recording.press(_ENTER)
    recording.wait_for("The connection works")
    recording.watch(3)
    recording.press(_ENTER)
    recording.wait_for("Choose what to convert")
    recording.watch(3)
    recording.press(_F7)
    recording.watch(1.5)
    recording.press(_F7)
    recording.watch(1.5)
    recording.press(_F7)
    recording.press(*[_BACK_TAB] * 3)
    recording.watch(1)
    recording.press(_ENTER)
    recording.wait_for("Summary")
    recording.watch(4)
    recording.press(_ENTER)
    recording.wait_for("finished successfully")
    recording.watch(4)
    recording.press(_F10)
    recording.watch(1.5)
    recording.press(_RIGHT, _ENTER)
    recording.watch(1)


def main() -> int:
    """Makes the file. The exit code."""
    pauses = tuple(Pause(phase, 1.2) for phase in _PHASES)
    with (
        tempfile.TemporaryDirectory(prefix="p2v-", dir="/var/tmp") as scratch,
        StandIn(Behaviour(pauses, rate=_RATE, writes=True)) as stand_in,
    ):
        disk, output, key = Path(scratch, "web1.img"), Path(scratch, "guests"), identity(Path(scratch))
        with disk.open("wb") as image:
            image.truncate(_SIZE)
        output.mkdir()
        with ConversionServer(authorized=[key.public_key], replace={VIRT_V2V: stand_in.program}) as server:
            words = (
                f"p2v.server={server.host} p2v.port={server.port} p2v.remote.hostkey={server.fingerprint} "
                f"p2v.identity={key.url} p2v.o=local p2v.os={output} p2v.name=web1 p2v.accept_warnings"
            )
            program = str(Path(sys.executable).with_name("p2v-tui"))
            with Recording([program, "--interactive", f"--test-disk={disk}", f"--cmdline={words}"]) as recording:
                convert(recording)
            recording.save(FILE)
    print(FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
