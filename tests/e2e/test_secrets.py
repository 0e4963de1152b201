"""Passwords are in no process's arguments or environment, in no log and in no file, here or on the server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import at
from tests.e2e.program import log_directory, spawn_p2v, wait_for_exit
from tests.lab.accounts import Account
from tests.lab.conversion_server import Authentication, ConversionServer


def processes_that_show(secret: str) -> list[str]:
    """The processes with the secret in their arguments or environment, but for this one and its parents."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                shown = (process / name).read_bytes()
            except OSError:
                continue
            if secret.encode() in shown:
                found.append(f"{process.name} {name}: {shown[:200]!r}")
    return found


def files_that_hold(secret: str, *places: Path) -> list[Path]:
    files = [file for place in places for file in [place, *place.rglob("*")] if file.is_file()]
    return [file for file in files if secret.encode() in file.read_bytes()]


@pytest.fixture
def server() -> Iterator[ConversionServer]:
    with ConversionServer(authentication=Authentication.PASSWORD) as made:
        yield made


def test_the_login_password_shows_nowhere(server: ConversionServer, small_disk: Path) -> None:
    password = f"pw-{secrets.token_hex(16)}"
    # A machine booted by PXE has its kernel command line, and with it the password, in the kernel's log.
    Path("/dev/kmsg").write_text(f"Kernel command line: quiet p2v.password={password}\n")
    with Account(password=password) as user:
        child = spawn_p2v(
            f"{at(server)} p2v.username={user.name} p2v.password={password} p2v.o=null p2v.disks={small_disk}"
        )
        shown: list[str] = []
        for stage in ("Connecting to", "Logged in"):
            child.expect_exact(stage)
            shown += processes_that_show(password)
        directory = log_directory(child)
        child.expect_exact("Opening the data connection")
        shown += processes_that_show(password)
        child.expect_exact("Opening the source")
        shown += processes_that_show(password)
        private = [path for path in Path("/tmp").glob("p2v-tui-*") if path.owner() == "root"]
        held = files_that_hold(password, *private, directory, user.home, server.directory)
        assert "password=***" in (directory / "dmesg").read_text()
        child.sendintr()
        outcome = wait_for_exit(child)
        held += files_that_hold(password, directory, user.home, server.directory)
    assert not shown
    assert not held
    assert password not in outcome.output


def test_the_output_password_is_a_private_file_that_is_gone_at_the_end(
    server: ConversionServer, small_disk: Path
) -> None:
    output_password = f"op-{secrets.token_hex(16)}"
    with Account() as user:
        child = spawn_p2v(
            f"{at(server)} p2v.username={user.name} p2v.password={user.password} p2v.disks={small_disk} "
            f"p2v.o=rhv-upload p2v.oc=https://127.0.0.1:1/ovirt-engine/api p2v.os=storage p2v.op={output_password}"
        )
        directory = log_directory(child)
        outcome = wait_for_exit(child)
        # virt-v2v cannot reach an oVirt there: it fails, and has been told the file.
        assert outcome.code == 5, outcome.output
        assert f"-op {directory}/secrets/output-password" in (directory / "virt-v2v-wrapper.sh").read_text()
        assert not (directory / "secrets").exists()
        assert not files_that_hold(output_password, directory, user.home, server.directory)
    assert output_password not in outcome.output


def test_the_remote_directory_is_private(server: ConversionServer, small_disk: Path) -> None:
    with Account() as user:
        child = spawn_p2v(
            f"{at(server)} p2v.username={user.name} p2v.password={user.password} p2v.o=null p2v.disks={small_disk}"
        )
        directory = log_directory(child)
        child.expect_exact("Opening the source")
        child.sendintr()
        wait_for_exit(child)
        modes = {path.name: path.stat().st_mode & 0o777 for path in [directory, *directory.iterdir()]}
    assert modes.pop(directory.name) == 0o700
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert modes.keys() >= {
        "dmesg", "environment", "lscpu", "lspci", "lsscsi", "lsusb", "name", "p2v-version", "physical.xml", "time",
        "v2v-version", "virt-v2v-conversion-log.txt", "virt-v2v-wrapper.sh",
    }  # fmt: skip
