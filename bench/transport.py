"""The data path and the set-up, compared with virt-p2v and with ssh's own limit, as ratios of one run on one machine.

    python -m bench.transport [copy] [setup] [slow] [disks] [--rounds N]

All programs talk to one sshd on loopback (root is needed). There a stand-in for virt-v2v reads the disks as virt-v2v
does and converts nothing; proxies simulate long and slow links. The programs run alone, in turns, each as soon as the
machine is idle, and the medians are shown. Ends with 1 when a limit is missed. docs/performance.md says what the
ratios mean.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import os
import random
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

import psutil

from bench.accounted import Accounted
from tests.e2e.peer import Peer, log_directory_in
from tests.e2e.program import PROGRAM
from tests.lab.commands import LabFailure, last_lines, run_command
from tests.lab.conversion_server import ConversionServer, Identity, identity
from tests.lab.debian import cache_directory
from tests.lab.ports import free_port
from tests.lab.slow_link import SlowLink
from tests.lab.stand_in import VIRT_V2V, StandIn
from tests.lab.waiting import happens

MB: Final = 1_000_000
ROUNDS: Final = 5
# The image for throughput is random, so that it cannot be compressed and all runs are alike.
RANDOM_SIZE: Final = 2000 * MB
# A copy that takes hardly any time, to measure the other costs of a conversion.
SMALL_SIZE: Final = 64 * 1024 * 1024
# For a slow link: a copy of half a minute. Half of each block is random, half is text.
SLOW_SIZE: Final = 400 * 1024 * 1024
SLOW_RATE: Final = 12.5 * MB
SLOW_ROUNDS: Final = 3
BLOCK: Final = 4096
# In each direction.
DELAY: Final = 0.010
MANY: Final = 8
_RUN_SECONDS: Final = 600.0
_END_SECONDS: Final = 10.0
_SAMPLE_SECONDS: Final = 0.2
_CHUNK: Final = 8 << 20
# How much other work on this machine is tolerated, in percent of all cores, and how long to wait for its end.
QUIET: Final = 10.0
QUIET_TIMEOUT: Final = 20.0


@dataclass(frozen=True)
class Contender:
    """A program that converts. command: starts it; the settings follow in one word."""

    name: str
    command: tuple[str, ...]
    settings: str = ""


@dataclass(frozen=True)
class Run:
    """One conversion. setup: seconds from the program's start to virt-v2v's. copy: those of all the copies.

    cpu: seconds of all processes of this side. memory: the most that they had together, in bytes; 0 if not measured.
    server_cpu: seconds of all processes of the server's side.
    """

    setup: float
    copy: float
    cpu: float
    memory: int
    server_cpu: float


Figures = Sequence[float]


@dataclass(frozen=True)
class Row:
    """One line of the table: our figures of each round, those to compare with, and the limit of their ratio. limit:
    of the ratio, or of ours if there are no other figures. least: the limit is a minimum, not a maximum.
    """

    name: str
    unit: str
    ours: Figures
    others: Figures | None = None
    other_name: str = ""
    limit: float | None = None
    least: bool = False

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios: a temporary slowdown of the machine affects both figures of a round."""
        if self.others is None:
            return None
        return statistics.median(mine / theirs for mine, theirs in zip(self.ours, self.others, strict=True))

    @property
    def kept(self) -> bool:
        judged = statistics.median(self.ours) if self.ratio is None else self.ratio
        if self.limit is None:
            return True
        return judged >= self.limit if self.least else judged <= self.limit

    def __str__(self) -> str:
        ours = f"{statistics.median(self.ours):.2f}"
        other = "-" if self.others is None else f"{statistics.median(self.others):.2f}"
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        limit = "-" if self.limit is None else f"{'>=' if self.least else '<='} {self.limit:.2f}"
        missed = "" if self.kept else "  MISSED"
        return _columns(f"{self.name}, {self.unit}", ours, other, self.other_name, ratio, limit) + missed


