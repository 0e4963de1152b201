"""The NBD relay as the process it is on the conversion server: tunnels come and go, and the data is right."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from p2v_tui.session.data.relay import handshake, limits, loop, nbd, sockets
from p2v_tui.session.data.relay.reads import DiskReads
from p2v_tui.session.data.relay.states import DiskState
from tests.unit.nbd_relay_lab import (
    MIB,
    PYTHON,
    TIMEOUT,
    Asked,
    RealServer,
    RelayClient,
    RunningRelay,
    ScriptedServer,
    ServedConnection,
    Tunnels,
    random_image,
    relay_file,
    virt_v2v_reader,
    wait_until,
    well_behaved,
)

pytestmark = pytest.mark.integration

KIB = 1024


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "remote"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def relay(place: Path) -> Iterator[RunningRelay]:
    with RunningRelay(place) as running:
        yield running


@pytest.fixture
def image() -> bytes:
    return os.urandom(MIB)


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


# ---- It runs where it is to run


@pytest.mark.parametrize(
    "arguments",
    [(), ("{}",), ("{}", "0", "60"), ("{}", "one", "60"), ("{}", "1", "nan"), ("{}/absent", "1", "60")],
    ids=["nothing", "no disks", "zero disks", "words", "no time", "no directory"],
)
def test_what_it_cannot_start_with_is_said_in_one_line(arguments: tuple[str, ...], place: Path) -> None:
    command = [PYTHON, "-I", str(relay_file()), *(argument.format(place) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "usage" in done.stderr or "cannot start" in done.stderr


def test_what_it_makes_is_nobody_elses_to_read(relay: RunningRelay) -> None:
    assert stat.S_IMODE(relay.status_file.stat().st_mode) == 0o600


# ---- Before the client


def test_it_finds_out_through_the_tunnel_how_large_the_disk_is(relay: RunningRelay, image: bytes) -> None:
    assert relay.status.state == "waiting"
    assert relay.status.size is None
    with ScriptedServer(relay.socket(1), image) as server:
        ready = relay.wait_for(lambda disk: disk.state == "ready")
        assert (ready.size, ready.generation, ready.reason) == (MIB, 1, "")
        wait_until(lambda: server.goodbyes, "the probe's leave")


def test_a_tunnel_that_nobody_listens_at_any_more_is_passed_over(relay: RunningRelay, image: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(relay.socket(3)))
    with ScriptedServer(relay.socket(2), image):
        assert relay.wait_for(lambda disk: disk.state == "ready").generation == 2


def test_a_server_that_is_no_nbd_server_is_given_up(relay: RunningRelay, image: bytes) -> None:
    def babble(connection: ServedConnection) -> None:
        connection.socket.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with ScriptedServer(relay.socket(1), image, babble):
        assert relay.wait_for_end() == 1
    assert relay.status.state == "given up"
    assert relay.status.reason == "no NBD server answers through the tunnel"


# ---- Real programs on both sides, over tunnels that die


@pytest.mark.parametrize("splice", [True, False], ids=["splice", "copy"])
@pytest.mark.parametrize("program", ["nbdkit", "qemu-nbd"])
def test_the_copy_is_identical_though_tunnels_and_servers_die(
    program: str, splice: bool, place: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    data = random_image(disk, 24 * MIB)
    cuts = [MIB + 1, 3 * MIB + 777, 5 * MIB, 7 * MIB + 13]
    with RunningRelay(place, splice=splice) as relay, Tunnels(relay, program, disk, cuts):
        relay.wait_for(lambda status: status.state == "ready")
        with virt_v2v_reader(relay.port, tmp_path) as uri:
            run("nbdcopy", "--requests=64", uri, str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == data
        assert relay.wait_for_end() == 0
        end = relay.status
    assert (end.state, end.reconnects, end.relayed) == ("done", 4, 24 * MIB)


@pytest.mark.parametrize("program", ["nbdkit", "qemu-nbd"])
def test_an_old_virt_v2v_copies_through_several_connections(program: str, place: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    data = random_image(disk, 16 * MIB)
    with RunningRelay(place, many_clients=True) as relay, Tunnels(relay, program, disk, [2 * MIB, 5 * MIB]):
        relay.wait_for(lambda status: status.state == "ready")
        uri = f"nbd:localhost:{relay.port}"
        assert json.loads(run("qemu-img", "info", "--output=json", uri))["virtual-size"] == 16 * MIB
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == data
        assert run("nbdinfo", "--size", f"nbd://127.0.0.1:{relay.port}").strip() == str(16 * MIB)
        relay.wait_for(lambda status: status.state == "ready")
        assert relay.end() == 0


def test_disks_are_served_side_by_side_and_one_that_is_given_up_does_not_end_the_other(
    place: Path, image: bytes
) -> None:
    with RunningRelay(place, disks=2, seconds=1) as relay, ScriptedServer(relay.socket(1, disk=1), image):
        wait_until(lambda: relay.status_of(1).state == "ready", "disk 1")
        with RelayClient(relay.status_of(1).port) as client:
            client.shake_hands()
            relay.wait_for(lambda disk: disk.state == "given up")
            assert client.read(5, 1000) == image[5:1005]
        assert relay.wait_for_end() == 1
        assert relay.status_of(1).state == "done"


# ---- What the other side of the tunnel does


@pytest.mark.parametrize(
    ("length", "cut"), [(5000, 1000), (1_000_000, 800_000)], ids=["none of it passed on", "much of it passed on"]
)
def test_a_reply_that_is_cut_off_goes_on_where_it_was_cut(
    relay: RunningRelay, image: bytes, length: int, cut: int
) -> None:
    asked = []

    def cut_off(connection: ServedConnection) -> None:
        connection.shake_hands()
        # All are asked before the first is answered.
        first, _, _ = (connection.asked() for _ in range(3))
        connection.reply(first, cut=cut)

    def record(connection: ServedConnection) -> None:
        connection.shake_hands()
        while True:
            asked.append(connection.asked())
            connection.reply(asked[-1])

    with ScriptedServer(relay.socket(1), image, cut_off) as old, RelayClient(relay.port) as client:
        client.shake_hands()
        client.request(nbd.CMD_READ, 1, 100, length)
        for cookie in (2, 3):
            client.request(nbd.CMD_READ, cookie, cookie * 8192, 5000)
        relay.wait_for(lambda disk: disk.relayed == cut)
        old.close()
        with ScriptedServer(relay.socket(2), image, record):
            assert client.reply() == (0, 1)
            assert client.receive(length) == image[100 : 100 + length]
            for cookie in (2, 3):
                assert client.reply() == (0, cookie)
                assert client.receive(5000) == image[cookie * 8192 : cookie * 8192 + 5000]
    # The rest first, then what nothing had come of.
    assert [(one.cookie, one.offset, one.length) for one in asked] == [
        (1, 100 + cut, length - cut),
        (2, 16384, 5000),
        (3, 24576, 5000),
    ]


def test_a_reply_that_is_cut_again_and_again_is_still_right(relay: RunningRelay, image: bytes) -> None:
    def cut(connection: ServedConnection) -> None:
        connection.shake_hands()
        while True:
            connection.reply(connection.asked(), cut=10_000)
            raise ConnectionError

    with ScriptedServer(relay.socket(1), image, cut), RelayClient(relay.port) as client:
        client.shake_hands()
        assert client.read(3, 100_000) == image[3:100_003]
        wait_until(lambda: relay.status.reconnects, "a count")


def test_the_client_is_closed_when_the_rest_of_a_reply_cannot_be_read(relay: RunningRelay, image: bytes) -> None:
    served = []

    def fail_the_second_time(connection: ServedConnection) -> None:
        connection.shake_hands()
        asked = connection.asked()
        served.append(asked)
        if len(served) == 1:
            connection.reply(asked, cut=100)
            return
        connection.reply(asked, error=errno.EIO)
        connection.serve()

    with ScriptedServer(relay.socket(1), image, fail_the_second_time), RelayClient(relay.port) as client:
        client.shake_hands()
        client.request(nbd.CMD_READ, 1, 0, 4096)
        assert client.hangs_up()
        assert relay.wait_for_end() == 1
    assert relay.status.reason == "the rest of an interrupted read failed with error 5"
    assert relay.status.failure is not None
    assert relay.status.failure["error"] == errno.EIO


def test_an_error_of_the_disk_is_passed_on(relay: RunningRelay, image: bytes) -> None:
    def bad_sector(connection: ServedConnection) -> None:
        connection.shake_hands()
        connection.reply(connection.asked(), error=errno.EIO)
        connection.serve()

    with ScriptedServer(relay.socket(1), image, bad_sector), RelayClient(relay.port) as client:
        client.shake_hands()
        assert client.refused(nbd.CMD_READ) == errno.EIO
        assert client.read(4096, 512) == image[4096:4608]
        status = relay.wait_for(lambda disk: disk.failures == 1)
    assert status.failure == {"offset": 0, "length": 4096, "error": errno.EIO}


def test_the_first_of_many_failed_reads_is_the_one_that_is_told(relay: RunningRelay, image: bytes) -> None:
    def bad_disk(connection: ServedConnection) -> None:
        connection.shake_hands()
        while True:
            connection.reply(connection.asked(), error=errno.EIO)

    with ScriptedServer(relay.socket(1), image, bad_disk), RelayClient(relay.port) as client:
        client.shake_hands()
        for offset in (8192, 0, 4096):
            client.request(nbd.CMD_READ, 1, offset, 512)
            assert client.reply() == (errno.EIO, 1)
        status = relay.wait_for(lambda disk: disk.failures == 3)
    assert status.failure == {"offset": 8192, "length": 512, "error": errno.EIO}
    assert status.distinct == 0


def test_what_was_delivered_counts_once_however_often_it_is_read(relay: RunningRelay) -> None:
    image = os.urandom(3 * MIB + 512)
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.shake_hands()
        for _ in range(3):
            client.read(MIB, MIB)
        assert relay.wait_for(lambda disk: disk.relayed == 3 * MIB).distinct == MIB
        client.read(0, len(image))
        assert relay.wait_for(lambda disk: disk.relayed > 6 * MIB).distinct == len(image)
    wait_until(lambda: relay.status.state == "done", "its end")
    assert relay.status.distinct == len(image)


def test_a_disk_that_nobody_read_has_delivered_nothing(relay: RunningRelay, image: bytes) -> None:
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.shake_hands()
    wait_until(lambda: relay.status.state == "done", "its end")
    assert (relay.status.relayed, relay.status.distinct) == (0, 0)


@pytest.mark.parametrize("size", [1, 512, 64 * KIB, 1 << 36, (1 << 36) + 512, 15 << 40, 1 << 63])
def test_what_is_remembered_of_a_disk_does_not_grow_with_it(size: int) -> None:
    reads = DiskReads()
    reads.delivered(0, 512)
    reads.set_size(size)
    assert reads.distinct == 0
    reads.delivered(0, min(size, 512))
    assert 0 < reads.distinct <= size
    reads.delivered(0, size)
    assert reads.distinct == size
    reads.delivered(size, 512)
    assert reads.distinct == size
    assert sys.getsizeof(reads._blocks) <= 1.1 * MIB


def test_a_server_that_is_being_ended_costs_the_client_nothing(relay: RunningRelay, image: bytes) -> None:
    times = []

    def shutting_down(connection: ServedConnection) -> None:
        connection.shake_hands()
        while True:
            times.append(connection.asked())
            connection.reply(times[-1], error=nbd.ESHUTDOWN if len(times) == 1 else 0)

    with ScriptedServer(relay.socket(1), image, shutting_down), RelayClient(relay.port) as client:
        client.shake_hands()
        assert client.read(0, 4096) == image[:4096]
    assert len(times) == 2


@contextlib.contextmanager
def probed(relay: RunningRelay, server: ScriptedServer) -> Iterator[None]:
    """When the relay's probe has come to the server and has said goodbye."""
    relay.wait_for(lambda disk: disk.state == "ready")
    wait_until(lambda: server.goodbyes == 1, "the probe's leave")
    yield


