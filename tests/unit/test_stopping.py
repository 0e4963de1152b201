"""Stopping what another process started, by what it left on the server: nobody else's process may be hit."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.session.remote.commands import stop_wrapper
from p2v_tui.session.remote.directory import RemoteDirectory

pytestmark = pytest.mark.integration

Sleeper = subprocess.Popen[bytes]


@pytest.fixture
def directory(tmp_path: Path) -> RemoteDirectory:
    path = tmp_path / "it's [a] directory"
    path.mkdir()
    return RemoteDirectory(str(path))


@pytest.fixture
def sleepers() -> Iterator[list[Sleeper]]:
    started: list[Sleeper] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def sleep_as(sleepers: list[Sleeper], *words: str) -> Sleeper:
    """A process in a group of its own with these words in its command line."""
    script = "while :; do sleep 0.05; done"
    sleepers.append(subprocess.Popen(["/bin/sh", "-c", script, *words], start_new_session=True))
    return sleepers[-1]


def start_to_stop(directory: RemoteDirectory, shell: str) -> subprocess.Popen[bytes]:
    command = stop_wrapper(directory, sudo=False)
    return subprocess.Popen([shell, "-c", command], stderr=subprocess.PIPE)


def stop(directory: RemoteDirectory, shell: str) -> int:
    stopping = start_to_stop(directory, shell)
    _, complaints = stopping.communicate(timeout=60)
    assert complaints == b""
    return stopping.returncode


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_our_processes_are_stopped(directory: RemoteDirectory, sleepers: list[Sleeper], shell: str) -> None:
    wrapper, relay = sleep_as(sleepers, directory.wrapper), sleep_as(sleepers, directory.relay)
    Path(directory.pid).write_text(f"{wrapper.pid}\n")
    Path(directory.relay_pid).write_text(f"{relay.pid}\n")
    # Nobody collects our children but us, and until then they count as alive.
    with start_to_stop(directory, shell) as stopping:
        assert (wrapper.wait(10), relay.wait(10)) == (-15, -15)
        assert stopping.wait(60) == 0


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_processes_that_have_taken_over_our_ids_are_left_alone(
    directory: RemoteDirectory, sleepers: list[Sleeper], shell: str
) -> None:
    others = [sleep_as(sleepers, f"{directory.path[:-1]}x/{name}") for name in ("virt-v2v-wrapper.sh", "relay")]
    Path(directory.pid).write_text(f"{others[0].pid}\n")
    Path(directory.relay_pid).write_text(f"{others[1].pid}\n")
    assert stop(directory, shell) == 0
    assert [process.poll() for process in others] == [None, None]


def test_a_directory_that_is_gone_is_nothing_to_stop(tmp_path: Path) -> None:
    assert stop(RemoteDirectory(str(tmp_path / "gone")), "sh") == 0
