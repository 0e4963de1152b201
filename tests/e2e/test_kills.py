"""p2v-tui is killed at any moment: what it leaves ends by itself or with the next start (`python -m bench.kills`)."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed import COPYING, SUCCESS, Lab, laboratory, wait_until
from tests.e2e.kills import REST_SECONDS, Kill, kill_and_finish, left_here, left_there
from tests.lab.conversion_server import Identity

KILLS = 6


@pytest.fixture
def lab(tmp_path: Path, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path, key, disks=2) as made:
        yield made


def test_kills_at_random_moments_leave_nothing(lab: Lab) -> None:
    said: list[Kill] = []
    kill_and_finish(lab, random.Random(10), KILLS, said.append)
    assert len(said) == KILLS


def test_kills_before_virt_v2v_is_started_leave_nothing_on_the_server_without_another_start(lab: Lab) -> None:
    run = lab.start()
    run.expect("Checking the conversion server and the disks")
    directory = run.wait_for_directory() if "Log files" not in run.printed else None
    run.kill()
    wait_until(lambda: not lab.server.session_processes(), REST_SECONDS)
    assert not left_there()
    assert directory is None or not directory.exists()
    # The next start removes what is left here.
    assert lab.start().end().code == SUCCESS
    assert not left_here()


def test_under_nohup_a_kill_leaves_nothing_here_either(lab: Lab) -> None:
    """Children inherit an ignored HUP, so ssh could stay, and with it the NBD server that it is connected to."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = lab.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    lab.stand_in.wait_for(COPYING)
    # Waits until nothing of it runs any more.
    run.kill()
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied
