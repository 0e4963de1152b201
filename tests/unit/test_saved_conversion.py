"""The record of a conversion that runs: what it holds, what it never holds, and who goes on with it."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from p2v_tui.config import SETTINGS, Settings
from p2v_tui.kinds import KeySource, Secret
from p2v_tui.session.conversion.machine_record import RecordedDisk
from p2v_tui.session.conversion.saved_conversion import SavedConversion, find_saved, read
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh import workspace
from p2v_tui.session.ssh.workspace import Workspace
from tests.unit.setting_values import all_settings

# They write files.
half_as_often = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=hypothesis_settings().max_examples // 2
)
SAVED = SavedConversion(
    settings=Settings(server="conv.example.com", port=2022, username="conv", disks=("sda", "sdb"), guestname="db1"),
    image=None,
    directory=RemoteDirectory("/tmp/virt-p2v-20260309-abcdefgh"),
    disks=(RecordedDisk("sda", 512 << 20, "S3R1AL", "device 1"), RecordedDisk("sdb", 1 << 40, None, "")),
    relayed=True,
    started=datetime.datetime(2026, 3, 9, 2, 13, 7),
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(workspace, "PARENT", tmp_path)
    monkeypatch.setattr(workspace, "LOOK_SECONDS", 0.02)
    return tmp_path


def left_behind(saved: SavedConversion | None) -> Path:
    """The directory of a process that has ended and left the conversion running."""
    made = Workspace()
    if saved is not None:
        saved.write(made)
    # As when its process is killed.
    assert made._lock is not None
    os.close(made._lock)
    return made.path


def test_what_is_written_is_read_again() -> None:
    with Workspace() as made:
        SAVED.write(made)
        assert read(made) == SAVED


@half_as_often
@given(all_settings())
def test_any_settings_are_read_again_but_for_their_secrets(settings: Settings) -> None:
    open_ones = {each.attribute: each.default for each in SETTINGS if each.kind.secret or not each.kind.kept}
    with Workspace() as made:
        dataclasses.replace(SAVED, settings=settings).write(made)
        saved = read(made)
    assert saved is not None
    assert saved.settings == dataclasses.replace(settings, **open_ones)


def test_no_secret_is_in_it() -> None:
    secret = Secret("Tr0ub4dor&3")
    settings = dataclasses.replace(
        SAVED.settings, password=secret, output_password=secret, keys=(KeySource("sda2", passphrase=secret),)
    )
    with Workspace() as made:
        dataclasses.replace(SAVED, settings=settings).write(made)
        assert secret.reveal() not in made.conversion.read_text()
        assert made.conversion.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"version": 99}', '{"version": 1}', '{"version": 1, "disks": 3}']
)
def test_a_record_that_cannot_be_understood_is_none(text: str) -> None:
    with Workspace() as made:
        assert read(made) is None
        made.conversion.write_text(text)
        assert read(made) is None


@half_as_often
@given(st.sampled_from(["settings", "image", "directory", "disks", "started"]), st.none() | st.integers() | st.text())
def test_a_damaged_record_never_raises(field: str, value: object) -> None:
    with Workspace() as made:
        SAVED.write(made)
        record = json.loads(made.conversion.read_text())
        made.conversion.write_text(json.dumps(record | {field: value}))
        read(made)


def test_the_newest_one_that_is_wanted_is_found_and_the_others_stay() -> None:
    older = left_behind(SAVED)
    newer = left_behind(dataclasses.replace(SAVED, started=SAVED.started + datetime.timedelta(hours=1)))
    other = left_behind(dataclasses.replace(SAVED, settings=Settings(server="other.example.com")))
    found = find_saved(lambda saved: saved.settings.server == "conv.example.com")
    assert found is not None
    assert found[0].path == newer
    found[0].close()
    assert older.exists()
    assert other.exists()


def test_one_that_runs_in_another_process_is_not_found() -> None:
    with Workspace() as made:
        SAVED.write(made)
        assert find_saved() is None
        assert made.path.exists()


def test_what_was_left_before_there_was_a_conversion_is_removed() -> None:
    path = left_behind(None)
    assert find_saved() is None
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "disks", "same"),
    [
        ({}, ("sda", "sdb"), True),
        ({"guestname": "another", "output_storage": "/srv"}, ("sda", "sdb"), True),
        ({}, ("sdb", "sda"), False),
        ({}, ("sda",), False),
        ({"server": "other.example.com"}, ("sda", "sdb"), False),
        ({"port": 22}, ("sda", "sdb"), False),
        ({"username": "root"}, ("sda", "sdb"), False),
    ],
)
def test_the_same_job_is_the_same_disks_to_the_same_account(
    change: dict[str, str], disks: tuple[str, ...], *, same: bool
) -> None:
    wanted = dataclasses.replace(SAVED.settings, **change)  # type: ignore[arg-type]
    assert SAVED.same_job(wanted, disks) is same


def test_a_p2v_tui_that_continues_logs_in_with_its_own_secrets() -> None:
    now = Settings(server="conv.example.com", password=Secret("new"), identity_url=None)
    assert SAVED.with_secrets_of(now).settings == dataclasses.replace(SAVED.settings, password=Secret("new"))
