"""The conversion screen's fields for the keys of encrypted volumes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from p2v_tui.config import Settings
from p2v_tui.hwprobe.machine import (
    Content,
    Partition,
)
from p2v_tui.screens.conversion import ConversionScreen
from p2v_tui.screens.dialogs import Dialog
from p2v_tui.screens.key_fields import KeyFields
from p2v_tui.screens.widgets import Line
from tests.lab.encrypted_disk import luks_disk
from tests.screens.conftest import SIZES, screen_text, wait_until
from tests.screens.conversion_screen import (
    ENCRYPTED,
    LOCKED,
    NVME,
    SDC,
    UUID,
    MadeUpState,
    Opened,
    opened,
)
from tests.unit.machines import GIB


def keys_of(settings: Settings) -> dict[str, str]:
    """What is typed, or the URL, for each volume of p2v.key."""
    values = {source.volume: source.passphrase or source.url for source in settings.keys}
    return {volume: value.reveal() for volume, value in values.items() if value}


@dataclasses.dataclass
class KeysOpened:
    """The part of the screen with the keys."""

    it: Opened

    @property
    def part(self) -> KeyFields:
        return self.it.screen.query_one(KeyFields)

    @property
    def labels(self) -> list[str]:
        """Of the fields that are shown, in their order."""
        if not self.part.display:
            return []
        return [row.field.query_one(".label", Line).text.strip() for row in self.part.rows if row.display]

    async def type(self, name: str, text: str) -> None:
        field = self.part.find(name)
        assert field is not None and field.id is not None
        await self.it.type(field.id, text)

    def has_focus(self, name: str) -> bool:
        field = self.part.find(name)
        return field is not None and self.it.focused is field.input


@pytest.mark.parametrize("size", SIZES)
async def test_encrypted_volumes_have_fields_for_their_keys(size: str, snapshot: SnapshotAssertion) -> None:
    words = f"p2v.server=conv.example.com p2v.key={UUID}:https://user:swordfish@keys.example.com/db1"
    async with opened(MadeUpState(ENCRYPTED, words), size) as it:
        keys = KeysOpened(it)
        await keys.type("sdl2", "opensesame")
        assert screen_text(it.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_the_help_of_a_key(size: str, snapshot: SnapshotAssertion) -> None:
    async with opened(MadeUpState(ENCRYPTED), size) as it:
        await KeysOpened(it).type("sdl3", "x")
        await it.pilot.press("f1")
        await wait_until(it.pilot, lambda: isinstance(it.app.screen, Dialog))
        await it.pilot.pause()
        assert screen_text(it.app) == snapshot


async def test_a_machine_without_encrypted_volumes_has_no_field_for_a_key() -> None:
    async with opened() as it:
        assert KeysOpened(it).labels == []
        assert "Keys of" not in screen_text(it.app)


async def test_the_fields_for_keys_follow_the_disks_that_are_checked() -> None:
    async with opened(MadeUpState(ENCRYPTED)) as it:
        keys = KeysOpened(it)
        assert keys.labels == ["BitLocker sdl2:", "LUKS sdl3:"]
        await it.switch("sdl")
        assert keys.labels == []
        await it.press("start")
        assert it.app.started == 1
        assert it.state.plan is not None
        assert it.state.plan.keys == ()


async def test_the_fields_for_keys_come_and_go_with_their_disks_and_what_is_typed_stays() -> None:
    async with opened(MadeUpState(dataclasses.replace(ENCRYPTED, disks=(NVME,)))) as it:
        keys = KeysOpened(it)
        assert keys.labels == []
        it.state.found = ENCRYPTED
        await it.look()
        assert keys.labels == ["BitLocker sdl2:", "LUKS sdl3:"]
        await keys.type("sdl3", "opensesame")
        extra = dataclasses.replace(
            SDC, partitions=(Partition("sdc1", 1, GIB, content=Content("crypto_LUKS", UUID.replace("1", "2"))),)
        )
        it.state.found = dataclasses.replace(ENCRYPTED, disks=(extra, LOCKED, NVME))
        await it.look()
        assert keys.labels == ["LUKS sdc1:", "BitLocker sdl2:", "LUKS sdl3:"]
        assert keys_of(it.screen.settings()) == {"sdl3": "opensesame"}
        it.state.found = dataclasses.replace(ENCRYPTED, disks=(NVME,))
        await it.look()
        assert keys.labels == []


async def test_a_volume_without_a_key_is_refused_at_its_field() -> None:
    async with opened(MadeUpState(ENCRYPTED)) as it:
        keys = KeysOpened(it)
        await it.press("start")
        assert it.status.startswith("BitLocker sdl2 is encrypted, and no key was given for it.")
        assert keys.has_focus("sdl2")
        await keys.type("sdl2", "opensesame")
        await it.press("start")
        assert it.status.startswith("LUKS sdl3 is encrypted")
        assert keys.has_focus("sdl3")
        assert it.app.started == 0


async def test_typed_keys_get_into_the_plan_and_are_never_seen() -> None:
    async with opened(MadeUpState(ENCRYPTED), "132x43") as it:
        keys = KeysOpened(it)
        await keys.type("sdl2", "opensesame")
        await keys.type("sdl3", "swordfish")
        assert "[**********" in screen_text(it.app)
        await it.press("arguments")
        dialog = screen_text(it.app)
        assert "p2v.key=sdl2:... p2v.key=sdl3:..." in dialog
        await it.pilot.press("escape")
        await it.press("start")
        assert it.app.started == 1
        plan = it.state.plan
        assert plan is not None
        assert [(key.id, key.passphrase.reveal()) for key in plan.keys] == [
            ("/dev/sdb2", "opensesame"),
            (UUID, "swordfish"),
        ]
        for said in (dialog, screen_text(it.app), repr(plan), repr(it.state.settings)):
            assert "opensesame" not in said and "swordfish" not in said


async def test_what_is_typed_goes_before_the_url_of_the_command_line() -> None:
    words = f"p2v.key=/dev/sdl2:https://user:swordfish@host/key p2v.key={UUID.upper()}:file:///nowhere"
    async with opened(MadeUpState(ENCRYPTED, words), "132x43") as it:
        keys = KeysOpened(it)
        assert "Left empty: from https://user:***@host/key" in screen_text(it.app)
        assert "Left empty: from file:///nowhere" in screen_text(it.app)
        await keys.type("sdl2", "typed")
        assert keys_of(it.screen.settings()) == {"sdl2": "typed", UUID.upper(): "file:///nowhere"}
        await it.press("start")
        assert it.status.startswith("The key of LUKS sdl3 in /nowhere cannot be read: No such file")
        assert keys.has_focus("sdl3")
        assert it.app.started == 0


async def test_a_key_of_a_volume_that_is_not_seen_is_kept() -> None:
    words = f"p2v.key={UUID}:file:///key"
    async with opened(MadeUpState(words=words)) as it:
        assert keys_of(it.screen.settings()) == {UUID: "file:///key"}


async def test_typed_keys_are_there_again_after_going_back() -> None:
    async with opened(MadeUpState(ENCRYPTED)) as it:
        await KeysOpened(it).type("sdl3", "opensesame")
        await it.pilot.press("escape")
        await wait_until(it.pilot, lambda: it.app.screen is not it.screen)
        await it.app.push_screen(ConversionScreen(it.state, watch=it.app.watch_devices))
        screen = it.app.screen
        assert isinstance(screen, ConversionScreen)
        await wait_until(it.pilot, lambda: not screen.looking)
        field = screen.query_one(KeyFields).find("sdl3")
        assert field is not None
        assert field.value == "opensesame"
        assert "opensesame" not in screen_text(it.app)


async def test_a_wrong_passphrase_of_a_real_volume_is_refused_at_its_field(tmp_path: Path) -> None:
    image = luks_disk(tmp_path / "disk.img", "opensesame")
    async with opened(MadeUpState(image=image)) as it:
        keys = KeysOpened(it)
        assert keys.labels == ["LUKS disk.img2:"]
        await keys.type(f"{image}2", "swordfish")
        await it.press("start")
        assert it.status.startswith(f"The key of LUKS {image}2 does not open it.")
        assert keys.has_focus(f"{image}2")
        assert it.app.started == 0
        await keys.type(f"{image}2", "opensesame")
        await it.press("start")
        assert it.app.started == 1
        assert it.state.plan is not None
        assert [key.unchecked for key in it.state.plan.keys] == [""]
