"""This machine's /tmp is full, or nearly: our own message says so, at every moment.

On the live image /tmp is in memory. Here p2v-tui gets a small /tmp, and the server the machine's.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed import SUCCESS, Lab, laboratory
from tests.e2e.program import CONVERSION_SECONDS, PROGRAM, Outcome
from tests.lab.conversion_server import identity
from tests.lab.stand_in import Behaviour

PAGE = 4096
LOCAL_FAILURE = 1
# What only a program says that does not know what happened to it.
PROGRAMS_WORDS = ("Traceback", "report it", "Error:", "none of the known ones", "unexpected error")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="p2v-tui-full-", dir="/var/tmp") as place:
        directory = Path(place)
        with laboratory(directory, identity(directory)) as made:
            made.stand_in.behave(Behaviour(writes=True))
            yield made


def convert(lab: Lab, *, inodes: int = 0, pages: int | None = None) -> Outcome:
    """inodes, pages: how many are free in /tmp when p2v-tui starts; without pages, space is not limited."""
    options = "size=64k" if pages is not None else f"nr_inodes={inodes + 1}"
    prepare = [f"mount -t tmpfs -o mode=1777,{options} tmpfs /tmp"]
    if pages is not None:
        # To the brim, then the pages given back.
        prepare.append("dd if=/dev/zero of=/tmp/filler bs=4096 2>/dev/null")
        prepare.append(f"truncate -s -{pages * PAGE} /tmp/filler")
    words = shlex.join([PROGRAM, f"--cmdline=p2v.accept_warnings {lab.settings}"])
    script = "; ".join([*prepare, f"exec {words}"])
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=CONVERSION_SECONDS,
        check=False,
    )
    return Outcome(done.returncode, done.stdout)


@pytest.mark.parametrize(
    ("inodes", "pages"),
    # The private directory, its lock, the identity, the known hosts, the socket, the server's log, the record.
    [*((inodes, None) for inodes in range(1, 7)), *((0, pages) for pages in range(3))],
)
def test_a_full_tmp_is_named_whatever_it_is_that_does_not_fit(lab: Lab, inodes: int, pages: int | None) -> None:
    outcome = convert(lab, inodes=inodes, pages=pages)
    assert not [words for words in PROGRAMS_WORDS if words in outcome.output], outcome.output
    if outcome.code == SUCCESS:
        assert "it cannot continue this conversion: No space left on device" in outcome.output
    else:
        assert outcome.code == LOCAL_FAILURE, outcome.output
        assert "This machine has no room left to write" in outcome.output
        assert "df -h" in outcome.output
    assert lab.at_rest