class Bench:
    """The server, the programs and the images."""

    def __init__(
        self,
        stand_in: StandIn,
        server: ConversionServer,
        key: Identity,
        scratch: Path,
        *,
        rounds: int,
        quiet_timeout: float,
    ) -> None:
        """quiet_timeout: seconds that each run waits for the machine to be quiet."""
        self.server = server
        self.rounds = rounds
        self.quiet_timeout = quiet_timeout
        self.scratch = scratch
        self.runs = self.disturbed = 0
        self.stand_in = stand_in
        self._key = key

    def wait_until_quiet(self) -> None:
        """Waits until nobody else uses the cores, but not for ever; the disturbed runs are counted."""
        deadline = time.monotonic() + self.quiet_timeout
        self.runs += 1
        while psutil.cpu_percent(0.5) > QUIET:
            if time.monotonic() > deadline:
                self.disturbed += 1
                return

    def run(
        self, contender: Contender, disks: Sequence[Path], *, port: int | None = None, sample: bool = False
    ) -> Run:
        """Runs one conversion to its end. port: of a link to the server. Raises LabFailure if it does not succeed."""
        settings = [
            f"p2v.server={self.server.host} p2v.port={port or self.server.port} p2v.username=root",
            f"p2v.identity={self._key.url} p2v.name=bench p2v.disks={','.join(map(str, disks))}",
            "p2v.o=null p2v.post=",
            contender.settings,
        ]
        self.stand_in.forget()
        self.wait_until_quiet()
        with tempfile.TemporaryDirectory(dir=self.scratch) as directory:
            before = self.server.cpu_seconds()
            program = Accounted([*contender.command, f"--cmdline={' '.join(settings)}"], Path(directory))
            try:
                memory = 0
                while sample and program.running:
                    memory = max(memory, program.memory())
                    time.sleep(_SAMPLE_SECONDS)
                cost, output = program.finish(_RUN_SECONDS)
            finally:
                program.end()
        events = {event.name: event.at for event in self.stand_in.events()}
        if cost.code != 0 or cost.left or "end" not in events:
            left = f" It left behind: {', '.join(cost.left)}." if cost.left else ""
            raise LabFailure(f"{contender.name} ended with {cost.code}.{left}\n{last_lines(output)}")
        shutil.rmtree(log_directory_in(output), ignore_errors=True)
        copy = events["Creating output metadata"] - events[f"Copying disk 1/{len(disks)}"]
        return Run(events["start"] - cost.started, copy, cost.cpu, memory, self._ended_cpu_seconds() - before)

    def _ended_cpu_seconds(self) -> float:
        """The server's CPU time, after everything that was started there has ended."""
        happens(lambda: not self.server.session_processes(), _END_SECONDS)
        return self.server.cpu_seconds()

    def in_turns(self, works: Sequence[Callable[[], Run]], rounds: int | None = None) -> list[list[Run]]:
        """Runs each of them once a round, in reverse order in every second round; returns their runs."""
        found: list[list[Run]] = [[] for _ in works]
        for number in range(rounds or self.rounds):
            order = list(enumerate(works))
            for position, work in reversed(order) if number % 2 else order:
                found[position].append(work())
        return found

    def send_through_ssh(self, image: Path) -> Run:
        """The limit: sends the image to `cat >/dev/null` there. Its seconds do not include the login."""
        with image.open("rb") as stdin:
            return self._timed(self.ssh("date +%s.%N; cat >/dev/null; date +%s.%N"), stdin)

    def read_through_ssh(self, image: Path) -> Run:
        """The speed of a tunnel alone: the copy by virt-v2v's readers, straight from `ssh -R`."""
        port = free_port()
        copy = 'date +%s.%N; nbdcopy --requests=64 --flush "$uri" null:; date +%s.%N'
        reader = f"nbdkit --unix - --threads 16 --filter cow nbd hostname=localhost port={port} shared=true"
        ssh = self.ssh(f"{reader} --run {shlex.quote(copy)}", "-R", f"{port}:SOCKET")
        # The shell of nbdkit's --run has its socket's path.
        serve = shlex.join(ssh).replace("SOCKET", '"$unixsocket"')
        server = ["nbdkit", "--readonly", "--threads", "8", "--unix", "-", "--run", serve, "file", f"file={image}"]
        return self._timed(server, subprocess.DEVNULL)

    def ssh(self, command: str, *options: str) -> list[str]:
        known_hosts = self.scratch / "known_hosts"
        known_hosts.write_text(self.server.known_hosts_line())
        ssh = ["ssh", "-F", "none", "-c", "aes128-gcm@openssh.com", "-o", f"UserKnownHostsFile={known_hosts}"]
        ssh += ["-o", "IdentitiesOnly=yes", "-i", str(self._key.private_key), "-p", str(self.server.port)]
        return [*ssh, *options, f"root@{self.server.host}", command]

    def _timed(self, command: Sequence[str], stdin: IO[bytes] | int) -> Run:
        """A run whose copy takes place between the two dates that it prints."""
        self.wait_until_quiet()
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
        if done.returncode != 0:
            raise LabFailure(f"{command[0]} ended with {done.returncode}.\n{last_lines(done.stderr)}")
        start, end = map(float, done.stdout.split())
        return Run(0.0, end - start, 0.0, 0, 0.0)


