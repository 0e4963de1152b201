"""Passwords are in no process's arguments or environment, in no log and in no file, here or on the server."""

from __future__ import annotations

import base64
import contextlib
import http.server
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.e2e.conftest import at
from tests.e2e.program import PROGRAM, log_directory, spawn_p2v, wait_for_exit
from tests.lab.accounts import Account
from tests.lab.conversion_server import Authentication, ConversionServer, Identity
from tests.lab.stand_in import VIRT_V2V, Behaviour, Pause, StandIn


def processes_that_show(secret: str) -> list[str]:
    """The processes with the secret in their arguments or environment, except this one and its parents."""
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
    assert not {name: oct(mode) for name, mode in modes.items() if mode & 0o077}
    assert modes.keys() >= {
        "dmesg", "environment", "lscpu", "lspci", "lsscsi", "lsusb", "name", "p2v-version", "physical.xml", "time",
        "v2v-version", "virt-v2v-conversion-log.txt", "virt-v2v-wrapper.sh",
    }  # fmt: skip


class _PrivateKey(http.server.BaseHTTPRequestHandler):
    """Serves the key only to those who know the password."""

    key: bytes
    wanted: str

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == self.wanted
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(self.key if allowed else b"")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the tests' output."""


@contextlib.contextmanager
def web_server(key: Identity, password: str) -> Iterator[int]:
    wanted = f"Basic {base64.b64encode(f'me:{password}'.encode()).decode()}"
    handler = type("Handler", (_PrivateKey,), {"key": key.private_key.read_bytes(), "wanted": wanted})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_no_secret_inside_another_setting_shows_anywhere(key: Identity, small_disk: Path, tmp_path: Path) -> None:
    """In a URL, among the options of the output mode, in a command: here, on the server, in ps and on the console."""
    url, oo, command = (f"{name}-{secrets.token_hex(16)}" for name in ("url", "oo", "command"))
    hold = tmp_path / "hold"
    behaviour = Behaviour(pauses=(Pause("Inspecting the source", until=hold),))
    with (
        StandIn(behaviour) as stand_in,
        ConversionServer(authorized=[key.public_key], replace={VIRT_V2V: stand_in.program}) as server,
        web_server(key, url) as web,
    ):
        words = (
            f"p2v.identity=http://me:{url}@127.0.0.1:{web}/id p2v.o=openstack p2v.oo=server-id=x,os-password={oo},"
            f'os-username=me p2v.fail="true --token={command}"'
        )
        # A machine booted by PXE has its kernel command line in the kernel's log.
        Path("/dev/kmsg").write_text(f"Kernel command line: quiet {words}\n")
        config = tmp_path / "p2v.conf"
        config.touch(mode=0o600)
        config.write_text(f"{at(server)} p2v.disks={small_disk}\n{words}\n")
        os.environ["SUDO_COMMAND"] = f"p2v-tui {words}"
        try:
            child = pexpect.spawn(PROGRAM, ["--config", str(config)], encoding="utf-8", timeout=120)
        finally:
            del os.environ["SUDO_COMMAND"]
        directory = log_directory(child)
        child.expect_exact("Inspecting the source")
        converting = stand_in.wait_for("Inspecting the source").pid
        variables = Path(f"/proc/{converting}/environ").read_bytes().split(b"\0")
        shown = [line for secret in (url, command) for line in processes_that_show(secret)]
        # The environment that p2v-tui was started with is its own; nobody it starts has it.
        shown = [line for line in shown if not line.startswith(f"{child.pid} environ")]
        shown += [line for line in processes_that_show(oo) if " cmdline: " in line]
        arguments = Path(f"/proc/{converting}/cmdline").read_bytes().split(b"\0")
        private = [path for path in Path("/tmp").glob("p2v-tui-*") if path.owner() == "root"]
        places = [*private, directory, server.directory]
        held = [path for secret in (url, command) for path in files_that_hold(secret, *places)]
        held += [path for path in files_that_hold(oo, *places) if path != directory / "secrets" / "environment"]
        hold.touch()
        outcome = wait_for_exit(child)
        left = [
            path for secret in (url, oo, command) for path in files_that_hold(secret, directory, server.directory)
        ]
    assert f"OS_PASSWORD={oo}".encode() in variables
    assert {b"server-id=x", b"os-username=me"} <= set(arguments)
    assert any((place / "conversion.json").exists() for place in private) or outcome.code == 0
    assert not shown
    assert not held
    assert not left
    assert not [secret for secret in (url, oo, command) if secret in outcome.output]
