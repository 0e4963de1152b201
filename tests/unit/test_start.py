"""A signal in the first second, while modules are loaded: words and the documented code, no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.ports import closed_port

pytestmark = pytest.mark.integration

# The import that takes longest waits until the test has sent its signal, and for as long as a minute.
HELD = """
import sys, time

class Held:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            print("loading", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Held())
from p2v_tui.start import main
sys.argv = ["p2v-tui", "--cmdline=p2v.server=127.0.0.1 p2v.port=9 p2v.disks=/nonexistent"]
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "module", ["p2v_tui.cli", "p2v_tui.config", "p2v_tui.unattended", "p2v_tui.session.ssh.control"]
)
def test_a_signal_while_modules_are_loaded_ends_with_words(module: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HELD.format(module=module)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stdout.readline() == "loading\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 6
    assert said == f"p2v-tui: Cancelled: ended by {number.name}.\n"


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    script = (
        "import signal, sys; from p2v_tui import cli, start; cli.main = lambda: int(signal.getsignal(signal.SIGHUP));"
        "sys.exit(start.main())"
    )
    done = subprocess.run(["sh", "-c", 'trap "" HUP; exec "$0" -c "$1"', sys.executable, script], check=False)
    assert done.returncode == signal.SIG_IGN


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-", ">/dev/full"])
def test_a_stream_that_the_caller_closed_or_filled_is_not_missed(tmp_path: Path, closed: str) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    with closed_port() as port:
        words = f"p2v.server=127.0.0.1 p2v.port={port} p2v.password=x p2v.reconnect=0 p2v.disks={image} p2v.post="
        program = Path(sys.executable).with_name("p2v-tui")
        done = subprocess.run(
            ["sh", "-c", f'exec "$0" "$1" {closed}', program, f"--cmdline={words}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    # No connection, and no traceback.
    assert done.returncode == 3, done
    assert "Traceback" not in done.stderr
