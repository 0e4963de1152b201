"""Makes a network port blink, so that somebody at the machine finds the cable: `ethtool --identify`."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Final

from p2v_tui.errors import P2VError
from p2v_tui.session.words.terminal_text import plain

BLINK_SECONDS: Final = 5
# ethtool lives there, and an ordinary user's PATH does not name it.
_SBIN = ("/usr/sbin", "/sbin")


class CannotBlink(P2VError):
    """The port does not blink."""

    title = "The port does not blink"


def blink_port(interface: str) -> None:
    """Blinks the port for BLINK_SECONDS and returns then. Raises CannotBlink, in words."""
    environment = {**os.environ, "LC_ALL": "C"}
    path = os.pathsep.join([environment.get("PATH", os.defpath), *_SBIN])
    try:
        done = subprocess.run(
            [shutil.which("ethtool", path=path) or "ethtool", "--identify", interface, str(BLINK_SECONDS)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=BLINK_SECONDS * 4,
            env=environment,
            check=False,
        )
    except FileNotFoundError as error:
        raise CannotBlink("ethtool is not installed here.", "Install it: apt install ethtool.") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBlink(f"ethtool does not run for {interface}: {error}.") from error
    if done.returncode == 0:
        return
    said = plain(done.stderr.decode(errors="replace").strip().partition("\n")[0])
    if "Operation not permitted" in said or os.geteuid() != 0:
        raise CannotBlink(f"Only root can make {interface} blink.", "Run p2v-tui as root.")
    if "not supported" in said:
        raise CannotBlink(f"The card or the driver of {interface} cannot blink ({said}).")
    raise CannotBlink(f"{interface} does not blink: {said or f'ethtool ended with {done.returncode}'}.")
