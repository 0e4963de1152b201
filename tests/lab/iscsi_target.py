"""An iSCSI target on loopback with one disk: tgtd of Debian's tgt, unpacked and not installed.

Installed, the package would start a target of its own on every interface.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import end_process_group, run_command
from tests.lab.debian import cache_directory
from tests.lab.ports import free_port

NAME = "iqn.2006-04.com.example:laboratory"
_SECONDS = 60.0
_MESSAGE_SIZE = 4096


@dataclass(frozen=True)
class Target:
    """A target without access control. port: on loopback."""

    name: str
    port: int


@contextlib.contextmanager
def iscsi_target(image: Path) -> Iterator[Target]:
    """Serves a raw image as the only disk of a target. Raises LabFailure if it does not start."""
    programs = _unpacked() / "usr" / "sbin"
    port = free_port()
    # The number of this tgtd's control socket, below 32768: several may run on this machine.
    number = str(port // 2)
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        place = Path(directory, "ready")
        ready.bind(str(place))
        ready.settimeout(_SECONDS)
        tgtd = subprocess.Popen(
            [str(programs / "tgtd"), "-f", "-C", number, "--iscsi", f"portal=127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": str(place)},
            text=True,
            start_new_session=True,
        )
        try:
            # By sd_notify(3), as soon as it listens.
            ready.recv(_MESSAGE_SIZE)
            admin = [str(programs / "tgtadm"), "-C", number, "--lld", "iscsi"]
            for words in (
                ["--op", "new", "--mode", "target", "--tid", "1", "-T", NAME],
                ["--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", str(image)],
                ["--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL"],
            ):
                subprocess.run([*admin, *words], timeout=_SECONDS, check=True)
            yield Target(NAME, port)
        finally:
            end_process_group(tgtd)
            for left in Path("/var/run/tgtd").glob(f"socket.{number}*"):
                left.unlink()


def _unpacked() -> Path:
    """The files of the package, fetched and unpacked once."""
    place = cache_directory() / "tgt"
    if not place.exists():
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache_directory()) as scratch:
            run_command(["apt-get", "download", "tgt"], timeout=10 * _SECONDS, directory=Path(scratch))
            (package,) = Path(scratch).glob("tgt_*.deb")
            run_command(["dpkg-deb", "--extract", package, Path(scratch) / "tgt"], timeout=_SECONDS)
            with contextlib.suppress(OSError):  # Another process was quicker.
                (Path(scratch) / "tgt").rename(place)
    return place
