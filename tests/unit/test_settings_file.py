"""The file that the operator's choices are saved in, and what is made of it when it is loaded."""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given

from p2v_tui import cmdline
from p2v_tui.cmdline import write_settings
from p2v_tui.config import Settings
from p2v_tui.config_file import parse_all, read_words
from p2v_tui.errors import SettingsError
from p2v_tui.front.kept_file import Kept
from p2v_tui.front.last_places import Kind, Place
from p2v_tui.front.settings_file import Loaded, lacking, read_settings, settings_file
from p2v_tui.kinds import KeySource, Secret
from tests.unit.machines import SERVER
from tests.unit.setting_values import all_settings

NOW = datetime.datetime(2026, 11, 26, 13, 5, tzinfo=datetime.UTC)
PROGRAM = str(Path(sys.executable).with_name("p2v-tui"))


def parse(words: str) -> Settings:
    return cmdline.parse(words).settings


def content(settings: Settings) -> bytes:
    return settings_file(write_settings(settings), "web", SERVER, ("sda", "mpatha"), NOW).content


def load(text: str | bytes, before: Settings | None = None, mode: int = 0o600) -> Loaded:
    raw = text if isinstance(text, bytes) else text.encode()
    kept = Kept(raw, "a.conf", Place(Kind.HERE, "/a.conf"), mode)
    return read_settings(kept, before or Settings(), SERVER)


def test_a_file_says_of_which_machine_version_and_date_it_is_and_what_is_not_in_it() -> None:
    settings = parse("p2v.server=conv.example.com p2v.password=swordfish p2v.os=/srv/guests p2v.oc='a b'")
    file = settings_file(write_settings(settings), "web", SERVER, ("sda", "mpatha"), NOW)
    assert file.name == "p2v-tui-web.conf"
    lines = file.content.decode().splitlines()
    assert lines[0].startswith("# Settings of p2v-tui 0.1.0 for the machine db1 (")
    assert lines[0].endswith("2026-11-26 13:05 +0000")
    assert [line for line in lines if line.startswith("# Disk: ")] == [
        "# Disk: sda  500 GB  ST500  SATA",
        "# Disk: mpatha  100 GB",
    ]
    assert "# Secrets are not in here. To give again: p2v.password=..." in lines
    assert "p2v.os=/srv/guests" in lines
    assert b"swordfish" not in file.content


@given(all_settings())
def test_what_is_saved_is_loaded_the_same_but_for_secrets(settings: Settings) -> None:
    words = write_settings(settings).words
    if words:
        assert write_settings(parse_all(content(settings), "a.conf")).words == words


def test_config_reads_the_same_file(tmp_path: Path) -> None:
    settings = parse('p2v.server=conv.example.com "p2v.os=/srv/the guests" p2v.accept_warnings=space')
    path = tmp_path / "a.conf"
    path.write_bytes(content(settings))
    path.chmod(0o600)
    assert cmdline.parse_words(read_words(str(path))).settings == settings


