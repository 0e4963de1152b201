"""Success is proved: a virt-v2v that ends with 0 and has not converted everything is a failure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed import FAILED, REFUSED, SUCCESS, WRONG_SETTINGS, Lab, laboratory
from tests.e2e.program import run_p2v
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