def test_the_relay_moves_to_a_newer_tunnel_while_the_old_one_works(relay: RunningRelay, image: bytes) -> None:
    with ScriptedServer(relay.socket(1), image) as old, probed(relay, old), RelayClient(relay.port) as client:
        client.shake_hands()
        assert client.read(0, 4096) == image[:4096]
        with ScriptedServer(relay.socket(2), image) as new:
            relay.wait_for(lambda disk: disk.generation == 2)
            assert client.read(4096, 4096) == image[4096:8192]
            # In order, as nbdkit 1.32 dies when it is not.
            wait_until(lambda: old.goodbyes == 2, "the old server is told")
            assert new.goodbyes == 0
        assert relay.status.reconnects == 1


def test_the_old_tunnel_answers_what_it_was_asked_before_the_relay_moves(relay: RunningRelay, image: bytes) -> None:
    go_on = threading.Event()
    asked_anew = []

    def slow(connection: ServedConnection) -> None:
        connection.shake_hands()
        asked = connection.asked()
        connection.reply(asked, cut=500)
        assert go_on.wait(TIMEOUT)
        connection.socket.sendall(image[500:4096])
        connection.asked()

    def record(connection: ServedConnection) -> None:
        connection.shake_hands()
        while True:
            asked_anew.append(connection.asked())
            connection.reply(asked_anew[-1])

    with ScriptedServer(relay.socket(1), image, slow) as old, probed(relay, old), RelayClient(relay.port) as client:
        client.shake_hands()
        client.request(nbd.CMD_READ, 1, 0, 4096)
        relay.wait_for(lambda disk: disk.relayed == 500)
        with ScriptedServer(relay.socket(2), image, record):
            wait_until(lambda: "tunnel 2 is there, tunnel 1 finishes" in relay.log, "the newer tunnel")
            client.request(nbd.CMD_READ, 2, 8192, 100)
            go_on.set()
            assert client.reply() == (0, 1)
            assert client.receive(4096) == image[:4096]
            assert client.reply() == (0, 2)
            assert client.receive(100) == image[8192:8292]
            assert relay.wait_for(lambda disk: disk.generation == 2).reconnects == 1
    assert [one.offset for one in asked_anew] == [8192]
    assert old.goodbyes == 2


