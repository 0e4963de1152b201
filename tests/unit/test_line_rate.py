"""How fast the server reads through a tunnel, from what a read of the scratch disk says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

import pytest

from p2v_tui.session.data import line_rate
from p2v_tui.session.data.path import DataPath
from p2v_tui.session.data.relay.states import DiskState
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.remote.result import Result
from p2v_tui.session.ssh.shell import RemoteShell

MB = 1_000_000
SIZE = 32 * MB


@dataclass
class Server:
    """Answers the read after `seconds`. relayed: bytes by the relay's own count."""

    status: int
    seconds: float = 2.0
    relayed: int = 0
    now: float = 100.0

    def run(self, command: str) -> Result:
        assert "nbd://localhost:10809 " in command
        self.now += self.seconds
        disk = {
            "port": 10809,
            "state": next(iter(DiskState)).value,
            "size": SIZE,
            "reason": "",
            "relayed": self.relayed,
            "generation": 1,
            "silent": 0,
            "distinct": 0,
            "stalled": 0,
            "cause": "",
            "failures": 0,
            "failure": None,
        }
        return Result(self.status, json.dumps({"disks": [disk]}).encode())


@dataclass
class Data:
    relayed: bool
    ports: tuple[int, ...] = (10809,)


def rate(server: Server, *, relayed: bool = True) -> float | None:
    directory = RemoteDirectory("/tmp/virt-p2v-20261126-abcdefgh")
    return line_rate.measure(
        cast(DataPath, Data(relayed)), SIZE, directory, cast(RemoteShell, server), clock=lambda: server.now
    )


def test_a_disk_that_was_read_whole_tells_by_its_size() -> None:
    assert rate(Server(0, seconds=2.0)) == 16 * MB


def test_a_slow_line_is_measured_by_what_the_relay_passed_on() -> None:
    assert rate(Server(remote_commands.CUT_OFF, relayed=3 * MB)) == MB


@pytest.mark.parametrize(
    ("server", "relayed"),
    [(Server(127), True), (Server(remote_commands.CUT_OFF, relayed=10), True), (Server(0), False)],
    ids=["no nbdcopy", "nothing came", "no relay"],
)
def test_what_could_not_be_measured_is_not_guessed(server: Server, relayed: bool) -> None:
    assert rate(server, relayed=relayed) is None
