"""What the screens cost on a console: bytes at its pty, seconds at 9600 baud, start, memory; newt's form beside it.

    python -m bench.console_bytes [--no-newt]

The console is a pty of 80x24 with TERM=vt220; p2v-tui runs on it as it does on a machine, inside tmux. The first
screen is the real program's; machine and conversion of the other two are made up (scripted_screens.py). Ends with 1
when a limit is missed. docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench import scripted_screens
from bench.terminal import Terminal
from p2v_tui.screens.running import LIFE_INTERVAL

TERM: Final = "vt220"
BAUD_9600: Final = 960  # bytes a second, 8N1
BURST, BURST_SECONDS = 100, 5.0
TICKS: Final = 10
IDLE_SECONDS: Final = 5.0
# The running screen looks once a second, and its clock goes every two: an update is complete when nothing came for so
# many seconds.
SETTLED: Final = 1.5
MIB: Final = 1 << 20
_PROGRAM: Final = (str(Path(sys.executable).with_name("p2v-tui")), "--cmdline=p2v.username=root")
_NEWT: Final = ("/usr/bin/python3", str(Path(__file__).with_name("newt_form.py")))


@dataclass(frozen=True)
class Figure:
    """One line of the table. limit: None to report only."""

    name: str
    unit: str
    limit: float | None


FIRST_PAINT = Figure("first paint", "bytes", 1500)
START = Figure("first paint after the start", "s", 0.5)
KEY = Figure("a key in a field, the dearest of 10", "bytes", 25)
TAB = Figure("Tab, median", "bytes", 80)
TAB_MAX = Figure("Tab, the dearest", "bytes", None)
TO_SECOND = Figure("to the conversion screen", "bytes", 1700)
TO_THIRD = Figure("to the running screen", "bytes", 1700)
TICK = Figure("a tick of the progress, median", "bytes", 15)
TICK_MAX = Figure("a tick, the dearest", "bytes", None)
LINE = Figure(f"a log line, of {BURST} in {BURST_SECONDS:.0f} s", "bytes", 100)
SLOW_LINES = Figure("the same at 9600 baud, until it stands", "s", 10)
SLOW_LINES_BYTES = Figure("a log line of these", "bytes", 100)
IDLE_FIRST = Figure("idle, first screen", "bytes/s", 5)
LIFE = Figure(f"a sign of life, of {LIFE_INTERVAL:.0f} s", "bytes", 16)
LIFE_MAX = Figure("a sign of life, the dearest", "bytes", None)
MEMORY = Figure("memory of the screens after all of them (PSS)", "MiB", 60)
MEMORY_RSS = Figure("the same (RSS)", "MiB", None)
MEMORY_ALL = Figure("memory with p2v-tui outside and tmux (PSS)", "MiB", None)
FIGURES: Final = tuple(value for value in list(globals().values()) if isinstance(value, Figure))

Measured = dict[Figure, float]


def measure_first_screen() -> Measured:
    """The real program: started, typed into, left alone."""
    found: Measured = {}
    with private_tmux() as place:
        # One run to warm up, so that the files are read and compiled, as on a live image.
        for _ in range(2):
            with Terminal(_PROGRAM, TERM, place) as terminal:
                paint = terminal.read_until(b"Esc: back")
                found[START] = time.monotonic() - terminal.started
                paint += terminal.read_until_quiet()
                found[FIRST_PAINT] = len(paint)
                found[KEY] = max(
                    _cost(terminal, key) for key in (b"c", b"o", b"n", b"v", b".", b"x", b"-", b"1", b"2")
                )
                found[KEY] = max(found[KEY], _cost(terminal, b"\x7f"))
                tabs = [_cost(terminal, b"\t") for _ in range(22)]
                found[TAB], found[TAB_MAX] = statistics.median(tabs), max(tabs)
                found[IDLE_FIRST] = len(terminal.read_for(IDLE_SECONDS)) / IDLE_SECONDS
                end_tmux(place)
                terminal.read_until_quiet()
    return found


def measure_other_screens() -> Measured:
    """The second and the third screen, with a made-up machine and conversion."""
    found: Measured = {}
    with private_tmux() as place, control_pipe() as (pipe, say):
        command = [sys.executable, "-m", "bench.scripted_screens", "start", str(pipe)]
        with Terminal(command, TERM, place) as terminal:
            terminal.read_until_quiet(1.0)
            say("conversion")
            found[TO_SECOND] = len(terminal.read_until_quiet())
            say("running")
            found[TO_THIRD] = len(terminal.read_until_quiet(SETTLED))
            ticks = []
            for _ in range(TICKS):
                say("tick")
                ticks.append(len(terminal.read_until_quiet(SETTLED)))
            found[TICK], found[TICK_MAX] = statistics.median(ticks), max(ticks)
            say(f"lines {BURST} {BURST_SECONDS}")
            burst = terminal.read_until_quiet(SETTLED)
            assert f"line {BURST - 1} of".encode() in _shown(place), burst
            found[LINE] = len(burst) / BURST
            # The clock of the phase, at least this often.
            lives = [len(terminal.read_for(LIFE_INTERVAL)) for _ in range(TICKS)]
            assert all(lives[1:]), lives
            found[LIFE], found[LIFE_MAX] = statistics.median(lives), max(lives)
            say(f"lines {BURST} {BURST_SECONDS}")
            slow, found[SLOW_LINES] = terminal.read_slowly(BAUD_9600, quiet=SETTLED)
            found[SLOW_LINES_BYTES] = len(slow) / BURST
            found |= _memory(place)
            say("end")
            terminal.read_until_quiet()
            terminal.process.wait(10)
    return found


def measure_newt() -> Measured:
    """newt's form, without tmux, as an installer shows it."""
    found: Measured = {}
    with control_pipe() as (pipe, say), Terminal([*_NEWT, str(pipe)], TERM) as terminal:
        paint = terminal.read_until(b"filled in.")
        found[START] = time.monotonic() - terminal.started
        found[FIRST_PAINT] = len(paint + terminal.read_until_quiet())
        found[KEY] = max(_cost(terminal, key) for key in (b"c", b"o", b"n", b"v", b"."))
        tabs = [_cost(terminal, b"\t") for _ in range(16)]
        found[TAB], found[TAB_MAX] = statistics.median(tabs), max(tabs)
        found[IDLE_FIRST] = len(terminal.read_for(IDLE_SECONDS)) / IDLE_SECONDS
        found[MEMORY_RSS] = psutil.Process(terminal.process.pid).memory_info().rss / MIB
        say("switch")
        found[TO_THIRD] = len(terminal.read_until_quiet())
        ticks = []
        for _ in range(TICKS):
            say("tick")
            ticks.append(len(terminal.read_until_quiet(0.2, first=0.5)))
        found[TICK], found[TICK_MAX] = statistics.median(ticks), max(ticks)
        total = 0
        for _ in range(BURST):
            say("line")
            total += len(terminal.read_for(BURST_SECONDS / BURST))
        found[LINE] = total / BURST
    return found