@pytest.mark.parametrize("from_the_start", [True, False], ids=["no greeting", "no reply"])
def test_a_tunnel_that_stalls_is_left_for_a_newer_one(
    relay: RunningRelay, image: bytes, from_the_start: bool
) -> None:
    asked = threading.Event()

    def stall(connection: ServedConnection) -> None:
        if not from_the_start:
            connection.shake_hands()
            connection.asked()
        asked.set()
        connection.asked()

    with ScriptedServer(relay.socket(1), image, stall):
        client = RelayClient(relay.port)
        if not from_the_start:
            client.shake_hands()
            client.request(nbd.CMD_READ, 1, 0, 4096)
        assert asked.wait(TIMEOUT)
        with ScriptedServer(relay.socket(2), image), client:
            if from_the_start:
                client.shake_hands()
                client.request(nbd.CMD_READ, 1, 0, 4096)
            assert client.reply() == (0, 1)
            assert client.receive(4096) == image[:4096]
            relay.wait_for(lambda disk: disk.generation == 2)


def test_a_silent_tunnel_is_shown_while_it_owes_an_answer(relay: RunningRelay, image: bytes) -> None:
    def stall(connection: ServedConnection) -> None:
        connection.shake_hands()
        connection.asked()
        connection.asked()

    with ScriptedServer(relay.socket(1), image, stall), RelayClient(relay.port) as client:
        client.shake_hands()
        client.request(nbd.CMD_READ, 1, 0, 4096)
        relay.wait_for(lambda disk: disk.silent >= 1 and disk.stalled >= 1)


