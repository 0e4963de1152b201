"""`make demo-tui`: the screens against the demo conversion server, with the connection filled in.

It converts the small Debian of the demo; the guest goes into the cache directory. The operator answers the screens.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from p2v_tui.errors import Cancelled, Detached
from tests.lab.commands import LabFailure
from tests.lab.conversion_server import ConversionServer, identity
from tests.lab.debian import cache_directory
from tests.lab.guest_disk import guest_disk


def main() -> int:
    """Open the screens. Returns p2v-tui's exit code, 0 also for leaving."""
    # As an exception, so that a hang-up ends the conversion server too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _frame: sys.exit(128 + caught))
    try:
        disk = guest_disk()
    except LabFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    output = cache_directory() / "converted"
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="p2v-demo-") as scratch:
        key = identity(Path(scratch))
        with ConversionServer(authorized=[key.public_key]) as server:
            words = (
                f"p2v.server={server.host} p2v.port={server.port} p2v.remote.hostkey={server.fingerprint} "
                f"p2v.identity={key.url} p2v.os={output}"
            )
            program = str(Path(sys.executable).with_name("p2v-tui"))
            command = [program, "--interactive", f"--test-disk={disk}", f"--cmdline={words} p2v.name=p2v-demo-tui"]
            while (code := subprocess.run(command, check=False).returncode) == Detached.exit_code and _again():
                pass
    if code == 0:
        print(f"What was converted is in {output}.")
    # Whoever only looks at the screens has not made the demo fail.
    return 0 if code == Cancelled.exit_code else code


def _again() -> bool:
    """Asks, because the server on which the conversion waits ends with this program."""
    try:
        input("The conversion waits on the demo's server. Enter opens the screens again, Ctrl-C ends both: ")
    except (EOFError, KeyboardInterrupt):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
