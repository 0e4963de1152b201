"""A connection that is lost before virt-v2v runs is an outage like any other."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed import CANCELLED, NO_CONNECTION, SUCCESS, Lab, end, laboratory, wait_until
from tests.lab.conversion_server import Identity
from tests.lab.stand_in import VIRT_V2V, Behaviour, StandIn

ANEW = "the preparation begins anew"


def hangs(*began: Path) -> str:
    """A script's beginning: it hangs as often as there are files, and says so with one of them each time."""
    return "#!/bin/sh\n" + "".join(f"if [ ! -e {each} ]; then : >{each}; exec sleep 60; fi\n" for each in began)


@pytest.fixture
def began(tmp_path: Path) -> Path:
    return tmp_path / "began"


@contextlib.contextmanager
def hanging_checks(tmp_path: Path, key: Identity, *began: Path) -> Iterator[Lab]:
    """The checks of the server hang as often as there are files."""
    hanging = tmp_path / "qemu-nbd"
    hanging.write_text(hangs(*began))
    hanging.chmod(0o755)
    with laboratory(tmp_path, key, replace={"/usr/bin/qemu-nbd": hanging}) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path, key: Identity, began: Path) -> Iterator[Lab]:
    """The checks of the server hang when they are made for the first time."""
    with hanging_checks(tmp_path, key, began) as made:
        yield made


@pytest.mark.parametrize("tunnels", [False, True])
def test_lost_during_a_check(lab: Lab, began: Path, tunnels: bool) -> None:
    run = lab.start()
    directory = run.wait_for_directory()
    wait_until(began.exists)
    end([*run.control(), *(run.tunnels() if tunnels else [])])
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert ANEW in outcome.output
    assert lab.copied
    assert not directory.exists()
    assert lab.at_rest


def test_lost_while_virt_v2v_is_asked_for_its_version(tmp_path: Path, key: Identity, began: Path) -> None:
    with StandIn(Behaviour(writes=True)) as stand_in:
        hanging = tmp_path / "virt-v2v"
        hanging.write_text(hangs(began) + stand_in.program.read_text())
        hanging.chmod(0o755)
        with laboratory(tmp_path, key, replace={VIRT_V2V: hanging}) as lab:
            run = lab.start()
            wait_until(began.exists)
            end(run.control())
            outcome = run.end()
            assert outcome.code == SUCCESS, outcome.output
            assert lab.copied


def test_lost_again_with_the_same_message_it_is_reported_again(tmp_path: Path, key: Identity) -> None:
    began = [tmp_path / "first", tmp_path / "second"]
    with hanging_checks(tmp_path, key, *began) as lab:
        run = lab.start()
        for hung in began:
            wait_until(hung.exists)
            end(run.control())
        outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert outcome.output.count("Lost the control connection") == 2
    assert outcome.output.count(ANEW) == 2


def test_a_server_that_stays_away_is_given_up_and_the_next_start_tidies_up(lab: Lab, began: Path) -> None:
    run = lab.start("p2v.reconnect=4")
    directory = run.wait_for_directory()
    wait_until(began.exists)
    lab.server.stop_sshd()
    outcome = run.end()
    assert outcome.code == NO_CONNECTION, outcome.output
    assert f"run there: rm -r {directory}" in outcome.output
    lab.server.start()
    assert lab.start().end().code == SUCCESS
    assert not directory.exists()
    assert lab.at_rest


def test_without_retries_it_ends_at_once_and_nothing_is_left(lab: Lab, began: Path) -> None:
    run = lab.start("p2v.reconnect=0")
    directory = run.wait_for_directory()
    wait_until(began.exists)
    end(run.control())
    assert run.end().code == NO_CONNECTION
    assert not directory.exists()
    assert lab.at_rest


def test_a_cancellation_ends_the_waiting_for_the_server(lab: Lab, began: Path) -> None:
    run = lab.start()
    run.wait_for_directory()
    wait_until(began.exists)
    lab.server.stop_sshd()
    run.expect("Lost the control connection")
    run.process.send_signal(signal.SIGINT)
    outcome = run.end()
    assert outcome.code == CANCELLED, outcome.output
