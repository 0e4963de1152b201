"""The first connection: a server that is not up yet, or too busy, is retried; one that refuses us is not."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import with_key
from tests.e2e.disturbed import COPYING, Lab, end, laboratory, wait_until
from tests.e2e.program import run_p2v, spawn_p2v, wait_for_exit
from tests.lab.conversion_server import ConversionServer, Identity
from tests.lab.ports import closed_port
from tests.lab.stand_in import VIRT_V2V, StandIn

MACHINES = 6


def unfinished_login(server: ConversionServer) -> socket.socket:
    """A connection that sshd waits for."""
    while True:
        connection = socket.create_connection((server.host, server.port))
        if connection.recv(4) == b"SSH-":
            return connection
        # Our last one, as sshd sees it, is not over yet.
        connection.close()


@pytest.fixture
def lab(tmp_path: Path, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path, key) as made:
        yield made


def test_machines_that_start_together_all_get_in_although_sshd_drops_some(key: Identity, small_disk: Path) -> None:
    options = ["MaxStartups 2:100:2"]
    with (
        StandIn() as stand_in,
        ConversionServer(
            authorized=[key.public_key], sshd_options=options, replace={VIRT_V2V: stand_in.program}
        ) as server,
    ):
        words = f"{with_key(server, key)} p2v.remote.hostkey={server.fingerprint} p2v.disks={small_disk} p2v.o=null"
        words += " p2v.post= p2v.accept_warnings"
        # Two that do not log in: sshd takes nobody else meanwhile.
        with unfinished_login(server), unfinished_login(server):
            running = [spawn_p2v(f"{words} p2v.name=guest{number}") for number in range(MACHINES)]
            for machine in running:
                machine.expect_exact("closed the connection before the login")
        # From now on they meet each other: of these, too, some are dropped.
        outcomes = [wait_for_exit(machine) for machine in running]
    for outcome in outcomes:
        assert outcome.code == 0, outcome.output


def test_a_server_that_comes_up_late_is_waited_for(key: Identity, small_disk: Path) -> None:
    with (
        StandIn() as stand_in,
        ConversionServer(authorized=[key.public_key], replace={VIRT_V2V: stand_in.program}) as server,
    ):
        server.stop_sshd()
        child = spawn_p2v(f"{with_key(server, key)} p2v.disks={small_disk} p2v.o=null p2v.post= p2v.accept_warnings")
        child.expect_exact("refuses connections")
        child.expect_exact("Trying again for up to 1 h 0 min")
        server.start()
        outcome = wait_for_exit(child)
    assert outcome.code == 0, outcome.output


def test_a_name_that_does_not_resolve_is_reported_at_once_and_retried(small_disk: Path) -> None:
    child = spawn_p2v(f"p2v.server=nosuch.invalid p2v.disks={small_disk} p2v.password=x")
    child.expect_exact("cannot be resolved")
    child.expect_exact("Trying again for up to 1 h 0 min")
    child.sendintr()
    assert wait_for_exit(child).code == 6


def test_a_dry_run_and_p2v_reconnect_bound_the_tries(small_disk: Path) -> None:
    with closed_port() as port:
        words = f"p2v.server=127.0.0.1 p2v.port={port} p2v.disks={small_disk} p2v.password=x"
        dry = run_p2v(words, "--dry-run")
        short = run_p2v(f"{words} p2v.reconnect=2")
    assert dry.code == short.code == 3
    assert "Trying again" not in dry.output
    assert "Trying again for up to" in short.output


def test_a_login_that_is_refused_for_a_moment_ends_no_conversion(lab: Lab) -> None:
    go_on = lab.pause_at(COPYING)
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    keys = lab.server.directory / "authorized_keys"
    known = keys.read_text()
    keys.write_text("")
    end([*run.control(), *run.tunnels()])
    run.expect("Lost the control connection", "Still without the control connection", "refused the SSH identity")
    keys.write_text(known)
    go_on.touch()
    outcome = run.end()
    assert outcome.code == 0, outcome.output
    assert lab.copied


def test_the_pinned_key_is_found_whatever_its_kind_and_the_common_one_costs_one_login(
    key: Identity, small_disk: Path, tmp_path: Path
) -> None:
    rsa = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-N", "", "-f", rsa], check=True)
    printed = subprocess.run(["ssh-keygen", "-l", "-f", rsa], capture_output=True, text=True, check=True).stdout
    options = [f"HostKey {rsa}"]
    with ConversionServer(authorized=[key.public_key], sshd_options=options) as server:
        for fingerprint in (server.fingerprint, printed.split()[1]):
            outcome = run_p2v(
                f"{with_key(server, key)} p2v.remote.hostkey={fingerprint} p2v.disks={small_disk}", "--dry-run"
            )
            assert outcome.code == 0, outcome.output
        wait_until(lambda: server.log_text().count("Accepted publickey") >= 4)
        log = server.log_text()
    # The lab's own look at the port, and the one in which the first key that was shown is not the pinned one.
    assert log.count("Connection from") - log.count("Accepted publickey") <= 2
