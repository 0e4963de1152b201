"""A conversion that was left running: how the screens offer it, and what comes of each answer."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from p2v_tui.app import P2VTui
from p2v_tui.config import Settings
from p2v_tui.errors import Cancelled, ConnectionFailed
from p2v_tui.hwprobe import Machine
from p2v_tui.kinds import Secret
from p2v_tui.screens.connection import ConnectionScreen
from p2v_tui.screens.left_running import Found
from p2v_tui.screens.look import Look
from p2v_tui.screens.running import RunningScreen
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action
from p2v_tui.session.conversion import machine_record
from p2v_tui.session.conversion.machine_record import RecordedDisk
from p2v_tui.session.conversion.saved_conversion import SavedConversion, read
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.workspace import Workspace
from tests.lab.ports import closed_port, silent_port
from tests.screens.conftest import SIZES, screen_text, wait_until
from tests.unit.machines import SDA, SDB, SERVER

DIRECTORY = RemoteDirectory("/tmp/virt-p2v-20261123-abcdefgh")
STARTED = datetime.datetime(2026, 11, 23, 2, 13, 5)
UNCHANGED = "as it was"


class KnownMachine(State):
    def machine(self) -> Machine:
        return SERVER


@pytest.fixture(autouse=True)
def disks_that_nobody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not on this machine."""
    monkeypatch.setattr(machine_record, "mark_of", lambda *_: UNCHANGED)


class Shelf:
    """What a `find_saved` finds: the records in the workspaces of a process that is gone."""

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self.found = 0

    def put(self, settings: Settings, *, sizes: tuple[int, int] = (SDA.size, SDB.size)) -> Path:
        disks = (RecordedDisk("sda", sizes[0], None, UNCHANGED), RecordedDisk("sdb", sizes[1], None, UNCHANGED))
        workspace = Workspace()
        SavedConversion(settings, None, DIRECTORY, disks, True, STARTED).write(workspace)
        workspace.close()
        self._paths.append(workspace.path)
        return workspace.path

    def find(self) -> Found | None:
        """The first one that nobody has, as `find_saved` without looking at other people's."""
        for path in self._paths:
            workspace = Workspace.adopt(path)
            saved = read(workspace) if workspace is not None else None
            if workspace is not None and saved is not None:
                self.found += 1
                return workspace, saved
        return None

    def close(self) -> None:
        for path in self._paths:
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()
    yield made
    made.close()


def conversion_to(port: int, **settings: object) -> Settings:
    given = {"username": "conv", "guestname": "db1", "disks": ("sda", "sdb"), **settings}
    return Settings(server="127.0.0.1", port=port, **given)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def started(shelf: Shelf, settings: Settings | None = None, size: str = "80x24") -> AsyncIterator[Pilot[int]]:
    """The screens as they start, when the offer stands on them."""
    app = P2VTui(KnownMachine(settings or Settings()), look=Look.PLAIN, find_saved=shelf.find)
    async with app.run_test(size=SIZES[size]) as pilot:
        await wait_until(pilot, lambda: "A conversion was left running" in screen_text(app))
        yield pilot
    if app.state.run is not None:
        app.state.run.cancel()
        assert app.state.run.wait(20)


def text(pilot: Pilot[int]) -> str:
    return screen_text(pilot.app)


def state(pilot: Pilot[int]) -> State:
    assert isinstance(pilot.app, P2VTui)
    return pilot.app.state


async def press(pilot: Pilot[int], name: str) -> None:
    pilot.app.screen.query_one(f"#{name}", Action).focus()
    await pilot.press("enter")


async def until_shown(pilot: Pilot[int], *words: str) -> None:
    await wait_until(pilot, lambda: all(word in text(pilot) for word in words))


@pytest.mark.parametrize("size", SIZES)
async def test_it_is_offered_at_the_start(size: str, shelf: Shelf, snapshot: SnapshotAssertion) -> None:
    shelf.put(Settings(server="conv.example.com", disks=("sda", "sdb")))
    async with started(shelf, size=size) as pilot:
        await until_shown(pilot, ">[ Continue it ]")
        assert text(pilot) == snapshot


async def test_where_nothing_was_left_nothing_is_asked(shelf: Shelf) -> None:
    app = P2VTui(KnownMachine(Settings()), look=Look.PLAIN, find_saved=shelf.find)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert isinstance(app.screen, ConnectionScreen)


@pytest.mark.parametrize("by_key", [False, True])
async def test_left_alone_it_stays_for_the_next_start(shelf: Shelf, *, by_key: bool) -> None:
    path = shelf.put(conversion_to(22))
    async with started(shelf) as pilot:
        assert Workspace.adopt(path) is None
        if by_key:
            await pilot.press("escape")
        else:
            await press(pilot, "leave")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, ConnectionScreen))
        assert state(pilot).run is None
        found = shelf.find()
        assert found is not None and found[0].path == path
        found[0].close()


