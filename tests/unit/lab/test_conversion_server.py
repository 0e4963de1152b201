"""The conversion server of the laboratory lets in whom it should, and nothing of it stays behind."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.lab.accounts import Account
from tests.lab.commands import LabFailure, run_command
from tests.lab.conversion_server import Authentication, ConversionServer, Identity, identity
from tests.lab.ports import closed_port, silent_port

pytestmark = pytest.mark.integration

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="accounts and mount namespaces need root")

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def key(tmp_path: Path) -> Identity:
    return identity(tmp_path)


@pytest.fixture
def server(key: Identity) -> Iterator[ConversionServer]:
    with ConversionServer(authorized=[key.public_key]) as running:
        yield running


def ssh(server: ConversionServer, key: Identity, command: str, *, user: str = ME) -> str:
    """Run one command on the server, with no other key or setting than those given."""
    known_hosts = key.private_key.with_name("known_hosts")
    known_hosts.write_text(server.known_hosts_line())
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        f"UserKnownHostsFile={known_hosts}",
    ]
    arguments = ["ssh", "-F", "none", "-p", str(server.port), "-i", str(key.private_key)]
    for option in options:
        arguments += ["-o", option]
    return run_command([*arguments, f"{user}@{server.host}", command], timeout=60)


def test_an_authorized_key_gets_in_and_finds_what_libguestfs_needs(server: ConversionServer, key: Identity) -> None:
    assert ssh(server, key, "printenv LIBGUESTFS_BACKEND") == "direct\n"


def test_another_key_stays_outside(server: ConversionServer, tmp_path: Path) -> None:
    with pytest.raises(LabFailure, match="Permission denied"):
        ssh(server, identity(tmp_path, name="stranger"), "true")


def test_the_fingerprint_is_that_of_the_key_the_server_shows(server: ConversionServer) -> None:
    shown = run_command(["ssh-keyscan", "-p", str(server.port), "-t", "ed25519", server.host], timeout=30)
    assert server.host_key_path.read_text().split()[1] in shown
    assert server.fingerprint.startswith("SHA256:")


def test_a_session_that_detached_itself_ends_with_the_server(key: Identity) -> None:
    with ConversionServer(authorized=[key.public_key]) as server:
        pid = int(ssh(server, key, "setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!"))
        detached = psutil.Process(pid)
        assert detached in server.session_processes()
    assert not detached.is_running() or detached.status() == psutil.STATUS_ZOMBIE
    assert not server.directory.exists()


def test_a_stopped_server_comes_back_on_its_port(server: ConversionServer, key: Identity) -> None:
    port = server.port
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, port), timeout=30)
    server.start()
    assert server.port == port
    assert ssh(server, key, "echo back") == "back\n"


def test_sshd_alone_can_be_started_again_and_what_detached_itself_goes_on(key: Identity) -> None:
    with ConversionServer(authorized=[key.public_key]) as server:
        detached = psutil.Process(int(ssh(server, key, "setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!")))
        fingerprint = server.fingerprint
        server.stop_sshd()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), timeout=30)
        server.change_host_key()
        server.start()
        assert server.fingerprint != fingerprint
        assert ssh(server, key, "echo back") == "back\n"
        assert detached in server.session_processes()
    assert not detached.is_running() or detached.status() == psutil.STATUS_ZOMBIE


@needs_root
def test_a_reboot_ends_everything_and_is_another_boot(key: Identity) -> None:
    with ConversionServer(authorized=[key.public_key], tmp_size=1 << 20) as server:
        look = "touch /tmp/here; ls /tmp; cat /proc/sys/kernel/random/boot_id"
        pid = int(ssh(server, key, f"setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!; {look}").split()[0])
        before = ssh(server, key, look)
        server.reboot()
        assert pid not in {process.pid for process in server.session_processes()}
        after = ssh(server, key, f"ls /tmp; {look}")
        assert before.split()[0] == after.split()[0] == "here"
        assert len(after.split()) == 2
        assert before.split()[1] != after.split()[1]


def test_a_silent_port_accepts_and_says_nothing() -> None:
    with silent_port() as port, socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_a_closed_port_refuses() -> None:
    with closed_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=30)


@needs_root
def test_the_server_can_have_a_small_tmp_and_no_virt_v2v(key: Identity) -> None:
    hidden = "/usr/bin/ssh-keygen"
    with ConversionServer(authorized=[key.public_key], tmp_size=1 << 20, hide=[hidden]) as server:
        assert ssh(server, key, "df --output=size /tmp").split()[-1] == "1024"
        with pytest.raises(LabFailure):
            ssh(server, key, "command -v ssh-keygen")
    assert Path(hidden).exists()


@needs_root
def test_an_account_logs_in_with_its_shell_and_is_gone_afterwards(key: Identity) -> None:
    with ConversionServer(authorized=[key.public_key]) as server:
        with Account(login_shell="dash", files={".profile": "", "notes/one": "1\n"}) as account:
            assert ssh(server, key, "echo $0; cat notes/one", user=account.name) == "dash\n1\n"
            pid = int(ssh(server, key, "setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!", user=account.name))
        assert pid not in {process.pid for process in server.session_processes()}
    assert not account.home.exists()
    with pytest.raises(KeyError):
        pwd.getpwnam(account.name)


@needs_root
def test_sudo_works_for_what_was_allowed_and_not_for_the_rest(key: Identity) -> None:
    with (
        ConversionServer(authorized=[key.public_key]) as server,
        Account(sudo=["/usr/bin/printenv"]) as account,
    ):
        allowed = ssh(server, key, "sudo -n /usr/bin/printenv LIBGUESTFS_BACKEND", user=account.name)
        # Where the machine's own name does not resolve, sudo says so first.
        assert allowed.splitlines()[-1] == "direct"
        with pytest.raises(LabFailure, match="password is required"):
            ssh(server, key, "sudo -n /usr/bin/id", user=account.name)


@needs_root
def test_an_account_left_behind_under_the_same_name_is_replaced() -> None:
    killed = Account()
    killed.__enter__()
    with Account(name=killed.name) as account:
        assert account.home.exists()
    assert not account.home.exists()


@needs_root
def test_an_account_that_is_not_the_laboratorys_is_left_alone() -> None:
    before = pwd.getpwnam("nobody")
    with pytest.raises(LabFailure, match="left alone"), Account(name="nobody"):
        pass
    assert pwd.getpwnam("nobody") == before


@needs_root
@pytest.mark.parametrize(
    ("authentication", "method"),
    [(Authentication.PASSWORD, "password"), (Authentication.KEYBOARD_INTERACTIVE, "keyboard-interactive")],
)
def test_the_server_offers_the_login_that_was_asked_for(
    authentication: Authentication, method: str, tmp_path: Path
) -> None:
    with ConversionServer(authentication=authentication) as server, pytest.raises(LabFailure) as refused:
        ssh(server, identity(tmp_path), "true")
    assert f"(publickey,{method})" in str(refused.value)
