"""The machine loses its power while its conversion runs, and is started again: only the server remembers it.

To simulate a power cut, the process is killed and its private directory, which is in memory on the live image, is
removed. The record on the server is then of another boot. Also: a disk that is written within one boot while p2v-tui
is away.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.disturbed import (
    AFTER_THE_COPY,
    CONVERTING,
    COPYING,
    DISK_SIZE,
    REFUSED,
    SUCCESS,
    Lab,
    Run,
    laboratory,
    wait_until,
)
from tests.lab.accounts import Account
from tests.lab.conversion_server import Identity

OTHER_BOOT = "11111111-2222-4333-8444-555555555555"
ENDED = "virt-v2v still waits on the conversion server"
SUCCEEDED = "has succeeded meanwhile"
NOT_GONE_ON_WITH = "is not continued"


@pytest.fixture
def lab(tmp_path: Path, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path, key) as made:
        yield made


def change_record(directory: Path, change: Callable[[Any], None]) -> None:
    """Of the machine whose conversion it is, on the server."""
    record = json.loads((directory / "machine").read_text())
    change(record)
    (directory / "machine").write_text(json.dumps(record) + "\n")


def cut_the_power(run: Run, directory: Path, *, same_boot: bool = False) -> None:
    run.kill()
    for private in Path("/tmp").glob("p2v-tui-*"):
        shutil.rmtree(private)
    if not same_boot:
        change_record(directory, lambda record: record.update(boot=OTHER_BOOT))


def starts(lab: Lab) -> int:
    return len([event for event in lab.stand_in.events() if event.name == "start"])


@pytest.mark.parametrize("same_boot", [False, True])
def test_the_next_boot_ends_what_waits_and_converts_again(lab: Lab, *, same_boot: bool) -> None:
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    cut_the_power(run, directory, same_boot=same_boot)
    lab.stand_in.forget()
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert ENDED in outcome.output
    assert "Removed what it had made so far" in outcome.output
    assert starts(lab) == 1
    assert lab.copied
    assert lab.at_rest
    # Its log stays, and is nobody's concern any more.
    assert (directory / "told").exists()


def test_the_next_boot_does_that_with_sudo_too(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key) as lab, Account(sudo=["/usr/bin/virt-v2v", "/usr/bin/kill"]) as user:
        words = (f"p2v.username={user.name}", "p2v.sudo", "p2v.accept_warnings")
        run = lab.start(*words)
        directory = run.wait_for_directory()
        lab.stand_in.wait_for(COPYING)
        cut_the_power(run, directory)
        outcome = lab.start(*words).end()
        assert outcome.code == SUCCESS, outcome.output
        assert ENDED in outcome.output
        assert lab.copied
        assert lab.at_rest


def test_a_conversion_that_failed_meanwhile_is_tidied_and_made_again(lab: Lab) -> None:
    run = lab.start("p2v.reconnect=5")
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    cut_the_power(run, directory)
    wait_until((directory / "status").exists)
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert "failed while p2v-tui was not running" in outcome.output, outcome.output
    assert lab.copied


def succeed_without_us(lab: Lab) -> Path:
    """A conversion whose machine loses its power after the copy; its remote directory, when virt-v2v has ended."""
    go_on = lab.pause_at(AFTER_THE_COPY)
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(AFTER_THE_COPY)
    cut_the_power(run, directory)
    go_on.touch()
    wait_until((directory / "status").exists)
    return directory


def test_one_that_succeeded_is_reported_if_the_disk_is_provably_unchanged(lab: Lab) -> None:
    succeed_without_us(lab)
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert "Nothing is converted again" in outcome.output
    assert starts(lab) == 1
    assert lab.copied


def test_one_that_succeeded_is_not_overwritten_if_the_disk_may_have_been_written(lab: Lab) -> None:
    directory = succeed_without_us(lab)
    before = lab.disks[0].read_bytes()
    lab.disks[0].write_bytes(os.urandom(DISK_SIZE))
    outcome = lab.start("p2v.accept_warnings").end()
    assert outcome.code == REFUSED, outcome.output
    assert SUCCEEDED in outcome.output
    assert (lab.out / "guest-sda").read_bytes() == before
    # The way out that it names.
    (directory / "told").touch()
    outcome = lab.start("p2v.accept_warnings").end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def other_machine(record: Any) -> None:
    record.update(boot=OTHER_BOOT, uuid="4c4c4544-0042-3510-8052-b4c04f564433", macs=["00:00:5e:00:53:07"])


def test_another_machines_conversion_is_never_touched(lab: Lab) -> None:
    go_on = lab.pause_at(COPYING)
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    cut_the_power(run, directory)
    change_record(directory, other_machine)
    outcome = lab.start().end()
    assert outcome.code == REFUSED, outcome.output
    assert "Another conversion to a guest named guest runs on the conversion server" in outcome.output
    assert ENDED not in outcome.output
    assert not (directory / "status").exists()
    assert lab.process("stand_in_virt_v2v.py").is_running()
    go_on.touch()


def test_what_was_there_before_the_conversion_is_not_removed(lab: Lab) -> None:
    kept = lab.out / "guest.xml"
    kept.write_text("somebody's")
    run = lab.start("p2v.accept_warnings")
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    cut_the_power(run, directory)
    outcome = lab.start().end()
    assert outcome.code == REFUSED, outcome.output
    assert kept.read_text() == "somebody's"
    assert not (lab.out / "guest-sda").exists()


def test_a_disk_that_was_written_meanwhile_is_converted_again(lab: Lab) -> None:
    """Same name, same size: the result would be a mixture."""
    lab.pause_at(COPYING)
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    run.kill()
    lab.disks[0].write_bytes(os.urandom(DISK_SIZE))
    lab.stand_in.forget()
    lab.pause_at("never")
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert NOT_GONE_ON_WITH in outcome.output
    assert lab.copied
    assert lab.at_rest


def test_what_was_killed_before_virt_v2v_was_started_begins_again(lab: Lab) -> None:
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(CONVERTING)
    run.kill()
    lab.server.end_sessions()
    for name in ("pid", "status"):
        (directory / name).unlink(missing_ok=True)
    outcome = lab.start("p2v.accept_warnings").end()
    assert outcome.code == SUCCESS, outcome.output
    assert "ended before virt-v2v was started" in outcome.output
    assert not directory.exists()
    assert lab.copied
