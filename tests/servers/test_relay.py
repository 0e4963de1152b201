"""The relay on the Pythons of other Debian releases: Debian 11's 3.9 copies the data, newer ones splice it.

No release has the 3.6 of RHEL 8, for which the relay is written: `tests/unit/test_relay_program.py` holds that.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.releases import Release, server_root
from tests.unit.nbd_relay_lab import MIB, RelayClient, RunningRelay, ScriptedServer, ServedConnection


@pytest.mark.parametrize("release", Release, ids=lambda release: release.value)
def test_the_relay_runs_there_and_outlives_a_tunnel(release: Release, tmp_path: Path) -> None:
    image = os.urandom(4 * MIB)
    length = 2 * MIB

    def cut_off(connection: ServedConnection) -> None:
        connection.shake_hands()
        connection.reply(connection.asked(), cut=MIB)
        connection.asked()

    place = tmp_path / "remote"
    place.mkdir(mode=0o700)
    with RunningRelay(place, root=server_root(release)) as relay:
        with ScriptedServer(relay.socket(1), image, cut_off):
            client = RelayClient(relay.port)
            client.shake_hands()
            client.request(0, 1, 100, length)
            relay.wait_for(lambda disk: disk.relayed == MIB)
        with client, ScriptedServer(relay.socket(2), image):
            assert client.reply() == (0, 1)
            assert client.receive(length) == image[100 : 100 + length]
            assert client.read(0, 512) == image[:512]
        assert relay.wait_for_end() == 0
    assert relay.status.reconnects == 1
    assert (relay.status.state, relay.status.distinct) == ("done", 33 * 64 * 1024)
