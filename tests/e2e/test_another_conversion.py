"""A conversion that was left running and is not the one that is asked for."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

from p2v_tui.config import Settings
from p2v_tui.session.conversion.machine_record import RecordedDisk
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.workspace import Workspace
from tests.e2e.program import run_p2v
from tests.lab.ports import closed_port

NO_CONNECTION = 3


def test_unattended_it_is_reported_and_not_touched(small_disk: Path) -> None:
    workspace = Workspace()
    started = datetime.datetime(2026, 11, 23, 2, 13, 5)
    directory = RemoteDirectory("/tmp/virt-p2v-20261123-abcdefgh")
    other = Settings(server="other.example.com", disks=("sda",))
    SavedConversion(other, None, directory, (RecordedDisk("sda", 1 << 30, None, ""),), True, started).write(workspace)
    record = workspace.conversion.read_bytes()
    workspace.close()
    try:
        with closed_port() as port:
            outcome = run_p2v(
                f"p2v.server=127.0.0.1 p2v.port={port} p2v.password=x p2v.reconnect=0 p2v.disks={small_disk}"
            )
        assert outcome.code == NO_CONNECTION, outcome.output
        told = "Left alone: another conversion of sda to other.example.com, started 2026-11-23 02:13."
        assert told in outcome.output
        assert workspace.conversion.read_bytes() == record
    finally:
        shutil.rmtree(workspace.path, ignore_errors=True)