def copy(bench: Bench, ours: Contender, peer: Contender) -> list[Row]:
    """Throughput on loopback, and its cost on this side."""
    image = kept_image("random", RANDOM_SIZE, random_blocks)
    small = kept_image("small", SMALL_SIZE, random_blocks)
    _read(image)
    mine, theirs, limit, bare = bench.in_turns(
        [
            partial(bench.run, ours, [image]),
            partial(bench.run, peer, [image]),
            partial(bench.send_through_ssh, image),
            partial(bench.read_through_ssh, image),
        ]
    )
    small_runs = bench.in_turns([partial(bench.run, each, [small]) for each in (ours, peer)])
    besides = [_each(runs, "cpu") for runs in small_runs]
    rates = [[RANDOM_SIZE / MB / run.copy for run in runs] for runs in (mine, theirs, limit, bare)]
    gigabytes = (RANDOM_SIZE - SMALL_SIZE) / 1000 / MB
    cpu, server_cpu = (
        [
            # The cost of a conversion without a copy is subtracted.
            [(whole - rest) / gigabytes for whole, rest in zip(_each(runs, side), _each(few, side), strict=True)]
            for runs, few in zip((mine, theirs), small_runs, strict=True)
        ]
        for side in ("cpu", "server_cpu")
    )
    return [
        Row("copy, loopback", "MB/s", rates[0], rates[1], peer.name, 1.3, least=True),
        Row("the same", "MB/s", rates[0], rates[2], "ssh cat", 0.75, least=True),
        Row("the same", "MB/s", rates[0], rates[3], "ssh -R"),
        Row("ssh -R alone, nothing of ours", "MB/s", rates[3], rates[2], "ssh cat"),
        Row("CPU of this side, copying", "s/GB", cpu[0], cpu[1], peer.name),
        Row("CPU of the server's side, copying", "s/GB", server_cpu[0], server_cpu[1], peer.name),
        Row("CPU of this side besides", "s", besides[0], besides[1], peer.name),
    ]


def setup(bench: Bench, ours: Contender, peer: Contender) -> list[Row]:
    """From the program's start to virt-v2v's, near and far."""
    small = kept_image("small", SMALL_SIZE, random_blocks)
    rows = []
    for name, delay, limit in (("loopback", 0.0, 1.0), (f"{2000 * DELAY:.0f} ms round trip", DELAY, 0.5)):
        with SlowLink(bench.server.port, delay=delay) as link:
            port = link.port if delay else None
            runs = bench.in_turns([partial(bench.run, each, [small], port=port) for each in (ours, peer)])
        seconds = [_each(runs_of_one, "setup") for runs_of_one in runs]
        rows.append(Row(f"set-up, {name}", "s", seconds[0], seconds[1], peer.name, limit))
    return rows


def slow(bench: Bench, ours: Contender, peer: Contender) -> list[Row]:
    """On a link that is slow enough for compression to pay."""
    image = kept_image("half", SLOW_SIZE, half_random_blocks)
    with SlowLink(bench.server.port, rate=SLOW_RATE) as link:
        runs = bench.in_turns(
            [partial(bench.run, each, [image], port=link.port) for each in (ours, peer)],
            min(SLOW_ROUNDS, bench.rounds),
        )
    rates = [[SLOW_SIZE / MB / run.copy for run in runs_of_one] for runs_of_one in runs]
    name = f"copy, {SLOW_RATE * 8 / MB:.0f} Mbit/s, a half-compressible disk"
    return [Row(name, "MB/s", rates[0], rates[1], peer.name, 1.5, least=True)]


def disks(bench: Bench, ours: Contender, peer: Contender) -> list[Row]:
    """What every further disk costs."""
    small = kept_image("small", SMALL_SIZE, random_blocks)
    many = [bench.scratch / f"disk{number}.img" for number in range(MANY)]
    for path in many:
        # With the same content, but separate files, as p2v-tui does not take a disk twice.
        path.unlink(missing_ok=True)
        shutil.copyfile(small, path)
    works = [
        partial(bench.run, each, chosen, sample=True)
        for each, chosen in itertools.product((ours, peer), (many[:1], many))
    ]
    found = bench.in_turns(works)
    one, all_of_them, peer_one, peer_all = found
    more, peer_more = _differences(one, all_of_them, "setup"), _differences(peer_one, peer_all, "setup")
    memory, peer_memory = ([each.memory / MB for each in runs] for runs in (one, peer_one))
    further, peer_further = (
        [grown / MB / (MANY - 1) for grown in _differences(*runs, "memory")]
        for runs in ((one, all_of_them), (peer_one, peer_all))
    )
    return [
        Row(f"set-up with {MANY} disks, beyond that with one", "s", more, limit=1.0),
        Row("the same of the peer", "s", peer_more),
        Row("memory (PSS) for each further disk", "MB", further, limit=5.0),
        Row("the same of the peer", "MB", peer_further),
        Row("memory (PSS) with one disk", "MB", memory, peer_memory, peer.name),
    ]


