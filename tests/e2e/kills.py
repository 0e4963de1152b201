"""Kills p2v-tui (KILL) at random moments, and checks each time that it leaves nothing for long.

After each kill none of its processes runs here. Now and then it may run to its end: it converts or continues, and
then nothing is left on either side.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pexpect

from tests.e2e.disturbed import SUCCESS, Lab, wait_until

# From the start of the program to a little after the end of a conversion, in seconds.
LATEST: Final = 6.0
# A relay that nobody needs ends within this time, in seconds.
REST_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Kill:
    """after: seconds from the start. last_line: the last line that it printed."""

    after: float
    last_line: str


def kill_and_finish(lab: Lab, chance: random.Random, kills: int, report: Callable[[Kill], None]) -> None:
    """Kills so many runs, then lets one run to its end. Raises AssertionError or TimeoutError if anything is left."""
    for _ in range(kills):
        after = chance.uniform(0, LATEST)
        run = lab.start("p2v.accept_warnings")
        run.child.expect_exact(["nothing that it ever says", pexpect.EOF, pexpect.TIMEOUT], timeout=after)
        run.kill()
        lines = [line for line in run.printed.splitlines() if line.strip()]
        report(Kill(after, lines[-1] if lines else ""))
    outcome = lab.start("p2v.accept_warnings").end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied
    wait_until(lambda: not lab.server.session_processes(), REST_SECONDS)
    assert not left_here(), left_here()
    assert not left_there(), left_there()


def left_here() -> list[str]:
    """Private directories."""
    return [str(path) for path in Path("/tmp").glob("p2v-tui-*")]


def left_there() -> list[str]:
    """Remote directories of conversions that never began, or whose end was not reported. Other logs are kept."""
    return [str(path) for path in Path("/tmp").glob("virt-p2v-*") if not (path / "told").exists()]