async def test_a_password_is_asked_for_and_what_cannot_be_reached_is_offered_again(shelf: Shelf) -> None:
    with closed_port() as port:
        path = shelf.put(conversion_to(port, reconnect=0))
        async with started(shelf) as pilot:
            await press(pilot, "go-on")
            await until_shown(pilot, "Log in again", "The password of conv on 127.0.0.1:")
            await pilot.press(*"Tr0ub4dor", "enter")
            await until_shown(pilot, "Conversion (3 of 3)", "refuses connections", "start p2v-tui again to continue")
            assert "Tr0ub4dor" not in text(pilot)
            run = state(pilot).run
            assert run is not None and isinstance(run.snapshot.error, ConnectionFailed)
            assert run.plan.settings.password == Secret("Tr0ub4dor")
            assert path.exists()
            await wait_until(pilot, lambda: pilot.app.focused is not None and pilot.app.focused.id == "back")
            await pilot.press("enter")
            await until_shown(pilot, "A conversion was left running")
            assert shelf.found == 2


async def test_disks_that_may_have_been_written_are_not_served_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_record, "mark_of", lambda *_: "written")
    with closed_port() as port:
        path = shelf.put(conversion_to(port, identity_url="file:///nonexistent"))
        async with started(shelf) as pilot:
            await press(pilot, "go-on")
            await wait_until(pilot, lambda: "is not continued" in screen_text(pilot.app))
        # It can still be stopped.
        assert (path / "conversion.json").exists()


async def test_an_identity_needs_no_password(shelf: Shelf, tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    identity.write_text("a key")
    with closed_port() as port:
        path = shelf.put(conversion_to(port, identity_url=identity.as_uri(), reconnect=0))
        # The run that ended had a copy of it.
        shutil.copy(identity, path / "identity")
        identity.unlink()
        async with started(shelf) as pilot:
            await press(pilot, "go-on")
            await until_shown(pilot, "refuses connections", "it can be tried again")


@pytest.mark.parametrize("same", [False, True])
async def test_the_password_of_the_same_account_is_there_already_and_no_other_one(
    shelf: Shelf, *, same: bool
) -> None:
    saved = conversion_to(22)
    path = shelf.put(saved)
    present = Settings(server="127.0.0.1", username="conv" if same else "other", password=Secret("xyz"))
    async with started(shelf, present) as pilot:
        await press(pilot, "go-on")
        await until_shown(pilot, "Log in again")
        assert ("[***" in text(pilot)) is same
        await pilot.press("escape")
        await until_shown(pilot, "A conversion was left running")
        assert path.exists()


async def test_other_disks_than_those_are_told_of_and_it_is_offered_again(shelf: Shelf) -> None:
    shelf.put(conversion_to(22, disks=("sda", "sdx"), identity_url="file:///nonexistent"))
    async with started(shelf) as pilot:
        await press(pilot, "go-on")
        await until_shown(pilot, "Wrong settings", "sdx")
        await pilot.press("enter")
        await until_shown(pilot, "A conversion was left running")
        assert state(pilot).run is None


async def test_other_disks_of_the_same_name_are_not_served_to_it(shelf: Shelf) -> None:
    path = shelf.put(conversion_to(22, identity_url="file:///nonexistent"), sizes=(SDA.size, 1 << 20))
    async with started(shelf) as pilot:
        await press(pilot, "go-on")
        await until_shown(pilot, "The disks of this machine are not those", "it can be tried again")
        assert path.exists()


async def test_stopping_it_fails_where_the_server_cannot_be_reached_and_it_is_offered_again(shelf: Shelf) -> None:
    with closed_port() as port:
        path = shelf.put(conversion_to(port))
        async with started(shelf) as pilot:
            await press(pilot, "stop")
            await until_shown(pilot, "Log in again")
            await pilot.press("x", "enter")
            await until_shown(pilot, "No connection to the conversion server", "refuses connections")
            assert path.exists()
            await pilot.press("enter")
            await until_shown(pilot, "A conversion was left running")


async def test_trying_to_stop_it_can_be_stopped(shelf: Shelf) -> None:
    with silent_port() as port:
        path = shelf.put(conversion_to(port))
        async with started(shelf) as pilot:
            await press(pilot, "stop")
            await until_shown(pilot, "Log in again")
            await pilot.press("x", "enter")
            await until_shown(pilot, "Stopping the conversion", "Opening the control connection")
            await pilot.press("enter")
            await until_shown(pilot, "A conversion was left running")
            assert path.exists()


async def test_continuing_can_be_cancelled_while_the_server_is_not_reached_and_nothing_is_lost(shelf: Shelf) -> None:
    with silent_port() as port:
        path = shelf.put(conversion_to(port, identity_url="file:///nonexistent"))
        (path / "identity").touch()
        async with started(shelf) as pilot:
            await press(pilot, "go-on")
            await wait_until(pilot, lambda: isinstance(pilot.app.screen, RunningScreen))
            run = state(pilot).run
            assert run is not None
            await wait_until(pilot, lambda: "Continuing the conversion" in run.snapshot.status)
            await press(pilot, "cancel")
            await pilot.press("right", "enter")
            await wait_until(pilot, lambda: run.finished)
            assert isinstance(run.snapshot.error, Cancelled)
            assert path.exists()


async def test_the_fields_are_usable_while_it_is_looked_for(shelf: Shelf) -> None:
    app = P2VTui(KnownMachine(Settings()), look=Look.PLAIN, find_saved=shelf.find)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"conv")
        assert "Conversion server: [conv " in screen_text(app)
