"""Success is proved: a virt-v2v that ends with 0 and has not converted everything is a failure."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed import COMMAND, FAILED, REFUSED, SUCCESS, WRONG_SETTINGS, Lab, laboratory
from tests.e2e.program import PROGRAM, run_p2v
from tests.lab.conversion_server import Identity
from tests.lab.stand_in import Behaviour


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("success"), key, disks=2) as made:
        yield made


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            Behaviour(writes=True, most_disks=1),
            ("it copied 1 of 2 disks", "it never read", "disk1.img;", "was ignored"),
        ),
        (Behaviour(writes=True, loses=("guest-sdb",)), ("/guest-sdb is missing", "/guest-sda")),
        (Behaviour(writes=True, loses=("guest.xml",)), ("/guest.xml is missing",)),
        (Behaviour(), ("/guest-sda is missing", "/guest-sdb is missing")),
    ],
    ids=["one-disk-of-two", "a-disk-lost", "the-description-lost", "nothing-written"],
)
def test_exit_code_0_without_a_complete_guest_is_a_failure(
    lab: Lab, tmp_path: Path, behaviour: Behaviour, words: tuple[str, ...]
) -> None:
    for old in lab.out.iterdir():
        old.unlink()
    lab.stand_in.behave(behaviour)
    outcome = run_p2v(f'p2v.post="touch {tmp_path}/post" p2v.fail="touch {tmp_path}/fail" {lab.settings}')
    assert outcome.code == FAILED, outcome.output
    assert "the guest is not complete" in outcome.output
    assert [word for word in words if word not in outcome.output] == [], outcome.output[-1500:]
    assert "successfully" not in outcome.output
    assert [file.name for file in tmp_path.iterdir()] == ["fail"]
    assert lab.at_rest


@pytest.mark.parametrize("name", ["Büro PC (2. Stock)", "Datenbank  1", "サーバー-3", "R&D @home #4"])
def test_the_guest_is_called_like_its_machine(lab: Lab, name: str) -> None:
    lab.stand_in.behave(Behaviour(writes=True))
    command = f'p2v.name="{name}" {lab.settings}'
    outcome = run_p2v(command)
    assert outcome.code == SUCCESS, outcome.output
    for letter, disk in zip("ab", lab.disks, strict=True):
        assert (lab.out / f"{name}-sd{letter}").read_bytes() == disk.read_bytes()
    # The second time it is there already, which the server has to find by the same name.
    again = run_p2v(command)
    assert again.code == REFUSED, again.output
    assert f"{name}-sda" in again.output


def test_what_virt_v2v_left_out_is_reported_at_the_end(lab: Lab) -> None:
    for old in lab.out.iterdir():
        old.unlink()
    lost = "this guest has a direct network interface which will be ignored"
    lab.stand_in.behave(Behaviour(writes=True, warnings=("it is late", lost)))
    outcome = run_p2v(lab.settings)
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied
    end = outcome.output[outcome.output.index("Conversion finished successfully") :]
    assert f"The guest lacks something; virt-v2v warned: {lost}" in end
    assert "virt-v2v gave 1 more warning" in end


def test_asking_for_the_list_of_options_starts_nothing(lab: Lab) -> None:
    lab.stand_in.forget()
    outcome = run_p2v(f"p2v.oo=? {lab.settings}")
    assert outcome.code == WRONG_SETTINGS, outcome.output
    assert "nothing would be converted" in outcome.output
    assert lab.stand_in.events() == []


@pytest.mark.parametrize("name", ["my guest", "M\u00fcller 2.0", "\u041c\u043e\u0439 \u0433\u043e\u0441\u0442\u044c"])
def test_files_are_named_after_a_guest_with_spaces_and_letters_of_any_script(lab: Lab, name: str) -> None:
    for old in lab.out.iterdir():
        old.unlink()
    lab.stand_in.behave(Behaviour(writes=True))
    outcome = run_p2v(f'p2v.name="{name}" {lab.settings}', environment={**os.environ, "LC_ALL": "C"})
    assert outcome.code == SUCCESS, outcome.output
    assert f"the disks {lab.out}/{name}-sd* and the description {lab.out}/{name}.xml" in outcome.output
    assert {file.name for file in lab.out.iterdir()} == {f"{name}-sda", f"{name}-sdb", f"{name}.xml"}


@pytest.mark.parametrize(("command", "code", "last"), [("true", SUCCESS, "converted"), ("exit 3", COMMAND, "failed")])
def test_another_program_reads_the_conversion_from_json_lines(lab: Lab, command: str, code: int, last: str) -> None:
    for old in lab.out.iterdir():
        old.unlink()
    lab.stand_in.behave(Behaviour(writes=True))
    settings = f'p2v.post="echo not JSON; {command}" {lab.settings}'
    done = subprocess.run(
        [PROGRAM, "--json", f"--cmdline={settings}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "not JSON" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    events = [line["event"] for line in lines]
    assert {"status", "stage-started", "log-directory", "phase-started", "remote-output", "converted"} <= set(events)
    told = [line for line in lines if line["event"] in ("converted", "failed")]
    assert told[-1]["event"] == last
    assert told[0]["where"].startswith(f"the disks {lab.out}/")


def test_wrong_settings_are_an_object_too() -> None:
    done = subprocess.run(
        [PROGRAM, "--json", "--cmdline=p2v.server=127.0.0.1 p2v.port=0"], capture_output=True, text=True, check=False
    )
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (line["event"], line["exit_code"], line["setting"]) == ("failed", WRONG_SETTINGS, "p2v.remote.port")
    assert done.returncode == WRONG_SETTINGS


def test_json_is_not_for_the_screens() -> None:
    outcome = run_p2v("", "--json")
    assert outcome.code == WRONG_SETTINGS
    assert "--json is for a conversion without questions" in outcome.output
