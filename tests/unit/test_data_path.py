"""Data path, data connections and the choice of compression together; only ssh, NBD server and relay are made up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from p2v_tui.errors import ConnectionFailed, ConversionFailed
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data import compression, connection_loop, tunnel_opener
from p2v_tui.session.data.compression import MOVE_TIMEOUT, WINDOW
from p2v_tui.session.data.connection import DataConnection
from p2v_tui.session.data.connection_state import ConnectionSettings
from p2v_tui.session.data.path import DataPath, PathSettings
from p2v_tui.session.data.relay.states import Cause, DiskState
from p2v_tui.session.data.relay_status import DiskRelay, FailedRead, RelayStatus
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.events import Event, Happened, Warned
from tests.unit.nbd_relay_lab import wait_until

pytestmark = pytest.mark.integration

MB = 1_000_000
SIZE = 1 << 20
# A quarter of an hour in life.
TRIAL_INTERVAL = 100.0


class MadeUpTunnel:
    """What ssh would be. there: all that are open, by their generation."""

    there: dict[int, MadeUpTunnel]
    opened: int
    broken: bool

    def __init__(self, *arguments: object, compressed: bool = False) -> None:
        if type(self).broken:
            raise ConnectionFailed("The line is busy.", "")
        end = str(arguments[2])
        self.compressed = compressed
        self.generation = int(end.split(".")[-2])
        self.port = None
        self.alive = True
        self.last_words = "Connection reset"
        type(self).opened += 1
        type(self).there[self.generation] = self

    def close(self) -> None:
        self.alive = False
        type(self).there.pop(self.generation, None)


class MadeUpServer:
    running = True
    last_words = ""
    bytes_served = 0
    read_error: str | None = None
    hangs = False

    def __init__(self, *arguments: object) -> None:
        pass

    def start_again(self, *, wanted: bool) -> bool:
        del wanted
        return False

    def answers(self) -> bool:
        return not self.hangs

    def close(self) -> None:
        pass


class Copy:
    """A copy of one disk over a line. rate: bytes a second, by whether it is compressed."""

    def __init__(self, image: Path, rate: Callable[[bool], float], make: Any) -> None:
        self.now = 1000.0
        self.relayed = 0.0
        self.rate = rate
        self.said: list[str] = []
        self.warnings: list[str] = []
        self.relay: dict[str, Any] = {}
        self.connection: DataConnection = make.connection
        disks = (Disk("sda", image, SIZE),)
        settings = PathSettings(disks, RemoteDirectory("/nowhere/virt-p2v-1"), make, relay_timeout=10)
        self.path = DataPath(settings, relayed=True, generations=[1], clock=lambda: self.now)
        self.connection = self.path._connections[0]
        wait_until(lambda: MadeUpTunnel.there, "the first tunnel")

    @property
    def compressed(self) -> bool:
        return MadeUpTunnel.there[max(MadeUpTunnel.there)].compressed

    def run(self, seconds: float, *, copying: bool = True) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            self.relayed += self.rate(self.compressed)
            relay = DiskRelay(
                40001,
                DiskState.RELAYING,
                SIZE,
                relayed=int(self.relayed),
                generation=max(MadeUpTunnel.there),
                **self.relay,
            )
            self.path.follow(RelayStatus(alive=True, disks=(relay,)), copying=[copying])
            wait_until(self._seen, "a look")
            for event in self.path.events():
                self._heard(event)

    def _seen(self) -> bool:
        observed = self.connection.state.observed
        return observed is not None and observed.at == self.now

    def _heard(self, event: Event) -> None:
        if isinstance(event, Happened):
            self.said.append(event.text)
        if isinstance(event, Warned):
            self.warnings.append(event.text)


class Maker:
    """As `ConnectionMaker`."""

    connection: Any = None

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __call__(
        self,
        disk: Disk,
        number: int,
        *,
        directory: RemoteDirectory | None,
        notify: Callable[[Event], None],
        generation: int,
    ) -> DataConnection:
        login: Any = None
        return DataConnection(
            ConnectionSettings(
                disk=disk,
                number=number,
                program="nbdkit",
                login=login,
                workspace=self._workspace,
                directory=directory,
                retry_for=10,
                logins=threading.Semaphore(4),
                notify=notify,
                generation=generation,
            )
        )


class LostShell:
    """A shell whose connection is lost when the first tunnel is there."""

    def write_files(self, _: object) -> None:
        wait_until(lambda: MadeUpTunnel.there, "the first tunnel")
        raise ConnectionFailed("The control connection was lost.", "")


MakeCopy = Callable[[Callable[[bool], float]], Copy]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    MadeUpTunnel.there, MadeUpTunnel.opened, MadeUpTunnel.broken = {}, 0, False
    monkeypatch.setattr(tunnel_opener, "Tunnel", MadeUpTunnel)
    monkeypatch.setattr(connection_loop, "NbdServer", MadeUpServer)
    monkeypatch.setattr(connection_loop, "LOOK_INTERVAL", 0.001)
    monkeypatch.setattr(compression, "TRIAL_INTERVAL", TRIAL_INTERVAL)


@pytest.fixture
def make_copy(image: Path, made_up: None) -> Iterator[MakeCopy]:
    del made_up
    with Workspace() as workspace:
        made: list[Copy] = []

        def make(rate: Callable[[bool], float]) -> Copy:
            made.append(Copy(image, rate, Maker(workspace)))
            return made[-1]

        yield make
        for copy in made:
            copy.path.close()
    assert MadeUpTunnel.there == {}


@pytest.mark.usefixtures("made_up")
def test_where_the_relay_is_not_started_no_connection_stays(image: Path) -> None:
    with Workspace() as workspace:
        disks = (Disk("sda", image, SIZE),)
        settings = PathSettings(disks, RemoteDirectory("/nowhere/virt-p2v-1"), Maker(workspace), relay_timeout=10)
        shell: Any = LostShell()
        with pytest.raises(ConnectionFailed):
            DataPath.open(settings, shell)
        assert (MadeUpTunnel.opened, MadeUpTunnel.there) == (1, {})


def test_compression_that_is_slower_goes_off_again_and_that_is_said_once(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda compressed: 10 * MB if compressed else 20 * MB)
    copy.run(60)
    assert not copy.compressed
    assert len(copy.said) == 1
    assert "no faster" in copy.said[0]
    assert MadeUpTunnel.opened == 3
    assert len(MadeUpTunnel.there) == 1


def test_compression_that_is_faster_stays_on_and_that_is_said_once(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda compressed: 20 * MB if compressed else 10 * MB)
    copy.run(60)
    assert copy.compressed
    assert len(copy.said) == 1
    assert "it stays on" in copy.said[0]
    assert MadeUpTunnel.opened == 2


def test_the_choice_is_made_anew_after_a_while_again_and_again(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda compressed: 10 * MB if compressed else 20 * MB)
    copy.run(60)
    for trial in range(2, 4):
        copy.run(TRIAL_INTERVAL)
        assert MadeUpTunnel.opened == 1 + 2 * trial
        assert not copy.compressed
    assert len(copy.said) == 1
    # What follows on the disk can be compressed.
    copy.rate = lambda compressed: 30 * MB if compressed else 20 * MB
    copy.run(TRIAL_INTERVAL)
    assert copy.compressed
    assert len(copy.said) == 2


def test_a_tunnel_that_cannot_be_opened_for_a_trial_does_not_lock_the_choice_up(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda compressed: 20 * MB if compressed else 10 * MB)
    MadeUpTunnel.broken = True
    copy.run(60)
    assert (copy.compressed, copy.said, MadeUpTunnel.opened) == (False, [], 1)
    MadeUpTunnel.broken = False
    copy.run(TRIAL_INTERVAL + 60)
    assert copy.compressed


def test_a_tunnel_that_is_lost_in_a_trial_leaves_the_one_before_it(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda compressed: 20 * MB if compressed else 10 * MB)
    while not copy.compressed:
        copy.run(1)
    MadeUpTunnel.there[2].alive = False
    wait_until(lambda: list(MadeUpTunnel.there) == [1] or max(MadeUpTunnel.there) == 3, "another tunnel in use")
    copy.run(TRIAL_INTERVAL + MOVE_TIMEOUT + 60)
    assert copy.compressed
    assert len(MadeUpTunnel.there) == 1


def test_nothing_is_tried_or_said_where_nothing_is_copied_any_more(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda _: 1 * MB)
    copy.run(WINDOW - 1)
    copy.run(60, copying=False)
    assert (copy.said, MadeUpTunnel.opened) == ([], 1)


def test_a_slow_disk_costs_no_tunnel(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda _: 0)
    copy.relay = {"silent": 35.0, "stalled": 3.0}
    copy.run(60)
    assert MadeUpTunnel.opened == 1
    assert len(copy.said) == 1
    assert "sda has not answered for 35 s" in copy.said[0]


def test_a_read_that_fails_is_a_warning_at_once_and_the_reason_of_the_failure(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda _: 0)
    copy.relay = {"failures": 1, "failure": FailedRead(1 << 19, 4096, 5)}
    copy.run(5)
    assert len(copy.warnings) == 1
    with pytest.raises(ConversionFailed) as raised:
        copy.path.explain_failure()
    for text in (copy.warnings[0], f"{raised.value.message} {raised.value.advice}"):
        assert "The disk sda cannot be read at byte 524288, sectors 1024 to 1031" in text
        assert "Input/output error" in text
        assert "ddrescue" in text
        assert "p2v.disks=" in text


def test_an_nbd_server_that_hangs_costs_no_tunnel_and_is_not_the_networks_fault(
    make_copy: MakeCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MadeUpServer, "hangs", True)
    copy = make_copy(lambda _: 0)
    copy.relay = {"silent": 40.0, "stalled": 40.0}
    copy.run(60)
    assert MadeUpTunnel.opened == 1
    relay = DiskRelay(40001, DiskState.GIVEN_UP, SIZE, "no working tunnel for 20 s", cause=Cause.TUNNEL)
    copy.path.status = RelayStatus(alive=False, disks=(relay,))
    with pytest.raises(ConversionFailed) as raised:
        copy.path.explain_failure()
    assert "The disk sda did not answer for too long" in raised.value.message
    assert "network" not in raised.value.message + raised.value.advice


def test_without_a_relay_the_nbd_servers_words_name_the_disk(
    make_copy: MakeCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = make_copy(lambda _: 0)
    copy.path.relayed = False
    copy.path.explain_failure()
    monkeypatch.setattr(MadeUpServer, "read_error", "Input/output error")
    with pytest.raises(ConversionFailed) as raised:
        copy.path.explain_failure()
    assert raised.value.message == "The disk sda cannot be read everywhere: Input/output error."
    assert "ddrescue" in raised.value.advice


@pytest.mark.parametrize("change", ["shrink", "grow", "remove", "replace"])
def test_a_disk_that_is_not_what_it_was_is_named(change: str, make_copy: MakeCopy, image: Path) -> None:
    copy = make_copy(lambda _: 0)
    copy.path.check_sources()
    if change in ("shrink", "grow"):
        with image.open("r+b") as file:
            file.truncate(SIZE - 512 if change == "shrink" else SIZE + 512)
    elif change == "remove":
        image.unlink()
    else:
        other = image.with_suffix(".new")
        other.write_bytes(bytes(SIZE))
        other.rename(image)
    with pytest.raises(ConversionFailed) as raised:
        copy.path.check_sources()
    words = {"shrink": "shrank", "grow": "grew", "remove": "is gone", "replace": "exchanged"}[change]
    assert "The disk sda" in raised.value.message
    assert words in raised.value.message
    assert "convert again" in raised.value.advice
    # Its own thread has seen it too.
    wait_until(lambda: copy.connection.state.error is not None, "the end of the connection")
    with pytest.raises(ConversionFailed, match=words):
        copy.path.check()


def test_another_disk_behind_the_tunnel_is_not_the_networks_fault(make_copy: MakeCopy) -> None:
    copy = make_copy(lambda _: 0)
    relay = DiskRelay(40001, DiskState.GIVEN_UP, SIZE, "another disk answers through the tunnel", cause=Cause.DISK)
    copy.path.status = RelayStatus(alive=False, disks=(relay,))
    with pytest.raises(ConversionFailed) as raised:
        copy.path.explain_failure()
    assert "The disk sda cannot be opened any more, or is another one" in raised.value.message
    assert "network" not in raised.value.message + raised.value.advice
    assert "lsblk" in raised.value.advice
