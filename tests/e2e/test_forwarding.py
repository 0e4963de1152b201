"""Servers whose sshd forwards ports but no Unix sockets, and what other users of the server can read of a disk."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.disturbed import COPYING, PYTHON, REFUSED, SUCCESS, Lab, laboratory, wait_until
from tests.lab.accounts import Account
from tests.lab.conversion_server import Identity
from tests.lab.processes import kill

NO_SOCKETS = ("AllowStreamLocalForwarding no",)


@pytest.fixture
def lab(tmp_path: Path, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path, key, disks=2, sshd_options=NO_SOCKETS) as made:
        yield made


def hears(port: int) -> bytes:
    """All that a stranger receives on that port by speaking NBD."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stranger:
        stranger.sendall(b"\0\0\0\3IHAVEOPT\0\0\0\1\0\0\0\0" * 8)
        said = b""
        try:
            while data := stranger.recv(4096):
                said += data
        except ConnectionResetError:
            pass
        return said


def test_without_unix_sockets_the_disks_come_by_ports_and_lost_tunnels_are_opened_again(lab: Lab) -> None:
    run = lab.start()
    directory = run.wait_for_directory()
    run.expect("forwards no Unix sockets")
    lab.stand_in.wait_for(COPYING)
    kill(run.tunnels())
    wait_until(lambda: len(list(directory.glob("disk*.port"))) == 4)
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def test_a_stranger_on_such_a_port_gets_no_byte_and_disturbs_nobody(lab: Lab) -> None:
    run = lab.start()
    directory = run.wait_for_directory()
    lab.stand_in.wait_for(COPYING)
    files = list(directory.glob("disk*.port"))
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    for file in files:
        assert hears(int(file.read_text().split()[0])) == b""
    outcome = run.end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def test_continuing_works_there_too(lab: Lab) -> None:
    run = lab.start()
    lab.stand_in.wait_for(COPYING)
    run.kill()
    outcome = lab.start().end()
    assert outcome.code == SUCCESS, outcome.output
    assert lab.copied


def ports_that_listen(lab: Lab) -> set[int]:
    """Where sshd listens for tunnels."""
    found = {lab.server.port}
    for process in lab.server.sshd_processes():
        # It may end while it is looked at.
        with contextlib.suppress(psutil.NoSuchProcess):
            listening = [each for each in process.net_connections("tcp4") if each.status == psutil.CONN_LISTEN]
            found |= {each.laddr.port for each in listening}
    return found - {lab.server.port}


# Is told a port, connects, waits until it is told to end, and says what it has heard.
STRANGER = """import socket, sys
stranger = socket.create_connection(("127.0.0.1", int(sys.stdin.readline())))
stranger.sendall(b"\\0" * 100)
sys.stdin.readline()
stranger.setblocking(False)
try:
    print(len(stranger.recv(4096)), "bytes")
except BlockingIOError:
    print("nothing")
"""


def test_without_python_a_stranger_gets_no_byte_either_and_virt_v2v_waits_until_he_has_gone(
    tmp_path: Path, key: Identity
) -> None:
    with laboratory(tmp_path, key, hide=PYTHON) as lab, Account(login_shell="dash") as user, Account() as other:
        stranger = subprocess.Popen(
            ["setpriv", f"--reuid={other.name}", "--clear-groups", "/usr/bin/python3", "-c", STRANGER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert stranger.stdin
        run = lab.start(f"p2v.username={user.name}", "p2v.accept_warnings")
        wait_until(lambda: run.goes_on_printing and ports_that_listen(lab))
        (port,) = ports_that_listen(lab)
        stranger.stdin.write(f"{port}\n")
        stranger.stdin.flush()
        run.expect("Another user of the conversion server")
        assert not lab.in_mid_copy
        said, _ = stranger.communicate("\n")
        assert said == "nothing\n"
        outcome = run.end()
        assert outcome.code == SUCCESS, outcome.output
        assert lab.copied


def test_no_forwarding_at_all_is_refused(tmp_path: Path, key: Identity) -> None:
    with laboratory(tmp_path, key, sshd_options=("DisableForwarding yes",)) as lab:
        outcome = lab.start().end()
        assert outcome.code == REFUSED, outcome.output
        assert "AllowTcpForwarding" in outcome.output
        assert lab.at_rest