@contextlib.contextmanager
def private_tmux() -> Iterator[dict[str, str]]:
    """The environment that keeps p2v-tui's session apart from any other; the session is ended."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        place = {"TMUX_TMPDIR": directory}
        try:
            yield place
        finally:
            end_tmux(place)


def end_tmux(place: dict[str, str]) -> None:
    tmux(place, "kill-server")


def tmux(place: dict[str, str], *words: str) -> bytes:
    socket = Path(place["TMUX_TMPDIR"], f"p2v-tui-{os.geteuid()}", "tmux")
    done = subprocess.run(
        ["tmux", "-S", str(socket), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    return done.stdout


@contextlib.contextmanager
def control_pipe() -> Iterator[tuple[Path, Say]]:
    """A named pipe, and the function that writes a line to it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        path = Path(directory, "control")
        os.mkfifo(path)
        pipe = os.open(path, os.O_RDWR)
        try:
            yield path, Say(pipe)
        finally:
            os.close(pipe)


@dataclass(frozen=True)
class Say:
    pipe: int

    def __call__(self, line: str) -> None:
        os.write(self.pipe, f"{line}\n".encode())


def _cost(terminal: Terminal, key: bytes) -> int:
    terminal.write(key)
    return len(terminal.read_until_quiet(0.25, first=2.0))


def _shown(place: dict[str, str]) -> bytes:
    """What the console shows: the pty's new bytes do not include what was there already."""
    return tmux(place, "capture-pane", "-p")


def _memory(place: dict[str, str]) -> Measured:
    """The memory of p2v-tui's processes while its screens are shown."""
    inside, together = None, 0
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(place["TMUX_TMPDIR"] in word for word in words) or scripted_screens.__name__ in words:
            used = process.memory_full_info()
            together += used.pss
            if "inside" in words and "tmux" not in Path(words[0]).name:
                inside = used
    assert inside is not None
    return {MEMORY: inside.pss / MIB, MEMORY_RSS: inside.rss / MIB, MEMORY_ALL: together / MIB}


def table(ours: Measured, newt: Measured) -> tuple[str, bool]:
    """The figures as text, and whether all limits hold."""
    lines = [f"{'at 80x24, TERM=' + TERM:48}{'p2v-tui':>9}{'newt':>9}{'ratio':>8}{'limit':>9}"]
    kept = True
    for figure in FIGURES:
        mine, theirs = ours.get(figure), newt.get(figure)
        missed = mine is not None and figure.limit is not None and mine > figure.limit
        kept = kept and not missed
        ratio = f"{mine / theirs:.2f}" if mine is not None and theirs else "-"
        lines.append(
            f"{figure.name + ', ' + figure.unit:48}{_number(mine):>9}{_number(theirs):>9}{ratio:>8}"
            f"{_number(figure.limit):>9}{'  MISSED' if missed else ''}"
        )
    return "\n".join(lines), kept


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--no-newt", action="store_true", help="do not measure newt's form")
    options = parser.parse_args()
    ours = measure_first_screen() | measure_other_screens()
    text, kept = table(ours, {} if options.no_newt else measure_newt())
    print(text)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
