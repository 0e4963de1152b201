"""Kills p2v-tui (KILL) at many random moments, and reports whether anything stayed on either side.

    python -m bench.kills [KILLS [SEED]]

With real sshd, ssh, nbdkit and relay, and a stand-in for virt-v2v; as root, in a /tmp that nobody else uses. After
every few kills one conversion may run to its end. 300 kills take some twenty minutes.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from tests.e2e.disturbed import laboratory
from tests.e2e.kills import Kill, kill_and_finish
from tests.lab.conversion_server import identity

# So many kills one after the other.
CHAIN: Final = 6


def main(kills: int = 300, seed: int = 0) -> int:
    chance = random.Random(seed)
    moments: Counter[str] = Counter()

    def report(kill: Kill) -> None:
        moments[" ".join(kill.last_line.split()[:4])] += 1
        print(f"{sum(moments.values()):4} killed after {kill.after:4.2f} s: {kill.last_line[:90]}", flush=True)

    with tempfile.TemporaryDirectory(prefix="p2v-tui-kills-", dir="/var/tmp") as place:
        directory = Path(place)
        with laboratory(directory, identity(directory), disks=2) as lab:
            while (left := kills - sum(moments.values())) > 0:
                kill_and_finish(lab, chance, min(left, CHAIN), report)
                print("     nothing is left", flush=True)
    print(f"{kills} kills, seed {seed}, in {len(moments)} different moments: nothing stayed on either side")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
