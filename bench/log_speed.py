"""How fast virt-v2v's log is followed, compared with ssh alone for the same bytes, as a ratio of one run.

    python -m bench.log_speed [--size MIB]

A stand-in for virt-v2v writes more debugging output at once than any virt-v2v; root is needed for the sshd on
loopback. The time of the same conversion without it is subtracted. Ends with 1 when the limit is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Final

from bench.transport import QUIET_TIMEOUT, SMALL_SIZE, Bench, Contender, kept_image, made_ready, random_blocks
from tests.e2e.program import PROGRAM
from tests.lab.commands import LabFailure
from tests.lab.stand_in import Behaviour
from tests.lab.stand_in_virt_v2v import NOISE

MIB: Final = 1 << 20
# How many times the cost of ssh and its terminal the processing of the lines may add.
LIMIT: Final = 20.0


def by_ssh(bench: Bench, size: int) -> float:
    """Seconds that ssh takes to bring a file of that size."""
    file = bench.scratch / "noise"
    file.write_bytes((NOISE * (size // len(NOISE) + 1))[:size])
    started = time.monotonic()
    subprocess.run(bench.ssh(f"cat {file}"), stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started


def conversion(bench: Bench, noise: int) -> float:
    """Seconds of a conversion whose virt-v2v prints so many bytes."""
    bench.stand_in.behave(Behaviour(noise=noise))
    started = time.monotonic()
    bench.run(Contender("p2v-tui", (PROGRAM,), "p2v.debug"), [kept_image("small", SMALL_SIZE, random_blocks)])
    return time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=64, help="of the log, in MiB (64)")
    parser.add_argument(
        "--quiet-timeout", type=float, default=QUIET_TIMEOUT, help="seconds that a run waits for a quiet machine"
    )
    options = parser.parse_args()
    size = options.size * MIB
    try:
        with made_ready(1, options.quiet_timeout) as bench:
            conversion(bench, 0)
            ssh, quiet, noisy = by_ssh(bench, size), conversion(bench, 0), conversion(bench, size)
    except LabFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    ratio = (noisy - quiet) / ssh
    print(f"{size // MIB} MiB of log: {size / (noisy - quiet) / 1e6:.1f} MB/s, {ratio:.1f} times ssh alone ({LIMIT})")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
