"""An encrypted guest: its key reaches the real virt-v2v, which opens the volume with it, and is left nowhere."""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import with_key
from tests.e2e.program import log_directory, run_p2v, spawn_p2v, wait_for_exit
from tests.e2e.test_secrets import files_that_hold, processes_that_show
from tests.lab.conversion_server import ConversionServer, Identity
from tests.lab.encrypted_disk import luks_disk
from tests.lab.waiting import happens

# p2v-tui tries the keys on loop devices.
pytestmark = pytest.mark.xdist_group("devices")

UUID = "1b6e1c0e-0d5f-4b5d-9b0a-0c5d5a0f3a11"


@pytest.fixture
def passphrase() -> str:
    return f"key-{secrets.token_hex(16)}"


@pytest.fixture
def disk(tmp_path: Path, passphrase: str) -> Path:
    """A disk with a LUKS volume and no system on it."""
    return luks_disk(tmp_path / "disk.img", passphrase, uuid=UUID)


def key_url(directory: Path, passphrase: str) -> str:
    path = directory / "the.key"
    path.touch(0o600)
    path.write_text(f"{passphrase}\n")
    return path.as_uri()


def test_virt_v2v_opens_the_volume_by_a_key_that_shows_nowhere_and_is_gone_at_the_end(
    key_server: ConversionServer, key: Identity, disk: Path, tmp_path: Path, passphrase: str
) -> None:
    url = key_url(tmp_path, passphrase)
    child = spawn_p2v(
        f"{with_key(key_server, key)} p2v.o=null p2v.disks={disk} p2v.key={UUID.upper()}:{url} p2v.debug"
    )
    child.expect_exact(f"Trying the key of LUKS {disk}2")
    shown = processes_that_show(passphrase)
    directory = log_directory(child)
    child.expect_exact("Opening the source")
    shown += processes_that_show(passphrase)
    files = {path.name: path.stat().st_mode & 0o777 for path in (directory / "secrets").iterdir()}
    outcome = wait_for_exit(child)
    log = (directory / "virt-v2v-conversion-log.txt").read_text()
    # There is no system on the disk: virt-v2v finds that out after it has opened the volume.
    assert outcome.code == 5, outcome.output
    assert 'cryptsetup_open "/dev/sda2" "***"' in log
    assert "cryptsetup_open = 0" in log
    assert files == {"key-0": 0o600}
    assert not shown
    assert not (directory / "secrets").exists()
    assert not files_that_hold(passphrase, directory, key_server.directory)
    assert passphrase not in outcome.output


def test_a_key_that_does_not_open_its_volume_ends_it_before_virt_v2v_is_started(
    key_server: ConversionServer, key: Identity, disk: Path, tmp_path: Path
) -> None:
    url = key_url(tmp_path, "swordfish")
    outcome = run_p2v(f"{with_key(key_server, key)} p2v.o=null p2v.disks={disk} p2v.key={disk}2:{url}")
    assert outcome.code == 2
    assert f"The key of LUKS {disk}2 does not open it." in outcome.output
    assert "Log files are" not in outcome.output
    assert "swordfish" not in outcome.output


def test_a_volume_without_a_key_is_refused(key_server: ConversionServer, key: Identity, disk: Path) -> None:
    outcome = run_p2v(f"{with_key(key_server, key)} p2v.o=null p2v.disks={disk}")
    assert outcome.code == 4
    assert f"No key was given for {disk}2" in outcome.output
    assert f"p2v.key={UUID}:URL" in outcome.output


def test_the_key_is_gone_when_virt_v2v_ends_though_p2v_tui_was_killed(
    key_server: ConversionServer, key: Identity, disk: Path, tmp_path: Path, passphrase: str
) -> None:
    words = (
        f"{with_key(key_server, key)} p2v.o=null p2v.disks={disk} p2v.key={UUID}:{key_url(tmp_path, passphrase)} "
        "p2v.reconnect=5"
    )
    child = spawn_p2v(words)
    directory = log_directory(child)
    child.expect_exact("Opening the source")
    held = (directory / "secrets/key-0").read_text()
    child.kill(signal.SIGKILL)
    wait_for_exit(child)
    assert happens((directory / "status").exists, 120)
    assert held == passphrase
    assert (directory / "status").read_text() == "1\n"
    assert not (directory / "secrets").exists()
    # Started again, it tells how that ended, and tidies up here.
    outcome = run_p2v(words)
    assert outcome.code == 5
    assert "Continuing the conversion" in outcome.output
