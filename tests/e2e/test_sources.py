"""Disks that become slow, broken or missing in mid-copy: p2v-tui waits for them, or fails cleanly and names them.

A stand-in takes virt-v2v's place; all the rest is real. docs/reliability.md has the table of what this shows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.session.data.nbd_server import MAX_FRUITLESS_STARTS, PROGRAMS
from tests.e2e.disturbed import (
    COPYING,
    DISK_SIZE,
    FAILED,
    SUCCESS,
    Lab,
    Run,
    end,
    laboratory,
    wait_for_bytes,
)
from tests.lab.conversion_server import Identity
from tests.lab.odd_disk import OddDisk
from tests.lab.processes import kill

# Behind what was copied when the test knows that the copy has begun.
PLACE = 3 * DISK_SIZE // 4
# A disk may take longer than any tunnel may be gone.
RECONNECT_SECONDS = 10
NETWORK_BLAMED = "Check the network"


@pytest.fixture
def lab(tmp_path: Path, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path, key) as made:
        yield made


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[OddDisk]:
    with OddDisk(tmp_path / "odd", os.urandom(DISK_SIZE)) as disk:
        yield disk


def start(lab: Lab, disk: Path, program: str, *more: str) -> tuple[Run, Path]:
    """A run in mid-copy, and its remote directory."""
    run = lab.start(f"p2v.disks={disk}", f"p2v.nbd={program}", *more)
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    wait_for_bytes(directory, DISK_SIZE // 8)
    return run, directory


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_slow_disk_is_waited_for_however_long_it_takes(program: str, lab: Lab, odd: OddDisk) -> None:
    run, _ = start(lab, odd.path, program, f"p2v.reconnect={RECONNECT_SECONDS}")
    odd.hang_at(PLACE)
    assert lab.in_mid_copy
    run.expect("The disk", "has not answered for 3", "The connection is fine")
    odd.go_on()
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    for word in ("another connection", "Lost the data connection", "no working tunnel"):
        assert word not in outcome.output
    assert (lab.out / "guest-sda").read_bytes() == odd.path.read_bytes()


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unreadable_place_is_named_with_what_to_do(program: str, lab: Lab, odd: OddDisk) -> None:
    run, _ = start(lab, odd.path, program)
    odd.fail_at(PLACE)
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    reason = outcome.output.rpartition("The conversion failed: ")[2]
    first = PLACE // 512
    assert reason.startswith(f"The disk {odd.path} cannot be read at byte {PLACE}, sectors {first} to {first + 7} ")
    assert "Input/output error" in reason
    assert "ddrescue" in reason
    assert NETWORK_BLAMED not in outcome.output
    assert lab.at_rest


def test_a_place_that_cannot_be_read_after_a_long_time_is_the_disks_fault(lab: Lab, odd: OddDisk) -> None:
    run, _ = start(lab, odd.path, "nbdkit", f"p2v.reconnect={RECONNECT_SECONDS}")
    odd.hang_at(PLACE)
    odd.fail_at(PLACE)
    run.expect("has not answered for 3", "The connection is fine")
    odd.go_on()
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    assert f"The conversion failed: The disk {odd.path} cannot be read at byte {PLACE}," in outcome.output
    for word in (NETWORK_BLAMED, "another connection", "Lost the data connection"):
        assert word not in outcome.output


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("change", ["shrinks", "goes", "is exchanged"])
def test_a_disk_that_is_not_what_it_was_is_a_failure_that_names_it(change: str, program: str, lab: Lab) -> None:
    (image,) = lab.disks
    run, _ = start(lab, image, program)
    if change == "shrinks":
        with image.open("r+b") as file:
            file.truncate(DISK_SIZE // 2)
    elif change == "goes":
        image.unlink()
    else:
        other = image.with_suffix(".new")
        other.write_bytes(bytes(DISK_SIZE))
        other.rename(image)
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    words = {"shrinks": "shrank while", "goes": "is gone", "is exchanged": "was detached or exchanged"}[change]
    assert f"The conversion failed: The disk {image} {words}" in outcome.output
    assert NETWORK_BLAMED not in outcome.output
    assert lab.at_rest


def test_a_disk_that_goes_together_with_its_tunnel_is_not_the_networks_fault(lab: Lab) -> None:
    (image,) = lab.disks
    run, _ = start(lab, image, "nbdkit")
    image.unlink()
    end(run.tunnels())
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    assert f"The disk {image} is gone" in outcome.output
    assert NETWORK_BLAMED not in outcome.output
    assert lab.at_rest


@pytest.mark.parametrize("program", PROGRAMS)
def test_nbd_servers_that_die_each_moment_cost_nothing(program: str, tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, disks=2) as lab:
        run = lab.start(f"p2v.nbd={program}")
        lab.stand_in.wait_for(COPYING)
        kills = 0
        while lab.in_mid_copy:
            # The second disk's too, of which nobody wants anything yet.
            kill(run.nbd_servers(program))
            kills += 1
            time.sleep(0.8)
        outcome = run.end()
        assert outcome.code == SUCCESS, outcome.output
        assert kills > MAX_FRUITLESS_STARTS
        assert lab.copied
