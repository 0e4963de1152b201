"""The settings as a file: saved from the kernel arguments on the second screen, loaded on the first one."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.app import App
from textual.pilot import Pilot

from p2v_tui import cmdline
from p2v_tui.app import P2VTui
from p2v_tui.front.kept_file import Kept
from p2v_tui.front.last_places import Kind, Place
from p2v_tui.hwprobe.sticks import Stick
from p2v_tui.kinds import Secret
from p2v_tui.screens import place_dialog
from p2v_tui.screens.connection import ConnectionScreen
from p2v_tui.screens.look import Look
from p2v_tui.screens.place_dialog import PlaceDialog
from p2v_tui.screens.widgets import Action, Choice, FormField, Toggle
from p2v_tui.session.words.cancellation import Cancellation
from tests.screens.conftest import SIZES, screen_text, wait_until
from tests.screens.connection_screen import FINGERPRINT, STEPS, end, hear
from tests.screens.conversion_screen import MadeUpState, Opened, opened
from tests.screens.judged import SPACE
from tests.screens.running_screen import opened as running_screen
from tests.screens.scripted_conversion import Preflight

STICK = Stick("sdu1", Path("/dev/sdu1"), Path("/dev/sdu"), 8 << 30, "vfat", "65:1", "LOGS", "U", "Cruzer Blade")


async def until_shown(pilot: Pilot[int], *words: str) -> None:
    """Waits for the words, wherever a dialog breaks its lines."""
    await wait_until(pilot, lambda: all(" ".join(word.split()) in in_one_line(pilot.app) for word in words))


def in_one_line(app: App[int]) -> str:
    return " ".join(screen_text(app).replace("|", " ").split())


async def open_save(it: Opened) -> None:
    await it.press("arguments")
    await until_shown(it.pilot, "As kernel arguments")
    await it.pilot.press("right", "enter")
    await until_shown(it.pilot, "Save settings", "Where")


def field(app: P2VTui) -> FormField:
    return app.screen.query_one("#text", FormField)


async def choose(pilot: Pilot[int], kind: Kind) -> None:
    choice = pilot.app.screen.query_one("#where", Choice)
    choice.focus()
    while choice.value != kind.value:
        await pilot.press("right")
    await pilot.pause()


# Saving.


async def test_all_that_was_chosen_and_accepted_is_saved_without_secrets(tmp_path: Path) -> None:
    async with opened() as it:
        it.state.host_key = FINGERPRINT
        it.state.accepted |= {"space", "clock"}
        it.state.settings = dataclasses.replace(it.state.settings, password=Secret("swordfish"))
        await it.type("guestname", "web 1")
        await it.switch("nvme0n1")
        it.interface("em1").network.value = "lan"
        await open_save(it)
        field(it.app).value = str(tmp_path)
        await it.pilot.press("enter")
        await until_shown(it.pilot, "Settings saved", "F8 on the first screen")
    (path,) = tmp_path.iterdir()
    assert path.name == "p2v-tui-web 1.conf"
    lines = path.read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "p2v.server=conv.example.com",
        f"p2v.hostkey={FINGERPRINT}",
        'p2v.name="web 1"',
        "p2v.disks=sda,sdb",
        "p2v.network=em1:lan",
        "p2v.accept_warnings=clock,space",
    ]
    assert any(line.startswith("# Disk: sda") and "ST500DM002" in line for line in lines)
    assert not any("# Disk: nvme0n1" in line for line in lines)
    assert "# Secrets are not in here. To give again: p2v.password=..." in lines
    assert "swordfish" not in path.read_text()


async def test_a_disk_image_is_among_the_arguments_as_the_default_is_another_one(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    async with opened(MadeUpState(image=image)) as it:
        await it.press("arguments")
        await wait_until(
            it.pilot, lambda: f"p2v.disks={image}" in "".join(screen_text(it.app).replace("|", "").split())
        )


async def test_a_warning_that_was_accepted_is_remembered_for_the_arguments() -> None:
    async with running_screen() as screen:
        screen.conversion.say(Preflight((SPACE,)))
        await screen.until_shown("Start despite these warnings?")
        await screen.pilot.press("right", "enter")
        await screen.until(lambda: screen.state.accepted == {SPACE.key})


@pytest.mark.parametrize("look", [Look.PLAIN, Look.DARK])
@pytest.mark.parametrize("size", SIZES)
async def test_the_dialog_that_asks_for_the_place(
    size: str, look: Look, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place_dialog, "find_sticks", lambda _: (STICK,))
    async with opened(size=size, look=look) as it:
        await open_save(it)
        await choose(it.pilot, Kind.STICK)
        await until_shown(it.pilot, "Cruzer Blade")
        await it.pilot.pause()
        assert screen_text(it.app) == snapshot


async def test_sticks_are_looked_for_again_when_the_kind_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged: list[Stick] = []
    taken: list[tuple[str, ...]] = []
    used: list[Place] = []

    def find(without: tuple[str, ...]) -> tuple[Stick, ...]:
        taken.append(tuple(without))
        return tuple(plugged)

    def save(_: object, place: Place, *__: object, **___: object) -> Kept:
        used.append(place)
        return Kept(b"", "there", place)

    monkeypatch.setattr(place_dialog, "find_sticks", find)
    monkeypatch.setattr(place_dialog, "save", save)
    async with opened() as it:
        await open_save(it)
        await choose(it.pilot, Kind.STICK)
        await until_shown(it.pilot, "No stick with a file system was found")
        plugged.append(STICK)
        await choose(it.pilot, Kind.HERE)
        await choose(it.pilot, Kind.STICK)
        await until_shown(it.pilot, 'sdu1  8.6 GB  vfat  "LOGS"  Cruzer Blade')
        await it.pilot.press("down", "down", "enter")
        await until_shown(it.pilot, "Settings saved")
    assert used == [Place(Kind.STICK, "p2v-tui-db1.conf", STICK)]
    # No disk that is to be converted is on offer.
    assert taken[-1] == ("sda", "sdb", "nvme0n1")


async def test_of_several_sticks_the_one_that_was_used_last_is_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(STICK, name="sdt1", node=Path("/dev/sdt1"), disk=Path("/dev/sdt"), label="OTHER")
    monkeypatch.setattr(place_dialog, "find_sticks", lambda _: (other, STICK))
    async with opened() as it:
        it.state.places.remember(Place(Kind.STICK, "logs/a.log", STICK), settings=False)
        await open_save(it)
        await until_shown(it.pilot, "< sdu1")
        assert field(it.app).value == "logs/p2v-tui-db1.conf"


async def test_esc_stops_what_hangs_and_what_was_typed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()

    def hang(_: object, __: object, ___: object, cancellation: Cancellation, **____: object) -> Kept:
        while not going_on.wait(0.02):
            cancellation.check()
        raise AssertionError

    monkeypatch.setattr(place_dialog, "save", hang)
    async with opened() as it:
        await open_save(it)
        field(it.app).value = "/somewhere"
        # By the button this time.
        await it.pilot.press("down", "down", "enter")
        await until_shown(it.pilot, "Saving... Esc stops it.")
        # A second Enter starts nothing more.
        await it.pilot.press("enter", "escape")
        await until_shown(it.pilot, "Stopped.")
        assert field(it.app).value == "/somewhere"
        await it.pilot.press("enter")
        await until_shown(it.pilot, "Saving... Esc stops it.")
        # Back stops it, too, and goes back when nothing is under way.
        await it.pilot.press("left", "enter")
        await until_shown(it.pilot, "Stopped.")
        await it.pilot.press("enter")
        await wait_until(it.pilot, lambda: it.app.screen is it.screen)


async def test_what_ends_below_another_dialog_is_told_when_that_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()

    def save(_: object, place: Place, *__: object, **___: object) -> Kept:
        assert going_on.wait(10)
        return Kept(b"", "there", place)

    monkeypatch.setattr(place_dialog, "save", save)
    async with opened() as it:
        await open_save(it)
        await it.pilot.press("enter")
        await until_shown(it.pilot, "Saving...")
        await it.pilot.press("f10")
        await until_shown(it.pilot, "Leave p2v-tui?")
        going_on.set()
        await wait_until(it.pilot, lambda: not it.state.jobs.busy)
        await it.pilot.pause()
        await until_shown(it.pilot, "Leave p2v-tui?")
        await it.pilot.press("escape")
        await until_shown(it.pilot, "Settings saved", "there")


# Loading.


@dataclasses.dataclass
class First:
    """The first screen, and what tests do with it."""

    app: P2VTui
    pilot: Pilot[int]

    @property
    def screen(self) -> ConnectionScreen:
        screen = self.app.screen_stack[1]
        assert isinstance(screen, ConnectionScreen)
        return screen

    def value(self, name: str) -> str:
        return self.screen.query_one(f"#{name}", FormField).value

    async def load(self, path: Path) -> None:
        await self.pilot.press("f8")
        await until_shown(self.pilot, "Load settings", "Where")
        field(self.app).value = str(path)
        await self.pilot.press("enter")

    async def loaded(self, path: Path) -> None:
        await self.load(path)
        await until_shown(self.pilot, "Settings loaded")
        await self.pilot.press("enter")
        await wait_until(self.pilot, lambda: self.app.screen is self.screen)


def first_screen(words: str = "") -> P2VTui:
    return P2VTui(MadeUpState(words=words), look=Look.PLAIN)


def write(directory: Path, text: str) -> Path:
    path = directory / "a.conf"
    path.write_text(text)
    return path


WORDS = (
    "p2v.server=other.example.com\np2v.port=2222\np2v.username=conv\np2v.identity=https://host/id\np2v.sudo\n"
    f"p2v.hostkey={FINGERPRINT}\np2v.name=web\np2v.disks=sdb\np2v.memory=4G\n"
)


async def test_a_file_fills_in_the_fields_of_both_screens(tmp_path: Path) -> None:
    app = first_screen("p2v.server=old p2v.os=/old")
    async with app.run_test(size=(80, 24)) as pilot:
        first = First(app, pilot)
        await first.loaded(write(tmp_path, WORDS))
        values = [first.value(name) for name in ("server", "port", "username", "identity", "password")]
        assert values == ["other.example.com", "2222", "conv", "https://host/id", ""]
        assert first.screen.query_one("#sudo", Toggle).value
        assert first.screen.settings() == cmdline.parse(WORDS).settings
    async with opened(MadeUpState(words=WORDS.replace("\n", " "))) as it:
        assert [name for name, checked in it.names("disks") if checked] == ["sdb"]
        assert (it.field("guestname").value, it.field("memory").value) == ("web", "4096")


async def test_what_is_saved_on_the_second_screen_is_loaded_on_the_first(tmp_path: Path) -> None:
    async with opened() as it:
        await it.type("guestname", "web")
        await it.switch("nvme0n1")
        await open_save(it)
        field(it.app).value = str(tmp_path)
        await it.pilot.press("enter")
        await until_shown(it.pilot, "Settings saved")
    app = first_screen()
    async with app.run_test(size=(80, 24)) as pilot:
        first = First(app, pilot)
        # The only file with settings in its directory.
        await first.loaded(tmp_path)
        settings = first.screen.settings()
        assert (settings.server, settings.guestname, settings.disks) == ("conv.example.com", "web", ("sda", "sdb"))


async def test_what_is_wrong_in_a_file_is_told_and_the_fields_stay(tmp_path: Path) -> None:
    app = first_screen("p2v.server=old")
    async with app.run_test(size=(80, 24)) as pilot:
        first = First(app, pilot)
        await first.load(write(tmp_path, "p2v.server=new\np2v.port=99999\n"))
        await until_shown(pilot, "Wrong settings", "line 2: p2v.port='99999'", "from 1 to 65535")
        assert first.value("server") == "old"
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(app.screen, PlaceDialog))


async def test_what_this_machine_lacks_and_what_is_secret_is_told(tmp_path: Path) -> None:
    app = first_screen()
    async with app.run_test(size=(80, 24)) as pilot:
        text = "# Secrets are not in here. To give again: p2v.password=...\np2v.server=new\np2v.disks=sdq\n"
        await First(app, pilot).load(write(tmp_path, text))
        await until_shown(pilot, "Settings loaded", "p2v.password=...", "Warning: The fixed disk sdq was not found")
        assert First(app, pilot).value("server") == "new"


async def test_a_test_of_the_connection_says_nothing_about_what_is_loaded(tmp_path: Path) -> None:
    app = first_screen("p2v.server=conv.example.com")
    async with app.run_test(size=(80, 24)) as pilot:
        await hear(app, pilot, *STEPS)
        end(app)
        await pilot.pause()
        first = First(app, pilot)
        # The same server, but another key of it.
        await first.loaded(write(tmp_path, f"p2v.server=conv.example.com p2v.hostkey={FINGERPRINT}"))
        assert app.state.server is None
        assert first.screen.query_one("#next", Action).disabled


async def test_the_server_is_a_place_only_when_the_connection_was_tested() -> None:
    app = first_screen("p2v.server=conv.example.com")
    async with app.run_test(size=(80, 24)) as pilot:
        for tested in (False, True):
            if tested:
                await hear(app, pilot, *STEPS)
                end(app)
            await pilot.press("f8")
            await until_shown(pilot, "Where")
            choice = app.screen.query_one("#where", Choice)
            choice.focus()
            await pilot.press("left")
            assert (choice.value == Kind.SERVER.value) == tested
            await pilot.press("escape")
            await wait_until(pilot, lambda: isinstance(app.screen, ConnectionScreen))


async def test_the_button_more_leads_to_loading_and_to_about() -> None:
    app = first_screen()
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.query_one("#more", Action).focus()
        await pilot.press("enter")
        await until_shown(pilot, "(F8)")
        await pilot.press("right", "enter")
        await until_shown(pilot, "Directory or file")
        await pilot.press("escape")
        await wait_until(pilot, lambda: isinstance(app.screen, ConnectionScreen))


async def test_the_file_that_was_loaded_last_is_proposed_again(tmp_path: Path) -> None:
    app = first_screen()
    async with app.run_test(size=(80, 24)) as pilot:
        path = write(tmp_path, "p2v.server=a")
        await First(app, pilot).loaded(path)
        await pilot.press("f8")
        await until_shown(pilot, "Where")
        assert field(app).value == str(path)


async def test_nothing_is_loaded_below_a_conversion_that_runs() -> None:
    async with running_screen() as screen:
        first = next(it for it in screen.app.screen_stack if isinstance(it, ConnectionScreen))
        first.action_load()
        await screen.until_shown("Nothing was loaded", "is being converted")
        await asyncio.sleep(0)
