"""A dry run says what the real run would: the same checks, the same exit code, a verdict, and nothing is changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import with_key, with_password
from tests.e2e.program import Outcome, run_p2v
from tests.lab.accounts import Account
from tests.lab.conversion_server import ConversionServer, Identity
from tests.lab.ports import closed_port
from tests.unit.volumes import run

READY, SETTINGS, CONNECTION, PREFLIGHT = 0, 2, 3, 4


def lines(outcome: Outcome) -> list[str]:
    return outcome.output.splitlines()


def verdict(outcome: Outcome) -> str:
    """The one line of the verdict, without the program's name."""
    words = [line.removeprefix("p2v-tui: ") for line in lines(outcome)]
    (found,) = [line for line in words if line.startswith(("Ready: ", "Warnings: ", "Refused: ", "Not checked: "))]
    return found


def what(disk: Path, place: Path | str, name: str = "dry") -> str:
    return f"{disk} 8.4 MB -> {place} as {name}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    place = tmp_path / "store"
    place.mkdir()
    return place


def test_what_can_start_is_ready_and_the_details_follow(
    key_server: ConversionServer, key: Identity, small_disk: Path, store: Path
) -> None:
    before = set(Path("/tmp").glob("virt-p2v-*"))
    words = f"{with_key(key_server, key)} p2v.name=dry p2v.os={store} p2v.disks={small_disk} p2v.fail=false"
    outcome = run_p2v(words, "--dry-run")
    assert outcome.code == READY, outcome.output
    assert verdict(outcome) == f"Ready: {what(small_disk, store)}"
    details = outcome.output[outcome.output.index("Ready: ") :]
    for part in ("<name>dry</name>", 'protocol="nbd"', "mkdir -m 0700", f"-o local -os {store} --root first"):
        assert part in details
    assert lines(outcome)[-1].endswith("nothing was changed here or on the conversion server.")
    assert set(Path("/tmp").glob("virt-p2v-*")) == before
    assert not list(store.iterdir())


@pytest.mark.parametrize("words", ["p2v.dry_run", "p2v.dry_run=true p2v.post=false p2v.pre=false"])
def test_the_kernel_command_line_can_ask_for_a_dry_run_and_no_command_runs(
    key_server: ConversionServer, key: Identity, small_disk: Path, store: Path, words: str
) -> None:
    outcome = run_p2v(f"{with_key(key_server, key)} p2v.name=dry p2v.os={store} p2v.disks={small_disk} {words}")
    assert outcome.code == READY, outcome.output
    assert verdict(outcome) == f"Ready: {what(small_disk, store)}"
    assert "Running p2v." not in outcome.output


def test_a_dry_run_refuses_what_the_real_run_refuses_with_the_same_code_and_words(
    key_server: ConversionServer, key: Identity, small_disk: Path
) -> None:
    words = f"{with_key(key_server, key)} p2v.name=dry p2v.os=/no/such/dir p2v.disks={small_disk} p2v.fail='exit 9'"
    dry, real = run_p2v(words, "--dry-run"), run_p2v(words)
    assert dry.code == real.code == PREFLIGHT, dry.output
    assert verdict(dry) == f"Refused: {what(small_disk, '/no/such/dir')}, 1 refusal"
    (refusal,) = [line for line in lines(real) if line.startswith("p2v-tui: refused: ")]
    for outcome in (dry, real):
        assert lines(outcome).count(refusal) == 1
        assert outcome.output.count(refusal.rpartition(": ")[2]) == 1
        assert "p2v-tui: The conversion cannot start." in lines(outcome)
    assert "Running p2v.fail" not in dry.output


