"""What unattended mode prints of a conversion, as the pages show it."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

from syrupy.assertion import SnapshotAssertion

from p2v_tui.console import Console
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.session.conversion.dry_run import verdict
from p2v_tui.session.words.events import Event, LogDirectory, ServerVersion, Status
from tests.screens.judged import SPACE
from tests.screens.scripted_conversion import COPYING, LOG_DIRECTORY, MADE, STARTED, copied, phase, plan

# The events of a real run, in its order.
STARTING: list[Event] = [
    Status("To be converted: sda, 500 GB, ST500DM002-1BD142 (chosen by default)"),
    Status("To be converted: sdb, 250 GB, HITACHI HUS72 (chosen by default)"),
    Status("Looking for a network address"),
    Status("Getting the SSH identity from https://192.0.2.10/id_ed25519"),
    Status("Connecting to 192.0.2.10 port 22"),
    Status("Logging in as conv"),
    Status("Logged in; asking virt-v2v for its version and features"),
    ServerVersion(
        "2.2.0", ("kubevirt", "libvirt", "local", "null", "openstack", "qemu", "rhv", "rhv-upload", "vdsm")
    ),
    LogDirectory(LOG_DIRECTORY),
    Status("Opening the data connection of sda"),
    Status("Opening the data connection of sdb"),
    Status("Checking the conversion server and the disks"),
    Status("Sending the description of this machine"),
    Status("Starting virt-v2v; from here on the conversion takes minutes to hours"),
]
FINISHING: list[Event] = [
    *phase("Copying disk 2/2", 3000.0),
    *phase("Creating output metadata", 3721.0),
    *phase("Finishing off", 3722.5),
    MADE,
]


def printed(events: Sequence[Event]) -> str:
    """Between two events a minute goes by."""
    out = io.StringIO()
    minutes = iter(range(1000))
    console = Console(out, colours=False, clock=lambda: next(minutes) * 60.0)
    for event in events:
        console.show(event)
    return out.getvalue()


def test_the_lines_of_a_conversion(snapshot: SnapshotAssertion) -> None:
    assert printed([*STARTING, *COPYING[len(STARTED) :], copied(42, seconds_left=2640.0), *FINISHING]) == snapshot


def test_the_end_of_a_conversion(snapshot: SnapshotAssertion) -> None:
    made = dataclasses.replace(
        MADE,
        where="the disks /srv/guests/db1-sd* and the description /srv/guests/db1.xml",
        seconds=242.0,
        next_steps=tuple(line.replace("/var/tmp", "/srv/guests") for line in MADE.next_steps),
    )
    assert printed([made]) == snapshot


def test_the_verdict_of_a_dry_run(snapshot: SnapshotAssertion) -> None:
    out = io.StringIO()
    accepted = AcceptedWarnings(keys=(SPACE.key,))
    Console(out, colours=False).verdict(verdict(plan(), (SPACE,), accepted), good=True)
    assert out.getvalue() == snapshot
