"""Makes a network port blink (`ethtool --identify`), so that a person at the machine can find the cable."""

from __future__ import annotations

import os
from typing import Final

from p2v_tui.errors import P2VError
from p2v_tui.programs import complete
from p2v_tui.session.words.terminal_text import plain

BLINK_SECONDS: Final = 5


class CannotBlink(P2VError):
    """The port does not blink."""

    title = "The port does not blink"


def blink_port(interface: str) -> None:
    """Blinks the port for BLINK_SECONDS, then returns. Raises CannotBlink."""
    try:
        done = complete(["ethtool", "--identify", interface, str(BLINK_SECONDS)], seconds=BLINK_SECONDS * 4)
    except FileNotFoundError as error:
        raise CannotBlink("ethtool is not installed here.", "Install it: apt install ethtool.") from error
    except OSError as error:
        raise CannotBlink(f"ethtool does not run for {interface}: {error.strerror}.") from error
    if done is None:
        raise CannotBlink(f"ethtool did not end for {interface} in {BLINK_SECONDS * 4} seconds.")
    if done.returncode == 0:
        return
    said = plain(done.stderr.decode(errors="replace").strip().partition("\n")[0])
    if "Operation not permitted" in said or os.geteuid() != 0:
        raise CannotBlink(f"Only root can make {interface} blink.", "Run p2v-tui as root.")
    if "not supported" in said:
        raise CannotBlink(f"The card or the driver of {interface} cannot blink ({said}).")
    raise CannotBlink(f"{interface} does not blink: {said or f'ethtool ended with {done.returncode}'}.")
