"""Serving a disk by the real nbdkit and qemu-nbd: what is read, that nothing is written, that nothing is left."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from p2v_tui.errors import Cancelled, ConversionFailed, PreflightRefused
from p2v_tui.session.data.nbd_server import (
    MAX_DATA,
    MAX_FRUITLESS_STARTS,
    PROGRAMS,
    NbdServer,
    find_program,
)
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.cancellation import Cancellation
from tests.lab.odd_disk import OddDisk
from tests.unit.nbd_client import NbdClient
from tests.unit.nbd_relay_lab import wait_until

pytestmark = pytest.mark.integration

MIB = 1 << 20


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    """Each of the programs; a missing one is a failure that names it."""
    return find_program(str(request.param))


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace() as made:
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    # A comma and blanks: both are syntax to one of the programs.
    path = tmp_path / "a disk, served.img"
    path.write_bytes(os.urandom(4 * MIB))
    return path


def serve(program: str, device: Path, workspace: Workspace) -> NbdServer:
    return NbdServer(program, device, workspace.nbd_socket(0), workspace.nbd_log(0), Cancellation())


def users_of(text: str) -> list[int]:
    """The processes with this text in their arguments, but for those that only wait to be collected."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        arguments = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(text in argument for argument in arguments):
            found.append(process.pid)
    return found


def test_the_disk_is_served_as_it_is(program: str, image: Path, workspace: Workspace) -> None:
    server = serve(program, image, workspace)
    with NbdClient(server.socket) as client:
        assert client.size == 4 * MIB
        assert client.read(0, 4 * MIB) == image.read_bytes()
    server.close()


def test_it_can_be_read_by_several_clients_one_after_the_other_and_at_once(
    program: str, image: Path, workspace: Workspace
) -> None:
    server = serve(program, image, workspace)
    with NbdClient(server.socket) as first, NbdClient(server.socket) as second:
        assert first.read(0, 512) == second.read(0, 512)
    with NbdClient(server.socket) as third:
        assert third.size == 4 * MIB
    server.close()


def test_the_disk_cannot_be_written_to(program: str, image: Path, workspace: Workspace) -> None:
    before = hashlib.sha256(image.read_bytes()).digest()
    server = serve(program, image, workspace)
    with NbdClient(server.socket) as client:
        assert client.says_read_only
        for refused in (client.write(0, b"x" * 512), client.write_zeroes(0, 4096), client.trim(0, 4096)):
            assert refused in {errno.EPERM, errno.EINVAL}
        assert client.read(0, 512) == image.read_bytes()[:512]
    server.close()
    assert hashlib.sha256(image.read_bytes()).digest() == before