def test_a_slow_disk_is_waited_for_as_long_as_the_tunnel_answers_beside_it(
    place: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(limits, "PROBE_SECONDS", 0.1)
    asked, go_on = threading.Event(), threading.Event()

    def slow(connection: ServedConnection) -> None:
        if asked.is_set():
            # As nbdkit while its disk cannot be opened.
            connection.greet()
            go_on.wait(TIMEOUT)
            return
        connection.shake_hands()
        request = connection.asked()
        asked.set()
        go_on.wait(TIMEOUT)
        connection.reply(request)
        connection.serve()

    disk = loop.DiskLoop(0, 0.5, False, lambda _: None, lambda: None)
    thread = threading.Thread(target=disk.run, daemon=True)
    with ScriptedServer(place / "disk0.1.sock", image, slow):
        thread.start()
        with RelayClient(disk.port) as client:
            client.shake_hands().request(nbd.CMD_READ, 1, 0, 4096)
            assert asked.wait(TIMEOUT)
            # Several times as long as a tunnel may be gone.
            wait_until(lambda: disk.report.silent >= 2, "silence")
            assert disk.report.state is DiskState.RELAYING
            assert disk.report.stalled == 0
            assert disk.report.reconnects == 0
            go_on.set()
            assert client.reply() == (0, 1)
            assert client.receive(4096) == image[:4096]
            assert client.read(4096, 512) == image[4096:4608]
        thread.join(TIMEOUT)
    assert [disk.report.state] == [DiskState.DONE]


def test_a_newer_tunnel_that_does_not_answer_changes_nothing(relay: RunningRelay, image: bytes) -> None:
    reached = threading.Event()

    def stall(connection: ServedConnection) -> None:
        reached.set()
        connection.asked()

    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.shake_hands()
        with ScriptedServer(relay.socket(2), image, stall):
            assert reached.wait(TIMEOUT)
            assert client.read(100, 4096) == image[100:4196]
            assert relay.wait_for(lambda disk: disk.relayed).generation == 1


def test_an_older_tunnel_is_tried_when_the_newest_does_not_answer(
    place: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stall(connection: ServedConnection) -> None:
        connection.asked()

    monkeypatch.setattr(limits, "HURRIED_SECONDS", 0.2)
    monkeypatch.setattr(limits, "HANDSHAKE_SECONDS", 2 * TIMEOUT)
    monkeypatch.chdir(place)
    disk = loop.DiskLoop(0, 60, False, lambda _: None, lambda: None)
    thread = threading.Thread(target=disk.run)
    with (
        ScriptedServer(place / "disk0.2.sock", image, stall),
        ScriptedServer(place / "disk0.1.sock", image),
    ):
        thread.start()
        with RelayClient(disk.port) as client:
            assert client.shake_hands().read(0, 512) == image[:512]
        thread.join(TIMEOUT)
    assert disk.report.state is DiskState.DONE


def test_another_disk_behind_a_new_tunnel_is_given_up(relay: RunningRelay, image: bytes) -> None:
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.shake_hands()
        assert client.read(0, 512) == image[:512]
        with ScriptedServer(relay.socket(2), image + bytes(512)):
            assert client.hangs_up()
            assert relay.wait_for_end() == 1
    assert relay.status.reason == "another disk answers through the tunnel"
    assert relay.status.cause == "disk"


def test_another_disk_behind_a_new_tunnel_is_given_up_also_before_the_client_comes(
    relay: RunningRelay, image: bytes
) -> None:
    with ScriptedServer(relay.socket(1), image):
        relay.wait_for(lambda disk: disk.state == "ready")
        with ScriptedServer(relay.socket(2), image[:-512]):
            assert relay.wait_for_end() == 1
    assert relay.status.reason == "another disk answers through the tunnel"
    assert relay.status.cause == "disk"


def test_a_server_that_answers_what_it_was_not_asked_is_asked_again_and_then_given_up(
    relay: RunningRelay, image: bytes
) -> None:
    times = []

    def confused(connection: ServedConnection) -> None:
        connection.shake_hands()
        asked = connection.asked()
        times.append(asked)
        connection.socket.sendall(nbd.REPLY.pack(nbd.REPLY_MAGIC, 0, asked.cookie + 1) + image[:512])
        connection.asked()

    with RelayClient(relay.port) as client, ScriptedServer(relay.socket(1), image, confused):
        client.shake_hands()
        client.request(nbd.CMD_READ, 1, 0, 512)
        assert client.hangs_up()
        assert relay.wait_for_end() == 1
    assert relay.status.reason == "the server answered what it was not asked"
    assert len(times) == limits.MAX_FAULTS


# ---- No tunnel at all


def test_a_disk_without_a_tunnel_is_given_up_in_time(place: Path) -> None:
    with RunningRelay(place, seconds=0.5) as relay:
        assert relay.wait_for_end() == 1
        assert (relay.status.state, relay.status.reason) == ("given up", "no working tunnel for 0.5 s")
        assert relay.status.cause == "tunnel"
        with pytest.raises(ConnectionRefusedError):
            RelayClient(relay.port)


@pytest.mark.parametrize("dies", [True, False], ids=["dead", "stalled"])
def test_a_client_whose_tunnel_does_not_come_back_is_closed(place: Path, image: bytes, dies: bool) -> None:
    def stall(connection: ServedConnection) -> None:
        connection.shake_hands()
        connection.asked()
        connection.asked()

    with RunningRelay(place, seconds=1) as relay:
        server = ScriptedServer(relay.socket(1), image, stall)
        with RelayClient(relay.port) as client:
            client.shake_hands()
            client.request(nbd.CMD_READ, 1, 0, 4096)
            if dies:
                server.close()
            assert client.hangs_up()
            assert relay.wait_for_end() == 1
        server.close()
        assert relay.status.reason == "no working tunnel for 1 s"


def test_a_client_that_takes_its_time_is_not_given_up(place: Path, image: bytes) -> None:
    with (
        # First, as the relay does not wait for it for long; but long enough for a busy machine.
        ScriptedServer(place / "disk0.1.sock", image * 64),
        RunningRelay(place, seconds=2) as relay,
        RelayClient(relay.port) as client,
    ):
        # More than fits into all buffers on the way: the relay waits for the client.
        client.shake_hands().request(nbd.CMD_READ, 1, 0, 64 * MIB)
        relay.wait_for(lambda disk: disk.relayed > 0)
        # Twice as long as it may take, by the clock of another relay.
        with RunningRelay(make(place / "clock"), seconds=4) as clock:
            assert clock.wait_for_end() == 1
        assert relay.status.relayed < 64 * MIB
        assert client.reply() == (0, 1)
        assert client.receive(64 * MIB) == image * 64


def make(directory: Path) -> Path:
    directory.mkdir(mode=0o700)
    return directory


# ---- Clients


def test_the_first_client_is_the_only_one(relay: RunningRelay, image: bytes) -> None:
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.shake_hands()
        for host in ("127.0.0.1", "::1"):
            with pytest.raises(ConnectionRefusedError):
                RelayClient(relay.port, host)
        assert client.read(0, 512) == image[:512]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_port_is_taken_on_every_address_of_the_loopback(relay: RunningRelay, image: bytes, host: str) -> None:
    other = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    with other, pytest.raises(OSError, match="in use"):
        other.bind((host, relay.port))
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port, host) as client:
        assert client.shake_hands().size == MIB


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_client_of_another_user_is_refused_and_does_not_count(relay: RunningRelay, image: bytes, host: str) -> None:
    # The stranger says nothing and closes at once, or waits for us to: neither may pass.
    stranger = (
        "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20);"
        "sys.exit(s.recv(1) != b'')"
    )
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", stranger]
    with ScriptedServer(relay.socket(1), image):
        run(*command, host, str(relay.port))
        run(*command[:-1], stranger.replace("sys.exit", "s.close(); sys.exit(0) #"), host, str(relay.port))
        relay.wait_for(lambda disk: disk.state == "ready")
        with RelayClient(relay.port) as client:
            assert client.shake_hands().read(0, 512) == image[:512]
    assert "refused a client of user 65534" in relay.log


def test_the_loopback_is_not_paced_whatever_the_servers_network_is_set_to() -> None:
    listeners = sockets.listen_on_loopback()
    for listener in listeners:
        said = listener.getsockopt(socket.IPPROTO_TCP, sockets.TCP_CONGESTION, 16)
        listener.close()
        assert said.rstrip(b"\0") == b"reno"


def test_nothing_can_be_written(relay: RunningRelay, image: bytes) -> None:
    reached = []

    def record(connection: ServedConnection) -> None:
        connection.shake_hands()
        while True:
            asked = connection.asked()
            reached.append(asked.command)
            connection.reply(asked)

    with ScriptedServer(relay.socket(1), image, record), RelayClient(relay.port) as client:
        client.shake_hands()
        assert client.refused(nbd.CMD_WRITE, 100_000, bytes(100_000)) == errno.EPERM
        assert client.refused(nbd.CMD_WRITE, 0) == errno.EPERM
        assert client.refused(nbd.CMD_TRIM) == errno.EPERM
        assert client.refused(nbd.CMD_WRITE_ZEROES) == errno.EPERM
        assert client.refused(nbd.CMD_BLOCK_STATUS) == errno.EINVAL
        assert client.refused(nbd.CMD_READ, limits.MAX_LENGTH + 1) == errno.EINVAL
        assert client.refused(nbd.CMD_FLUSH, 0) == 0
        assert client.read(0, 512) == image[:512]
    assert reached == [nbd.CMD_FLUSH, nbd.CMD_READ]


@pytest.mark.parametrize(
    ("command", "length", "reason"),
    [
        (nbd.CMD_WRITE, limits.MAX_LENGTH + 1, "the client sent a write that is too long"),
        (8, 0, "the client sent an unknown request"),
    ],
)
def test_a_client_whose_request_cannot_be_skipped_is_closed(
    relay: RunningRelay, image: bytes, command: int, length: int, reason: str
) -> None:
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.shake_hands().request(command, 1, 0, length)
        assert client.hangs_up()
        assert relay.wait_for_end() == 1
    assert relay.status.reason == reason


def test_only_simple_replies_are_agreed_on(relay: RunningRelay, image: bytes) -> None:
    refused = (5, 8, 11, 77)  # TLS, structured replies, extended headers, and what there is not.
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.greet()
        assert [client.option(number) for number in refused] == [nbd.REP_ERR_UNSUP] * 4
        assert client.option(nbd.OPT_INFO, bytes(6)) in {nbd.REP_ACK, nbd.REP_ERR_UNSUP}
        assert client.option(nbd.OPT_GO, bytes(6)) == nbd.REP_ACK


def test_the_handshake_goes_on_over_another_tunnel(relay: RunningRelay, image: bytes) -> None:
    asked = threading.Event()

    def stop_at_the_option(connection: ServedConnection) -> None:
        connection.greet()
        connection.receive(nbd.OPTION.size)
        asked.set()

    with RelayClient(relay.port) as client:
        with ScriptedServer(relay.socket(1), image, stop_at_the_option):
            client.greet()
            client.socket.sendall(handshake.Option(nbd.OPT_EXPORT_NAME, b"").packed)
            assert asked.wait(TIMEOUT)
        with ScriptedServer(relay.socket(2), image):
            assert client.receive(10) == nbd.EXPORT.pack(MIB, 3)
            assert client.read(0, 512) == image[:512]


def test_a_client_may_ask_for_much_but_not_for_everything_at_once(relay: RunningRelay, image: bytes) -> None:
    got: list[Asked] = []
    go_on = threading.Event()

    def count(connection: ServedConnection) -> None:
        connection.shake_hands()
        while len(got) < limits.MAX_OPEN_REQUESTS:
            got.append(connection.asked())
        connection.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.asked()
        connection.socket.settimeout(None)
        go_on.set()
        for asked in got:
            connection.reply(asked)
        connection.serve()

    requests = 2000
    with ScriptedServer(relay.socket(1), image, count), RelayClient(relay.port) as client:
        client.shake_hands()
        for cookie in range(requests):
            client.request(nbd.CMD_READ, cookie, cookie, 10)
        assert go_on.wait(TIMEOUT)
        for _ in range(requests):
            error, cookie = client.reply()
            assert error == 0
            assert client.receive(10) == image[cookie : cookie + 10]


def test_a_relay_of_several_clients_serves_them_at_once_and_in_turn(place: Path, image: bytes) -> None:
    with RunningRelay(place, many_clients=True) as relay, ScriptedServer(relay.socket(1), image):
        with RelayClient(relay.port) as first, RelayClient(relay.port, "::1") as second:
            first.shake_hands()
            second.shake_hands()
            assert first.read(0, 1000) == image[:1000]
            assert second.read(1000, 1000) == image[1000:2000]
        # One that does wrong ends only itself.
        with RelayClient(relay.port) as wrong, RelayClient(relay.port) as right:
            wrong.shake_hands().request(99, 1)
            assert wrong.hangs_up()
            assert right.shake_hands().read(0, 10) == image[:10]
        relay.wait_for(lambda disk: disk.state == "ready")
        assert relay.status.reason == "the client sent an unknown request"
        assert relay.process.poll() is None


def test_clients_beyond_the_limit_are_refused(place: Path, image: bytes) -> None:
    with RunningRelay(place, many_clients=True) as relay, ScriptedServer(relay.socket(1), image):
        clients = [RelayClient(relay.port) for _ in range(limits.MAX_CLIENTS)]
        for client in clients:
            client.greet()
        with RelayClient(relay.port) as one_more:
            assert one_more.hangs_up()
        for client in clients:
            client.close()


# ---- Its end


def test_it_ends_when_the_client_of_every_disk_has_gone(relay: RunningRelay, image: bytes) -> None:
    with ScriptedServer(relay.socket(1), image) as server, RelayClient(relay.port) as client:
        client.shake_hands().request(nbd.CMD_DISC, 1)
        assert client.hangs_up()
        assert relay.wait_for_end() == 0
        wait_until(lambda: server.goodbyes, "the server is told")
    assert (relay.status.state, relay.status.reason) == ("done", "")


@pytest.mark.parametrize(
    ("number", "state", "reason"),
    [(signal.SIGTERM, "given up", "the relay was told to end"), (signal.SIGUSR1, "done", "")],
)
def test_a_signal_ends_it_and_the_status_says_so(
    relay: RunningRelay, image: bytes, number: signal.Signals, state: str, reason: str
) -> None:
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.shake_hands()
        assert relay.end(number) == 0
        assert client.hangs_up()
    assert (relay.status.state, relay.status.reason) == (state, reason)


def test_a_hang_up_does_not_end_it(relay: RunningRelay, image: bytes) -> None:
    with ScriptedServer(relay.socket(1), image), RelayClient(relay.port) as client:
        client.shake_hands()
        relay.process.send_signal(signal.SIGHUP)
        assert client.read(0, 512) == image[:512]
        assert relay.process.poll() is None


def test_the_status_is_written_where_there_is_no_room_for_a_second_file(relay: RunningRelay, image: bytes) -> None:
    (relay.directory / "relay.status.new").mkdir()
    with ScriptedServer(relay.socket(1), image):
        assert relay.wait_for(lambda disk: disk.state == "ready").size == MIB


def test_a_status_that_cannot_be_written_does_not_end_it(relay: RunningRelay, image: bytes) -> None:
    port = relay.port
    (relay.directory / "relay.status.new").mkdir()
    relay.status_file.unlink()
    relay.status_file.mkdir()
    with ScriptedServer(relay.socket(1), image), RelayClient(port) as client:
        assert client.shake_hands().read(0, 512) == image[:512]
        wait_until(lambda: "relay.status cannot be written" in relay.log, "a complaint")
        assert relay.process.poll() is None


def test_an_error_of_its_own_gives_up_one_disk_and_is_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    disk = loop.DiskLoop(0, 60, False, said.append, lambda: None)
    monkeypatch.setattr(disk.tunnels, "there", lambda: 1 // 0)
    disk.run()
    assert (disk.report.state, disk.report.reason) == (DiskState.GIVEN_UP, "internal error")
    assert any("ZeroDivisionError" in line for line in said)


def test_it_does_nothing_while_nothing_happens(relay: RunningRelay, image: bytes) -> None:
    """A socket that is readable or at its end, and is not read, wakes a careless program without a pause."""

    def rests() -> None:
        before = sum(process.cpu_times()[:2])
        with RunningRelay(make(relay.directory / "clock"), seconds=0.5) as clock:
            clock.wait_for_end()
        shutil.rmtree(relay.directory / "clock")
        assert sum(process.cpu_times()[:2]) - before < 0.1

    process = psutil.Process(relay.process.pid)
    server = ScriptedServer(relay.socket(1), image * 64)
    with RelayClient(relay.port) as client:
        client.shake_hands().request(nbd.CMD_READ, 1, 0, 64 * MIB)
        # The client takes nothing, though the tunnel has something for it; then the tunnel goes.
        relay.wait_for(lambda disk: disk.relayed > 0)
        rests()
        server.close()
        rests()
        with ScriptedServer(relay.socket(2), image * 64):
            assert client.reply() == (0, 1)
            assert client.receive(64 * MIB) == image * 64


def test_it_serves_a_real_server_over_ipv6_to_nbdinfo(relay: RunningRelay, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    random_image(disk, MIB)
    with RealServer("nbdkit", disk, relay.socket(1)):
        said = json.loads(run("nbdinfo", "--json", f"nbd://[::1]:{relay.port}"))
    assert said["structured"] is False
    assert said["exports"][0]["export-size"] == MIB
    assert said["exports"][0]["is_read_only"] is True


def test_the_scripted_server_is_a_good_one_when_it_wants_to_be(tmp_path: Path, image: bytes) -> None:
    path = tmp_path / "socket"
    with ScriptedServer(path, image, well_behaved):
        # Not nbdinfo: that of Debian 13 takes no server that does not know NBD_OPT_INFO.
        run("nbdcopy", f"nbd+unix:///?socket={path}", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == image


@pytest.mark.parametrize(
    ("started", "control", "seconds", "abandoned"),
    [
        (False, None, 3600, True),
        (False, "999999999", 3600, True),
        (False, "damaged", 3600, True),
        (True, None, 0.3, False),
        # p2v-tui is there, and its logins take their time.
        pytest.param(False, str(os.getpid()), 0.3, False, id="False-alive-0.3-False"),
    ],
)
def test_a_conversion_that_was_never_started_is_not_waited_for(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    started: bool,
    control: str | None,
    seconds: float,
    abandoned: bool,
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(limits, "UNSTARTED_SECONDS", 0.1)
    if started:
        Path(loop.WRAPPER_PID).touch()
    if control is not None:
        Path(loop.CONTROL_PID).write_text(control)
    disk = loop.DiskLoop(0, seconds, False, lambda _: None, lambda: None)
    disk.run()
    assert disk.report.state is DiskState.GIVEN_UP
    assert disk.disk.abandoned is abandoned
