"""Measures how fast the conversion server reads through a tunnel: what a copy over this line can take at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from p2v_tui.session.data import relay_status
from p2v_tui.session.data.path import DataPath
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.shell import RemoteShell

# A fast line carries the scratch disk in less, a slow one only a part of it.
LONGEST: Final = 3
# Less takes no longer than what is around it.
_LEAST_BYTES: Final = 1 << 16


def measure(
    data: DataPath,
    size: int,
    directory: RemoteDirectory,
    shell: RemoteShell,
    clock: Callable[[], float] = time.monotonic,
) -> float | None:
    """Bytes a second; None where the server has no relay or no nbdcopy. size: of the only disk, bytes.

    Takes LONGEST seconds, and a second more where that is not enough for the whole disk. clock: seconds, monotonic.
    """
    if not data.relayed:
        return None
    began = clock()
    said = shell.run(remote_commands.read_disk(directory, data.ports[0], LONGEST))
    if said.status == 0:
        return size / max(clock() - began, 0.001)
    status = relay_status.parse(said.text, 1, alive=True)
    if said.status != remote_commands.CUT_OFF or status is None:
        return None
    read = status.disks[0].relayed
    return read / LONGEST if read >= _LEAST_BYTES else None