def test_warnings_must_be_accepted_as_in_the_real_run(
    key_server: ConversionServer, key: Identity, small_disk: Path, store: Path
) -> None:
    (store / "dry-sda").write_text("somebody's guest")
    words = f"{with_key(key_server, key)} p2v.name=dry p2v.os={store} p2v.disks={small_disk}"
    outcome = run_p2v(words, "--dry-run")
    assert outcome.code == PREFLIGHT, outcome.output
    assert verdict(outcome) == f"Warnings: {what(small_disk, store)}, 1 warning to accept"
    assert "p2v.accept_warnings=existing starts despite it" in outcome.output
    assert run_p2v(f"{words} p2v.accept_warnings=clock", "--dry-run").code == PREFLIGHT
    for accepted in ("p2v.accept_warnings=clock,existing", "p2v.accept_warnings"):
        outcome = run_p2v(f"{words} {accepted}", "--dry-run")
        assert outcome.code == READY, outcome.output
        assert verdict(outcome) == f"Ready: {what(small_disk, store)}, 1 warning accepted"


def test_a_disk_and_its_copy_need_consent_in_both_runs(
    key_server: ConversionServer, key: Identity, small_disk: Path, store: Path
) -> None:
    run("mkfs.ext4", "-q", "-F", small_disk)
    copy = small_disk.with_name("copy.img")
    shutil.copyfile(small_disk, copy)
    words = f"{with_key(key_server, key)} p2v.name=dry p2v.os={store} p2v.disks={small_disk},{copy}"
    for options in ((), ("--dry-run",)):
        outcome = run_p2v(words, *options)
        assert outcome.code == PREFLIGHT, outcome.output
        assert f"{small_disk}, {copy} hold the same ext4 " in outcome.output
        assert "p2v.accept_warnings=copies starts despite it" in outcome.output
    assert run_p2v(f"{words} p2v.accept_warnings=copies", "--dry-run").code == READY


def test_every_other_failure_with_a_plan_has_a_verdict_too_and_its_own_code(
    key_server: ConversionServer, key: Identity, small_disk: Path
) -> None:
    with closed_port() as port:
        gone = run_p2v(f"p2v.server=127.0.0.1 p2v.port={port} p2v.reconnect=0 p2v.disks={small_disk}", "--dry-run")
    assert gone.code == CONNECTION, gone.output
    assert verdict(gone).startswith(f"Not checked: {small_disk} 8.4 MB -> /var/tmp as ")
    lacking = run_p2v(f"{with_key(key_server, key)} p2v.o=no-such-mode p2v.disks={small_disk}", "--dry-run")
    assert lacking.code == SETTINGS, lacking.output
    assert verdict(lacking).startswith(f"Refused: {small_disk} 8.4 MB -> no-such-mode as ")
    wrong = run_p2v(f"{with_key(key_server, key)} p2v.disks=nosuchdisk", "--dry-run")
    assert wrong.code == SETTINGS, wrong.output
    assert "Refused: " not in wrong.output


def test_a_missing_permission_to_write_is_reported_before_the_real_run(
    password_server: ConversionServer, account: Account, small_disk: Path
) -> None:
    outcome = run_p2v(f"{with_password(password_server, account)} p2v.os=/etc p2v.disks={small_disk}", "--dry-run")
    assert outcome.code == PREFLIGHT, outcome.output
    assert "Refused: " in outcome.output


def test_one_line_of_settings_serves_a_machine_that_lacks_some_of_what_it_names(
    key_server: ConversionServer, key: Identity, small_disk: Path, store: Path
) -> None:
    words = f"{with_key(key_server, key)} p2v.name=dry p2v.os={store} p2v.disks={small_disk}"
    outcome = run_p2v(f"{words} p2v.removable=sr99 p2v.network=nosuch0:lan,other", "--dry-run")
    assert outcome.code == READY, outcome.output
    assert "This machine has no CD, DVD or floppy drive sr99" in outcome.output
    assert "p2v.network connects nosuch0, which this machine does not have" in outcome.output
    alone = f"{words} p2v.interfaces=nosuch0"
    outcome = run_p2v(alone, "--dry-run")
    assert outcome.code == PREFLIGHT, outcome.output
    assert "no network interface nosuch0" in outcome.output
    assert "p2v.accept_warnings=interfaces starts despite it" in outcome.output
    assert run_p2v(f"{alone} p2v.accept_warnings=interfaces", "--dry-run").code == READY