PARTS: Final = {part.__name__: part for part in (copy, setup, slow, disks)}


def kept_image(name: str, size: int, blocks: Callable[[], Iterator[bytes]]) -> Path:
    """The image of that name and size, made once and kept beside the guest disks."""
    path = cache_directory() / f"bench-{name}-{size // MB}.img"
    if not path.exists():
        print(f"The image '{name}' is made once, and then kept ...", file=sys.stderr, flush=True)
        with tempfile.NamedTemporaryFile(dir=cache_directory(), delete=False) as new:
            left = size
            for block in blocks():
                new.write(block[:left])
                left -= len(block)
                if left <= 0:
                    break
            Path(new.name).rename(path)
    return path


def random_blocks() -> Iterator[bytes]:
    while True:
        yield os.urandom(_CHUNK)


def half_random_blocks() -> Iterator[bytes]:
    """Blocks that are half random, half text. None is empty, as empty blocks would not be sent."""
    chance = random.Random(4)
    words = [f"{chance.choice(('the', 'a', 'some'))} line {number} of a log " for number in range(64)]
    text = "".join(words * (BLOCK // 512)).encode()
    while True:
        blocks = []
        for _ in range(_CHUNK // BLOCK):
            start = chance.randrange(len(text) - BLOCK)
            blocks.append(chance.randbytes(BLOCK // 2) + text[start : start + BLOCK // 2])
        yield b"".join(blocks)


def _columns(*columns: str) -> str:
    return "{:50}{:>9}{:>9} {:9}{:>6}{:>9}".format(*columns)


def _read(image: Path) -> None:
    """Reads it into the page cache, to measure the data path and not this machine's disk."""
    with image.open("rb") as file:
        while file.read(_CHUNK):
            pass


def _each(runs: Sequence[Run], figure: str) -> Figures:
    return [float(getattr(run, figure)) for run in runs]


def _differences(few: Sequence[Run], many: Sequence[Run], figure: str) -> Figures:
    """The difference in each round."""
    return [more - less for less, more in zip(_each(few, figure), _each(many, figure), strict=True)]


def describe_machine() -> str:
    """What the figures depend on."""
    cpu = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE)
    flags = set(cpu.split())
    packages = ["openssh-server", "nbdkit", "libnbd-bin", "virt-v2v", "virt-p2v"]
    versions = run_command(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *packages], timeout=60).strip(", ")
    found = [flag for flag in ("aes", "vaes", "pclmulqdq", "avx2", "avx512f") if flag in flags]
    return (
        f"{datetime.date.today()}: {psutil.cpu_count()} cores of {model[1] if model else 'an unnamed CPU'} "
        f"({' '.join(found) or 'no AES'}), load {os.getloadavg()[0]:.2f}\n{versions}"
    )


@contextlib.contextmanager
def made_ready(rounds: int, quiet_timeout: float = QUIET_TIMEOUT) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="p2v-tui-bench-", dir="/var/tmp") as directory:
        scratch = Path(directory)
        key = identity(scratch)
        with (
            StandIn() as stand_in,
            ConversionServer(authorized=[key.public_key], replace={VIRT_V2V: stand_in.program}) as server,
        ):
            yield Bench(stand_in, server, key, scratch, rounds=rounds, quiet_timeout=quiet_timeout)


def main() -> int:
    """Returns 1 if a limit is missed or a program failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure; all when none is given")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often ({ROUNDS})")
    parser.add_argument(
        "--quiet-timeout",
        type=float,
        default=QUIET_TIMEOUT,
        help=f"seconds that a run waits for a quiet machine ({QUIET_TIMEOUT:.0f})",
    )
    parser.add_argument("--program", default=PROGRAM, help="another p2v-tui to measure")
    parser.add_argument("--settings", default="", help="further p2v.* settings for it")
    options = parser.parse_args()
    try:
        print(describe_machine())
        rows: list[Row] = []
        with made_ready(options.rounds, options.quiet_timeout) as bench:
            ours = Contender("p2v-tui", (options.program,), options.settings)
            peer = Contender("virt-p2v", (str(Peer(bench.scratch).path),))
            # To warm up: files are then read and compiled, as on a live image.
            for each in (ours, peer):
                bench.run(each, [kept_image("small", SMALL_SIZE, random_blocks)])
            for name in options.parts or PARTS:
                found = PARTS[name](bench, ours, peer)
                if not rows:
                    print(_columns("", "p2v-tui", "other", "", "ratio", "limit"))
                print("\n".join(map(str, found)), flush=True)
                rows += found
            if bench.disturbed:
                print(f"{bench.disturbed} of {bench.runs} runs began while something else used the machine.")
    except LabFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
