"""The peer, Debian's own virt-p2v binary, run beside ours. With p2v.server in its settings it needs no display."""

from __future__ import annotations

import lzma
import re
import subprocess
from pathlib import Path

from tests.e2e.program import CONVERSION_SECONDS, Outcome


class Peer:
    """The binary, unpacked into `directory`. Fails with the package's name if it is not installed."""

    def __init__(self, directory: Path) -> None:
        listed = subprocess.run(["dpkg", "-L", "virt-p2v"], capture_output=True, text=True, check=False).stdout
        packed = next((line for line in listed.splitlines() if line.endswith("/virt-p2v.xz")), None)
        assert packed, "The peer is missing: apt-get install virt-p2v libgtk-3-0"
        self.path = directory / "virt-p2v"
        self.path.write_bytes(lzma.decompress(Path(packed).read_bytes()))
        self.path.chmod(0o755)

    def run(self, cmdline: str) -> Outcome:
        """Runs it to its end with the settings in `cmdline`.

        Its ssh knows hosts by the account's own file. A server on the same port, of another run, may be in it.
        """
        port = re.search(r"\bp2v\.port=(\d+)", cmdline)
        assert port, cmdline
        _forget_host(port[1])
        try:
            return self._run(cmdline)
        finally:
            _forget_host(port[1])

    def _run(self, cmdline: str) -> Outcome:
        done = subprocess.run(
            [self.path, f"--cmdline={cmdline}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=CONVERSION_SECONDS,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)


def _forget_host(port: str) -> None:
    subprocess.run(["ssh-keygen", "-R", f"[127.0.0.1]:{port}"], capture_output=True, check=False)


def log_directory_in(output: str) -> Path:
    """The directory on the conversion server that either program names in its output."""
    found = re.search(r"/tmp/virt-p2v-\d{8}-[a-z0-9]{8}", output)
    assert found, output
    return Path(found[0])