def test_everything_that_is_wrong_is_told_with_file_line_reason_and_what_is_valid() -> None:
    with pytest.raises(SettingsError) as caught:
        load('# x\np2v.port=99999\n\np2v.nmae=x quiet\np2v.os="/open\n')
    first, second, third, fourth = caught.value.message.splitlines()
    assert first.startswith("a.conf, line 2: p2v.port='99999' is above the limit. Use a whole number from 1 to")
    assert second.startswith("a.conf, line 4: p2v.nmae is not a setting of p2v-tui; did you mean p2v.name?")
    assert third == "a.conf, line 4: quiet is not a setting. Write p2v.server=HOST and the like, one on each line."
    assert fourth.startswith('a.conf, line 5: p2v.os: the closing double quote (") is missing')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"There are no settings in a\.conf"),
        ("# p2v.server=x\n", r"There are no settings in a\.conf"),
        ("p2v.name=a\np2v.guestname=b", r"a\.conf, line 2: p2v\.guestname: p2v\.guestname is given more than once"),
        ("\n".join(f"x{number}" for number in range(20)), "\n12 more"),
    ],
)
def test_a_file_that_says_nothing_or_too_much_is_wrong(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load(text)


def test_of_a_file_that_was_named_by_mistake_nothing_secret_is_shown() -> None:
    for text in ("root:$6$salt$hash:19000:0", "password=swordfish", "-----BEGIN KEY-----\nAAAAB3NzaC1yc2E+/=="):
        with pytest.raises(SettingsError) as caught:
            load(text)
        for secret in ("hash", "swordfish", "AAAAB3"):
            assert secret not in str(caught.value)


def test_what_others_can_read_may_hold_no_secret() -> None:
    with pytest.raises(SettingsError, match=r"can be read by other users \(mode 0644\)") as caught:
        load("p2v.password=swordfish", mode=0o100644)
    assert "chmod 600 a.conf" in caught.value.advice
    assert load("p2v.password=swordfish", mode=0o100600).settings.password == Secret("swordfish")
    assert load("p2v.server=a", mode=0o100644).settings.server == "a"


def test_what_the_file_does_not_say_is_at_its_default() -> None:
    before = parse("p2v.server=old p2v.port=2222 p2v.os=/data p2v.name=old")
    assert load("p2v.server=new", before).settings == Settings(server="new")


def test_what_was_asked_of_this_start_stays() -> None:
    before = parse("p2v.interactive p2v.ssh_key=key p2v.server=old")
    loaded = load("p2v.server=new p2v.dump_config_and_exit p2v.shell", before).settings
    assert loaded == dataclasses.replace(before, server="new")


def test_a_secret_that_was_typed_stays_only_where_it_still_fits() -> None:
    key = KeySource("sda2", passphrase=Secret("k"))
    before = dataclasses.replace(
        parse("p2v.server=conv p2v.username=me p2v.password=x p2v.o=rhv-upload p2v.oc=https://a p2v.op=y"),
        keys=(key,),
    )
    same = load("p2v.server=conv p2v.username=me p2v.o=rhv-upload p2v.oc=https://a", before).settings
    assert (same.password, same.output_password, same.keys) == (Secret("x"), Secret("y"), (key,))
    for words in ("p2v.server=other p2v.username=me p2v.o=rhv-upload p2v.oc=https://b", "p2v.server=conv"):
        other = load(words, before).settings
        assert (other.password, other.output_password) == (None, None)


def test_the_secrets_to_give_again_are_told() -> None:
    saved = content(parse("p2v.server=conv p2v.password=swordfish p2v.key=sda2:https://host/key"))
    (note,) = load(saved).notes
    assert note == "Not in it, as it is secret: p2v.password=... p2v.key=sda2:..."


def test_what_this_machine_lacks_is_a_warning() -> None:
    notes = load("p2v.disks=sda,sdq p2v.interfaces=em9 p2v.network=em8:lan p2v.removable=sr9").notes
    assert all(note.startswith("Warning: ") for note in notes)
    for words in ("sdq was not found", "em9", "em8", "sr9"):
        assert any(words in note for note in notes), words
    assert not any("sda was" in note for note in notes)
    assert lacking(parse("p2v.disks=sda,mpatha"), SERVER) == ()


def test_an_error_in_the_file_of_config_names_its_line_and_an_unknown_word_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "p2v.conf"
    path.write_text("quiet p2v.nmae=x\np2v.port=nine\n")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=r"p2v\.conf, line 2: p2v\.port='nine' is not a whole number"):
        cmdline.parse_words(read_words(str(path)))
    path.write_text("quiet p2v.nmae=x\np2v.port=9\n")
    command = [PROGRAM, "--config", str(path), "--cmdline=p2v.dump_config_and_exit"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert (
        f"{path}, line 1: p2v.nmae is not a setting of p2v-tui and is ignored; did you mean p2v.name?" in done.stderr
    )
