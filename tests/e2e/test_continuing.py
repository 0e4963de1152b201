"""p2v-tui ends in every possible way while its conversion runs, and continues it when it is started again.

A stand-in takes virt-v2v's place. conftest.py checks after every test that the private directory is gone, and with it
the record.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed import (
    AFTER_THE_COPY,
    CANCELLED,
    CONVERTING,
    COPYING,
    DETACHED,
    FAILED,
    PYTHON,
    REFUSED,
    SUCCESS,
    WRONG_SETTINGS,
    Lab,
    end,
    laboratory,
    phases_logged,
    phases_shown,
    wait_until,
)
from tests.lab.accounts import Account
from tests.lab.conversion_server import Identity

GOING_ON = "Continuing the conversion that was started at"


@pytest.fixture
def lab(tmp_path: Path, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path, key) as made:
        yield made


def test_killed_while_virt_v2v_converts_and_started_again_it_continues(lab: Lab) -> None:
    go_on = lab.pause_at(CONVERTING)
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(CONVERTING)
    run.kill()
    go_on.touch()
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert GOING_ON in outcome.output
    assert lab.copied
    assert phases_shown(outcome.output) == phases_logged(directory)
    assert len([event for event in lab.stand_in.events() if event.name == "start"]) == 1


def test_killed_twice_in_mid_copy_it_continues(lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    run.kill()
    assert lab.in_mid_copy
    run = lab.start()
    run.expect(GOING_ON)
    run.kill()
    assert lab.in_mid_copy
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def test_virt_v2v_ended_while_p2v_tui_was_gone(lab: Lab) -> None:
    go_on = lab.pause_at(AFTER_THE_COPY)
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(AFTER_THE_COPY)
    run.kill()
    go_on.touch()
    wait_until((directory / "status").exists)
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert phases_shown(outcome.output) == phases_logged(directory)
    assert lab.copied


def test_virt_v2v_failed_while_p2v_tui_was_gone(lab: Lab) -> None:
    lab.pause_at(CONVERTING)
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(CONVERTING)
    run.kill()
    end([lab.process("stand_in_virt_v2v.py")])
    wait_until((directory / "status").exists)
    outcome = lab.start().end()
    assert outcome.code == FAILED, outcome.output
    assert lab.at_rest


def test_the_server_was_restarted_while_p2v_tui_was_gone_and_the_next_start_begins_anew(lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    run.kill()
    lab.server.reboot()
    outcome = lab.start().end()
    assert outcome.code == FAILED, outcome.output
    assert "The conversion server was restarted, and virt-v2v with it" in outcome.output
    outcome = lab.start("p2v.accept_warnings").end()
    assert outcome.code == SUCCESS, outcome.output
    assert GOING_ON not in outcome.output
    assert lab.copied


def test_ended_from_outside_the_conversion_waits(lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    run.expect(COPYING)
    run.child.kill(signal.SIGTERM)
    outcome = run.end()
    assert outcome.code == DETACHED, outcome.output
    assert "Start p2v-tui again on this machine" in outcome.output
    assert lab.in_mid_copy
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def test_ended_from_outside_during_an_outage_the_conversion_waits_too(lab: Lab) -> None:
    go_on = lab.pause_at(COPYING)
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    lab.server.stop_sshd()
    run.expect("Lost the control connection")
    run.child.kill(signal.SIGTERM)
    outcome = run.end()
    assert outcome.code == DETACHED, outcome.output
    lab.server.start()
    go_on.touch()
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def test_ended_from_outside_without_a_relay_it_is_cancelled(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, hide=PYTHON) as lab, Account(login_shell="dash") as user:
        run = lab.start(f"p2v.username={user.name}", "p2v.accept_warnings")
        lab.stand_in.wait_for(COPYING)
        run.expect(COPYING)
        run.child.kill(signal.SIGTERM)
        outcome = run.end()
        assert outcome.code == CANCELLED, outcome.output
        assert lab.at_rest


def test_its_console_disappears_and_the_conversion_waits(lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    assert run.hang_up() == DETACHED
    assert lab.in_mid_copy
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert GOING_ON in outcome.output
    assert lab.copied


def test_a_running_conversion_is_not_disturbed_by_a_second_start(lab: Lab) -> None:
    go_on = lab.pause_at(COPYING)
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    second = lab.start().end()
    assert GOING_ON not in second.output
    # It finds the first one's files where its own would go.
    assert second.code == REFUSED, second.output
    go_on.touch()
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert "Lost" not in outcome.output
    assert lab.copied


def test_other_disks_are_not_taken_for_the_same_conversion(lab: Lab, tmp_path: Path) -> None:
    go_on = lab.pause_at(COPYING)
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    run.kill()
    other = tmp_path / "other.img"
    other.write_bytes(b"other")
    outcome = lab.start(f"p2v.disks={other}").end()
    assert GOING_ON not in outcome.output
    assert "Left alone: another conversion of" in outcome.output
    go_on.touch()
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def test_a_start_that_does_not_reach_the_server_waits_for_it_and_loses_nothing(lab: Lab) -> None:
    go_on = lab.pause_at(COPYING)
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    run.kill()
    lab.server.stop_sshd()
    run = lab.start()
    run.expect("No connection yet")
    run.process.terminate()
    assert run.end().code == DETACHED
    run = lab.start()
    run.expect("No connection yet")
    lab.server.start()
    go_on.touch()
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def test_a_disk_that_has_changed_meanwhile_is_not_served(lab: Lab) -> None:
    go_on = lab.pause_at(COPYING)
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    run.kill()
    with lab.disks[0].open("ab") as file:
        file.write(b"x" * 4096)
    outcome = lab.start().end()
    assert outcome.code == WRONG_SETTINGS, outcome.output
    assert "are not those with which the conversion was started" in outcome.output
    with lab.disks[0].open("ab") as file:
        file.truncate(file.tell() - 4096)
    go_on.touch()
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def test_cancelling_what_another_process_started_ends_it(lab: Lab) -> None:
    lab.pause_at(COPYING)
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    run.kill()
    run = lab.start()
    run.expect(GOING_ON, COPYING)
    run.child.sendintr()
    outcome = run.end()
    assert outcome.code == CANCELLED, outcome.output
    assert (directory / "status").exists()
    assert lab.at_rest


def test_with_sudo_it_continues_too(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key) as lab, Account(sudo=["/usr/bin/virt-v2v", "/usr/bin/kill"]) as user:
        words = (f"p2v.username={user.name}", "p2v.sudo", "p2v.accept_warnings")
        run = lab.start(*words)
        lab.stand_in.wait_for(COPYING)
        run.kill()
        outcome = lab.start(*words).end()
        assert outcome.code == SUCCESS, outcome.output
        assert GOING_ON in outcome.output
        assert lab.copied