def test_an_ordinary_client_cannot_copy_on_to_the_disk(program: str, image: Path, workspace: Workspace) -> None:
    server = serve(program, image, workspace)
    done = subprocess.run(
        ["nbdcopy", "--", "/dev/zero", f"nbd+unix:///?socket={server.socket}"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    server.close()
    assert done.returncode != 0


def test_the_bytes_served_grow_by_what_is_read(program: str, image: Path, workspace: Workspace) -> None:
    server = serve(program, image, workspace)
    start = server.bytes_served
    with NbdClient(server.socket) as client:
        idle = server.bytes_served
        client.read(0, MIB)
        client.read(2 * MIB, MIB)
        served = server.bytes_served - idle
    # A little more is allowed: its log, its random numbers. Less would be a count that does not count.
    assert 2 * MIB <= served <= 2 * MIB + 64 * 1024
    assert idle - start < 64 * 1024
    server.close()
    assert server.bytes_served >= idle + 2 * MIB


def test_after_closing_neither_a_process_nor_a_socket_is_left(
    program: str, image: Path, workspace: Workspace
) -> None:
    server = serve(program, image, workspace)
    assert server.running
    assert users_of(str(image))
    with NbdClient(server.socket) as client:
        server.close()
        assert client.size
        assert not server.running
        assert users_of(str(image)) == []
        assert not server.socket.exists()
    server.close()


def test_a_server_that_hangs_is_ended_too(
    image: Path, workspace: Workspace, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2v_tui.session.data.nbd_server.STOP_TIMEOUT", 0.2)
    server = serve(program, image, workspace)
    (pid, *_) = users_of(str(image))
    os.kill(pid, signal.SIGSTOP)
    server.close()
    assert users_of(str(image)) == []


def test_it_dies_with_us_however_we_end(program: str, image: Path, workspace: Workspace) -> None:
    script = f"""
import os, signal
from pathlib import Path
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.data.nbd_server import NbdServer
NbdServer({program!r}, Path({str(image)!r}), Path({str(workspace.nbd_socket(0))!r}),
          Path({str(workspace.nbd_log(0))!r}), Cancellation())
print("serving", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False)
    assert done.stdout == b"serving\n"
    left = [psutil.Process(pid) for pid in users_of(str(image))]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_disk_that_cannot_be_opened_is_refused_with_the_programs_words(program: str, workspace: Workspace) -> None:
    with pytest.raises(PreflightRefused) as raised:
        serve(program, Path("/nonexistent/disk"), workspace)
    assert "/nonexistent/disk" in raised.value.message
    assert "No such file" in raised.value.message
    assert program in raised.value.message
    assert users_of("/nonexistent/disk") == []


def test_a_cancellation_while_it_starts_leaves_nothing(program: str, image: Path, workspace: Workspace) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        NbdServer(program, image, workspace.nbd_socket(0), workspace.nbd_log(0), cancellation)
    assert users_of(str(image)) == []


def test_a_server_that_was_killed_is_known_to_be_gone(program: str, image: Path, workspace: Workspace) -> None:
    server = serve(program, image, workspace)
    for pid in users_of(str(image)):
        os.kill(pid, signal.SIGKILL)
    server.close()
    assert not server.running
    assert server.last_words
    assert server.bytes_served >= 0


def test_a_server_that_was_killed_is_started_again_and_refuses_nobody_meanwhile(
    program: str, image: Path, workspace: Workspace
) -> None:
    server = serve(program, image, workspace)
    with NbdClient(server.socket) as client:
        client.read(0, MIB)
    before = server.bytes_served
    for pid in users_of(str(image)):
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(10)
    with socket.socket(socket.AF_UNIX) as early:
        early.connect(str(server.socket))
        server.start_again()
        early.settimeout(10)
        assert early.recv(8) == b"NBDMAGIC"
    with NbdClient(server.socket) as client:
        assert client.read(MIB, MIB) == image.read_bytes()[MIB : 2 * MIB]
    assert server.bytes_served >= before + MIB
    server.close()


def test_a_server_that_dies_again_and_again_is_given_up(program: str, image: Path, workspace: Workspace) -> None:
    server = serve(program, image, workspace)
    with pytest.raises(ConversionFailed) as raised:
        for _ in range(MAX_FRUITLESS_STARTS + 1):
            for pid in users_of(str(image)):
                os.kill(pid, signal.SIGKILL)
                psutil.Process(pid).wait(10)
            server.start_again()
    assert str(image) in raised.value.message
    assert "dmesg" in raised.value.advice
    server.close()


def kill_all(image: Path) -> None:
    for pid in users_of(str(image)):
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_server_that_serves_something_after_each_start_is_never_given_up(
    program: str, image: Path, workspace: Workspace
) -> None:
    server = serve(program, image, workspace)
    for _ in range(3 * MAX_FRUITLESS_STARTS):
        # Nobody looks at the count before it is dead.
        with NbdClient(server.socket) as client:
            client.read(0, 64 * 1024)
        kill_all(image)
        assert server.start_again()
    assert server.bytes_served >= 3 * MAX_FRUITLESS_STARTS * 64 * 1024
    server.close()


def test_a_server_that_nobody_needs_is_never_given_up(program: str, image: Path, workspace: Workspace) -> None:
    server = serve(program, image, workspace)
    for _ in range(3 * MAX_FRUITLESS_STARTS):
        with NbdClient(server.socket):
            pass
        kill_all(image)
        assert server.start_again(wanted=False)
    with NbdClient(server.socket) as client:
        client.read(0, MIB)
    server.close()


def test_only_the_starts_in_a_row_count(program: str, image: Path, workspace: Workspace) -> None:
    server = serve(program, image, workspace)
    for _ in range(3):
        for _ in range(MAX_FRUITLESS_STARTS - 1):
            kill_all(image)
            server.start_again()
        with NbdClient(server.socket) as client:
            client.read(0, 4096)
    server.close()


def test_a_disk_that_cannot_be_opened_for_a_moment_is_tried_again(
    program: str, image: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(program, image, workspace)
    away = image.rename(image.with_suffix(".away"))
    kill_all(image)
    for _ in range(2 * MAX_FRUITLESS_STARTS):
        assert not server.start_again()
    away.rename(image)
    assert server.start_again()
    with NbdClient(server.socket) as client:
        assert client.read(0, 4096) == image.read_bytes()[:4096]
    image.rename(away)
    kill_all(image)
    assert not server.start_again()
    monkeypatch.setattr("p2v_tui.session.data.nbd_server.FRUITLESS_SECONDS", 0.0)
    with pytest.raises(ConversionFailed, match="No such file"):
        server.start_again()
    server.close()


def test_what_nbdkit_says_of_a_failed_read_is_found(workspace: Workspace, tmp_path: Path) -> None:
    with OddDisk(tmp_path / "odd", bytes(4 * MIB)) as disk:
        server = serve("nbdkit", disk.path, workspace)
        with NbdClient(server.socket) as client:
            client.read(0, 4096)
            assert server.read_error is None
            disk.fail_at(MIB)
            client.ask_to_read(MIB, 4096)
            with pytest.raises(AssertionError):
                client.reply(4096)
        assert server.read_error == "Input/output error"
        server.close()


# ---- It ends with us, whenever that is


SERVE = """
import sys
from pathlib import Path
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.data.nbd_server import NbdServer
program, image, socket, log = sys.argv[1:]
NbdServer(program, Path(image), Path(socket), Path(log), Cancellation())
print("serving", flush=True)
sys.stdin.read()
"""


def serving_process(program: str, image: Path, workspace: Workspace, path: str = "") -> subprocess.Popen[bytes]:
    """A process with an NBD server of ours. path: what is found before the system's programs."""
    arguments = [program, str(image), str(workspace.nbd_socket(0)), str(workspace.nbd_log(0))]
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"},
    )


def test_killed_before_the_kernel_knows_of_it_no_server_is_left(
    program: str, image: Path, workspace: Workspace, tmp_path: Path
) -> None:
    # The moment between fork(2) and prctl(2), held open.
    reached, go_on = tmp_path / "reached", tmp_path / "go-on"
    slow = tmp_path / "bin" / "setpriv"
    slow.parent.mkdir()
    real = shutil.which("setpriv")
    slow.write_text(f'#!/bin/sh\n: >"{reached}"\nuntil [ -e "{go_on}" ]; do sleep 0.02; done\nexec {real} "$@"\n')
    slow.chmod(0o755)
    with serving_process(program, image, workspace, str(slow.parent)) as process:
        wait_until(reached.exists, "setpriv")
        # One of them becomes the server; others are of the script that holds it up.
        starting = set(users_of(str(image))) - {process.pid}
        assert starting
        process.kill()
        process.wait()
        go_on.touch()
        wait_until(lambda: starting.isdisjoint(users_of(str(image))), "the end of what was being started")
        assert users_of(str(image)) == []


def test_killed_at_any_moment_of_its_start_no_server_is_left(program: str, image: Path, workspace: Workspace) -> None:
    # From before the first process there is to after the last one.
    for step in range(20):
        with serving_process(program, image, workspace) as process:
            wait_until(lambda: len(users_of(str(image))) > 1, "a start")
            # No event tells where in its start a program is: the moments are spread over the time that it takes.
            time.sleep(step * 0.004)
            process.kill()
        wait_until(lambda: users_of(str(image)) == [], "the end of the NBD server")


# ---- A conversion server that means harm


def test_the_memory_that_a_hostile_server_can_make_it_take_is_bounded(
    program: str, tmp_path: Path, workspace: Workspace
) -> None:
    image = tmp_path / "large.img"
    with image.open("wb") as file:
        file.truncate(4 << 30)
    server = serve(program, image, workspace)
    (pid,) = users_of(str(image))
    assert resource.prlimit(pid, resource.RLIMIT_DATA) == (MAX_DATA, MAX_DATA)
    peak = 0
    with contextlib.ExitStack() as attack:
        for _ in range(60):
            with contextlib.suppress(OSError):
                client = attack.enter_context(NbdClient(server.socket, timeout=0.5))
                for number in range(8):
                    client.ask_to_read(number * 32 * MIB, 32 * MIB)
        while (now := peak_memory(pid)) > peak:
            peak = now
            time.sleep(0.2)
    assert peak < MAX_DATA

    # What it does not survive is started again, and serves.
    def serves() -> bool:
        server.start_again()
        with contextlib.suppress(OSError), NbdClient(server.socket) as honest:
            return honest.read(MIB, 32 * MIB) == bytes(32 * MIB)
        return False

    wait_until(serves, "an NBD server that serves again")
    server.close()


def peak_memory(pid: int) -> int:
    """In bytes; 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def test_an_honest_client_with_large_requests_has_room(program: str, tmp_path: Path, workspace: Workspace) -> None:
    image = tmp_path / "large.img"
    with image.open("wb") as file:
        file.truncate(1 << 30)
    server = serve(program, image, workspace)
    with NbdClient(server.socket) as leaving, NbdClient(server.socket) as coming:
        for client in (leaving, coming):
            for number in range(8):
                client.ask_to_read(number * 32 * MIB, 32 * MIB)
        for client in (leaving, coming):
            for _ in range(8):
                assert client.reply(32 * MIB) == bytes(32 * MIB)
    assert server.running
    server.close()


def test_the_disk_is_opened_for_reading_only(program: str, image: Path, workspace: Workspace) -> None:
    server = serve(program, image, workspace)
    with NbdClient(server.socket) as client:
        client.read(0, 512)
        (pid,) = users_of(str(image))
        descriptors = [each for each in Path(f"/proc/{pid}/fd").iterdir() if os.path.realpath(each) == str(image)]
        assert descriptors
        for descriptor in descriptors:
            information = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
            flags = next(int(line.split()[1], 8) for line in information.splitlines() if line.startswith("flags"))
            assert flags & os.O_ACCMODE == os.O_RDONLY
    server.close()


def test_the_first_program_that_is_installed_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_program(None) == "nbdkit"
    stand_in = tmp_path / "qemu-nbd"
    stand_in.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program(None) == "qemu-nbd"


@pytest.mark.parametrize("wanted", [None, *PROGRAMS])
def test_a_missing_program_is_refused_by_its_name(
    wanted: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreflightRefused) as raised:
        find_program(wanted)
    for name in (wanted,) if wanted else PROGRAMS:
        assert name in raised.value.message
    assert "nstall" in raised.value.advice
    assert raised.value.exit_code == 4
