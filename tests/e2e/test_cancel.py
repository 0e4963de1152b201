"""^C at every stage: the exit code of a cancellation, and no processes or files left on either side.

Signals before virt-v2v starts do the same; what they do after that is in test_continuing.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest

from tests.e2e.conftest import with_key, with_password
from tests.e2e.program import PROGRAM, spawn_p2v, wait_for_exit
from tests.lab.accounts import Account
from tests.lab.conversion_server import ConversionServer, Identity
from tests.lab.ports import silent_port
from tests.lab.waiting import happens

REFUSED, CANCELLED = 4, 6


@pytest.fixture
def server(key: Identity) -> Iterator[ConversionServer]:
    """A conversion server of the test's own, so that what runs on it is the test's doing."""
    with ConversionServer(authorized=[key.public_key]) as made:
        yield made


def nothing_runs_on(server: ConversionServer) -> bool:
    """Whether all sessions of the server come to their end by themselves."""
    return happens(lambda: not server.session_processes(), 15)


@pytest.mark.parametrize(
    "stage",
    [
        "Getting the SSH identity",
        "Connecting to",
        "Logged in",
        "Opening the data connection",
        "Log files are",
        "Sending the description",
        "Starting virt-v2v",
        "Setting up the source",
        "Opening the source",
        "Inspecting the source",
    ],
)
def test_cancelling_ends_everything(stage: str, server: ConversionServer, key: Identity, small_disk: Path) -> None:
    child = spawn_p2v(f"{with_key(server, key)} p2v.o=null p2v.disks={small_disk}")
    child.expect_exact(stage)
    child.sendintr()
    outcome = wait_for_exit(child, timeout=60)
    assert outcome.code == CANCELLED, outcome.output
    assert "Cancelled" in outcome.output
    assert nothing_runs_on(server)


@pytest.fixture
def hanging_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """lspci hangs, as on a sick bus. The file holds its process id once it runs."""
    started = tmp_path / "started"
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "lspci").write_text(f"#!/bin/sh\necho $$ >{started}.new; mv {started}.new {started}; exec sleep 600\n")
    (tools / "lspci").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    yield started
    with contextlib.suppress(OSError):
        psutil.Process(int(started.read_text())).kill()


def test_cancelling_does_not_wait_for_a_tool_that_hangs(
    server: ConversionServer, key: Identity, small_disk: Path, hanging_tool: Path
) -> None:
    child = spawn_p2v(f"{with_key(server, key)} p2v.o=null p2v.disks={small_disk}")
    child.expect_exact("Starting virt-v2v")
    child.sendintr()
    outcome = wait_for_exit(child, timeout=60)
    assert outcome.code == CANCELLED, outcome.output
    assert psutil.pid_exists(int(hanging_tool.read_text()))
    assert nothing_runs_on(server)


def test_a_refusal_does_not_wait_for_a_tool_that_hangs(
    server: ConversionServer, key: Identity, small_disk: Path, hanging_tool: Path
) -> None:
    child = spawn_p2v(f"{with_key(server, key)} p2v.o=local p2v.os=/nowhere/at/all p2v.disks={small_disk}")
    outcome = wait_for_exit(child, timeout=60)
    assert outcome.code == REFUSED, outcome.output
    assert psutil.pid_exists(int(hanging_tool.read_text()))


def test_cancelling_while_waiting_for_a_silent_server(small_disk: Path) -> None:
    with silent_port() as port:
        child = spawn_p2v(f"p2v.server=127.0.0.1 p2v.port={port} p2v.password=x p2v.disks={small_disk}")
        child.expect_exact("Connecting to")
        child.sendintr()
        assert wait_for_exit(child, timeout=10).code == CANCELLED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", ["Logged in", "Opening the data connection", "Checking the conversion server"])
def test_a_signal_before_virt_v2v_starts_cancels_as_the_keyboard_does(
    stage: str, number: signal.Signals, server: ConversionServer, key: Identity, small_disk: Path
) -> None:
    child = spawn_p2v(f"{with_key(server, key)} p2v.o=null p2v.disks={small_disk}")
    child.expect_exact(stage)
    child.kill(number)
    outcome = wait_for_exit(child, timeout=60)
    assert outcome.code == CANCELLED, outcome.output
    assert nothing_runs_on(server)


def test_a_hang_up_that_is_ignored_cancels_nothing(server: ConversionServer, key: Identity, small_disk: Path) -> None:
    words = f"{with_key(server, key)} p2v.o=null p2v.disks={small_disk}"
    child = pexpect.spawn(
        "/bin/sh", ["-c", 'trap "" HUP; exec "$0" "$1"', PROGRAM, f"--cmdline={words}"], timeout=120
    )
    child.expect_exact("Opening the source")
    child.kill(signal.SIGHUP)
    child.expect_exact("Inspecting the source")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == CANCELLED


def test_a_cancelled_conversion_by_sudo_leaves_no_process_of_root(
    password_server: ConversionServer, small_disk: Path
) -> None:
    with Account(sudo=["/usr/bin/virt-v2v", "/usr/bin/kill"]) as user:
        child = spawn_p2v(f"{with_password(password_server, user)} p2v.sudo p2v.o=null p2v.disks={small_disk}")
        child.expect_exact("Opening the source")
        child.sendintr()
        assert wait_for_exit(child, timeout=60).code == CANCELLED
        assert nothing_runs_on(password_server)


def test_virt_v2v_killed_on_the_server_is_a_clear_failure(
    server: ConversionServer, key: Identity, small_disk: Path
) -> None:
    child = spawn_p2v(f"{with_key(server, key)} p2v.o=null p2v.disks={small_disk}")
    child.expect_exact("Opening the source")
    wrapper = next(each for each in server.session_processes() if "virt-v2v-wrapper.sh" in " ".join(each.cmdline()))
    for process in [*wrapper.children(recursive=True), wrapper]:
        # It starts programs and sees them end all the time.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs([wrapper], timeout=10)
    outcome = wait_for_exit(child, timeout=60)
    assert outcome.code == 5, outcome.output
    assert "killed on the conversion server" in outcome.output


def test_a_disk_without_a_system_is_a_failure_in_virt_v2vs_words(
    server: ConversionServer, key: Identity, small_disk: Path, tmp_path: Path
) -> None:
    child = spawn_p2v(f'{with_key(server, key)} p2v.o=null p2v.disks={small_disk} p2v.fail="touch {tmp_path}/fail"')
    outcome = wait_for_exit(child, timeout=300)
    assert outcome.code == 5, outcome.output
    assert "The conversion failed: virt-v2v failed: inspection could not detect the source guest" in outcome.output
    assert "virt-v2v-conversion-log.txt on the conversion server" in outcome.output
    assert (tmp_path / "fail").exists()
