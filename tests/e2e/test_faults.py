"""Injected faults: the copy is identical, or the failure is clean.

A stand-in takes virt-v2v's place; all the rest is real. docs/reliability.md has the table of what this shows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed import (
    CANCELLED,
    CONVERTING,
    COPYING,
    DISK_SIZE,
    FAILED,
    PYTHON,
    RATE,
    SUCCESS,
    Lab,
    end,
    fill,
    laboratory,
    phases_logged,
    phases_shown,
    wait_for_bytes,
    wait_until,
)
from tests.lab.accounts import Account
from tests.lab.conversion_server import Identity
from tests.lab.processes import runs
from tests.lab.slow_link import SlowLink
from tests.lab.stand_in import Behaviour

RELAY, WRAPPER = "nbd_relay.pyz", "virt-v2v-wrapper.sh"
SILENCE = 60.0


@pytest.fixture
def lab(tmp_path: Path, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path, key) as made:
        yield made


def test_the_data_tunnels_killed_three_times_in_mid_copy(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, disks=2) as lab:
        run = lab.start()
        directory = run.wait_for_directory()
        lab.stand_in.wait_for(COPYING)
        for eighths in (1, 3, 5):
            wait_for_bytes(directory, eighths * DISK_SIZE // 4)
            end(run.tunnels())
            assert lab.in_mid_copy
        outcome = run.end()
        assert outcome.code == SUCCESS, outcome.output
        assert outcome.output.count("Lost the data connection") >= 3
        assert lab.copied


@pytest.mark.parametrize("phase", ["Setting up the source", CONVERTING, COPYING, "Finishing off"])
def test_the_control_connection_killed_in_each_phase(phase: str, lab: Lab) -> None:
    go_on = lab.pause_at(phase)
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(phase)
    end(run.control())
    go_on.touch()
    run.expect("Lost the control connection", "The control connection is back after")
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied
    assert phases_shown(outcome.output) == phases_logged(directory)


def test_the_control_connection_is_gone_when_virt_v2v_ends(lab: Lab) -> None:
    go_on = lab.pause_at("Finishing off")
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for("Finishing off")
    lab.server.stop_sshd()
    go_on.touch()
    wait_until((directory / "status").exists)
    lab.server.start()
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied
    assert phases_shown(outcome.output) == phases_logged(directory)


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_the_relay_killed_is_a_failure_that_names_it(signal: str, lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    lab.process(RELAY).send_signal({"KILL": 9, "TERM": 15}[signal])
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    (headline,) = re.findall("(?m)^p2v-tui: The conversion failed: (.*)$", outcome.output)
    assert "relay" in headline
    assert lab.at_rest


def test_sshd_restarted_in_mid_copy(lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    lab.server.stop_sshd()
    assert lab.in_mid_copy
    run.expect("Lost the control connection")
    lab.server.start()
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert "The data connection of" in outcome.output and "The control connection is back" in outcome.output
    assert lab.copied


@pytest.mark.parametrize("program", ["nbdkit", "qemu-nbd"])
def test_the_local_nbd_servers_killed_three_times_in_mid_copy(program: str, tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, disks=2) as lab:
        run = lab.start(f"p2v.nbd={program}")
        directory = run.wait_for_directory()
        lab.stand_in.wait_for(COPYING)
        for eighths in (1, 3, 5):
            wait_for_bytes(directory, eighths * DISK_SIZE // 4)
            end(run.nbd_servers(program))
            assert lab.in_mid_copy
        outcome = run.end()
        assert outcome.code == SUCCESS, outcome.output
        assert outcome.output.count("it was started again") >= 3
        assert lab.copied


def test_silence_of_a_tunnel_for_ever_and_of_a_whole_network_for_a_minute(tmp_path: Path, key: Identity) -> None:
    places = [tmp_path / "tunnel", tmp_path / "network"]
    for place in places:
        place.mkdir()
    # At the same time, because both take long.
    with (
        laboratory(places[0], key) as one,
        laboratory(places[1], key) as other,
        SlowLink(other.server.port) as link,
    ):
        stopped, held = one.start(), other.start(f"p2v.port={link.port}")
        other.stand_in.wait_for(COPYING)
        link.hold()
        since = time.monotonic()
        assert other.in_mid_copy

        one.stand_in.wait_for(COPYING)
        (tunnel,) = stopped.tunnels()
        tunnel.suspend()
        assert one.in_mid_copy
        stopped.expect("trying another connection")
        outcome = stopped.end()
        assert outcome.code == SUCCESS, outcome.output
        assert one.copied
        assert not runs(tunnel)

        held.expect("Lost the control connection", "Still without the control connection")
        time.sleep(max(0.0, since + SILENCE - time.monotonic()))  # That nothing happens for so long is the fault.
        assert other.in_mid_copy
        link.release()
        outcome = held.end()
        assert outcome.code == SUCCESS, outcome.output
        assert other.copied


def test_the_servers_disk_is_full_during_the_copy(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, out_size=32 << 20) as lab:
        run = lab.start()
        lab.stand_in.wait_for(COPYING)
        fill(lab.out)
        assert lab.in_mid_copy
        outcome = run.end()
        assert outcome.code == FAILED, outcome.output
        assert "virt-v2v failed: nbdcopy" in outcome.output
        assert "No space left on device" in outcome.output
        assert lab.at_rest


def test_the_file_system_of_the_log_is_full_too(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, tmp_size=64 << 20) as lab:
        lab.pause_at(COPYING)
        run = lab.start()
        lab.stand_in.wait_for(COPYING)
        tmp = Path(f"/proc/{lab.process(RELAY).pid}/root/tmp")
        fill(tmp)
        lab.process("stand_in_virt_v2v.py").terminate()
        outcome = run.end()
        assert outcome.code == FAILED, outcome.output
        assert "virt-v2v failed (exit code 1): Exiting on signal SIGTERM" in outcome.output
        assert lab.at_rest


@pytest.mark.parametrize(("wrapper_too", "words"), [(False, "by signal 9"), (True, "before it could say why")])
def test_virt_v2v_killed_on_the_server(wrapper_too: bool, words: str, lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    wrapper = lab.process(WRAPPER)
    end([*([wrapper] if wrapper_too else []), *wrapper.children()])
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    assert f"virt-v2v was killed on the conversion server {words}" in outcome.output
    assert lab.at_rest


def test_the_server_reboots(lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    lab.server.reboot()
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    assert "The conversion server was restarted, and virt-v2v with it" in outcome.output


def test_the_server_reboots_and_forgets_its_tmp(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, tmp_size=64 << 20) as lab:
        run = lab.start()
        lab.stand_in.wait_for(COPYING)
        lab.server.reboot()
        outcome = run.end()
        assert outcome.code == FAILED, outcome.output
        assert "The conversion is gone from the conversion server" in outcome.output


def test_another_host_key_on_reconnect_is_refused(lab: Lab) -> None:
    lab.pause_at(COPYING)
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    lab.server.stop_sshd()
    lab.server.change_host_key()
    lab.server.start()
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    assert "shows another host key than before" in outcome.output
    assert "virt-v2v could not be stopped" in outcome.output
    assert "Accepted" not in lab.server.log_text().rpartition("Server listening")[2]


def test_cancelling_during_an_outage_frees_the_disk_at_once_and_the_server_when_it_is_back(lab: Lab) -> None:
    lab.pause_at(COPYING)
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    lab.server.stop_sshd()
    run.expect("Lost the control connection")
    run.child.sendintr()
    run.expect("Stopping virt-v2v on the conversion server", "Could not stop it yet")
    assert not run.nbd_servers() and not run.tunnels()
    assert lab.process(WRAPPER)
    lab.server.start()
    outcome = run.end()
    assert outcome.code == CANCELLED, outcome.output
    assert "could not be stopped" not in outcome.output
    assert (directory / "status").exists()
    assert lab.at_rest


def test_a_second_cancellation_does_not_wait_for_the_server(lab: Lab) -> None:
    lab.pause_at(COPYING)
    with SlowLink(lab.server.port) as link:
        run = lab.start(f"p2v.port={link.port}")
        lab.stand_in.wait_for(COPYING)
        link.hold()
        run.child.sendintr()
        run.expect("Stopping virt-v2v on the conversion server")
        run.child.sendintr()
        outcome = run.end()
    assert outcome.code == CANCELLED, outcome.output
    assert "may still run on the conversion server" in outcome.output


def test_an_outage_longer_than_p2v_reconnect_ends_the_conversion_on_both_sides(lab: Lab) -> None:
    # Only reads: this mode, which takes a password, wants no directory.
    lab.stand_in.behave(Behaviour(rate=RATE))
    target = "p2v.o=rhv-upload p2v.oc=https://127.0.0.1:1/ovirt-engine/api p2v.os=storage p2v.op=Tr0ub4dor&3"
    run = lab.start(f"p2v.reconnect=1 {target}")
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    assert "Tr0ub4dor&3" in (directory / "secrets" / "output-password").read_text()
    lab.server.stop_sshd()
    outcome = run.end()
    assert outcome.code == FAILED, outcome.output
    assert "cannot be opened again" in outcome.output
    wait_until((directory / "status").exists)
    assert "given up: no working tunnel" in (directory / "relay.log").read_text()
    assert not (directory / "secrets").exists()
    assert lab.at_rest


def test_lost_connections_with_sudo(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key) as lab, Account(sudo=["/usr/bin/virt-v2v", "/usr/bin/kill"]) as user:
        run = lab.start(f"p2v.username={user.name}", "p2v.sudo")
        lab.stand_in.wait_for(COPYING)
        end(run.tunnels() + run.control())
        assert lab.in_mid_copy
        outcome = run.end()
        assert outcome.code == SUCCESS, outcome.output
        assert lab.copied


def test_a_server_without_python_has_no_relay_but_converts(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, hide=PYTHON) as lab, Account(login_shell="dash") as user:
        outcome = lab.start(f"p2v.username={user.name}", "p2v.accept_warnings").end()
        assert outcome.code == SUCCESS, outcome.output
        assert "has no python3" in outcome.output
        assert lab.copied


def test_a_lost_tunnel_without_python_is_a_clean_failure(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, hide=PYTHON) as lab, Account(login_shell="dash") as user:
        run = lab.start(f"p2v.username={user.name}", "p2v.accept_warnings")
        lab.stand_in.wait_for(COPYING)
        end(run.tunnels())
        outcome = run.end()
        assert outcome.code == FAILED, outcome.output
        assert "The data connection of" in outcome.output
        assert lab.at_rest
