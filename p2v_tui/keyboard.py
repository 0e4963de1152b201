"""The layout of the machine's own keyboard: which ones loadkeys(1) has, and loading one.

Virtual consoles have it. On a serial line and over SSH the keyboard is at the other end, with a layout of its own.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2v_tui.errors import P2VError, SettingsError
from p2v_tui.programs import complete

# The virtual console that is in front, whichever that is.
_CONSOLE: Final = Path("/dev/tty0")
_MAPS: Final = Path("/usr/share/keymaps")
# The live image's names for the common ones.
_COMMON: Final = Path("/usr/share/p2v-tui/keyboards.txt")
# What was wrong with p2v.keymap when the live image started.
COMPLAINT: Final = Path("/run/p2v-tui/keymap")
# From linux/kd.h. It fails on whatever is not a virtual console.
_KDGKBTYPE: Final = 0x4B33
_NEAR: Final = 3


@dataclass(frozen=True)
class Layout:
    """name: as an operator writes it. keymap: loadkeys' name. words: whose keyboard it is, where that is known."""

    name: str
    keymap: str
    words: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.words})" if self.words else self.name


class Keyboard:
    """loadkeys with its maps. The places are others in tests."""

    def __init__(
        self, loadkeys: str = "loadkeys", *, maps: Path = _MAPS, common: Path = _COMMON, console: Path = _CONSOLE
    ) -> None:
        self._loadkeys = loadkeys
        self._maps = maps
        self._common = common
        self._console = console

    def is_usable(self) -> bool:
        """Whether this process can change the layout, and has one to choose from."""
        if os.geteuid() != 0 or shutil.which(self._loadkeys) is None or not self._maps.is_dir():
            return False
        try:
            console = os.open(self._console, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.ioctl(console, _KDGKBTYPE, b"\0")
        except OSError:
            return False
        finally:
            os.close(console)
        return True

    def common(self) -> tuple[Layout, ...]:
        """The common layouts; none where the live image's list is missing."""
        try:
            lines = self._common.read_text().splitlines()
        except OSError:
            return ()
        return tuple(Layout(*line.split(maxsplit=2)) for line in lines if line and not line.startswith("#"))

    def keymaps(self) -> tuple[str, ...]:
        """The names of loadkeys' maps."""
        found = (re.fullmatch(r"(.+)\.k?map(\.gz)?", path.name) for path in self._maps.rglob("*map*"))
        return tuple(sorted({match[1] for match in found if match}))

    def find(self, name: str) -> Layout:
        """The layout of this name. Raises SettingsError, which names those that there are."""
        common, keymaps = self.common(), self.keymaps()
        for layout in common:
            if layout.name == name:
                return layout
        if name in keymaps:
            return Layout(name, name)
        raise SettingsError(
            f"{name!r} is not the name of a keyboard layout here.{_meant(name, common, keymaps)}",
            f"Common layouts: {', '.join(map(str, common))}.\nMaps of loadkeys: {' '.join(keymaps)}.",
            setting="keymap",
        )

    def load(self, name: str) -> Layout:
        """Gives all virtual consoles this layout. Raises SettingsError for a wrong name, P2VError with what loadkeys
        says.
        """
        layout = self.find(name)
        try:
            done = complete([self._loadkeys, "--quiet", f"--console={self._console}", layout.keymap], merged=True)
        except OSError as error:
            raise P2VError(f"loadkeys cannot be run: {error.strerror}.", "Install the package kbd.") from error
        if done is None or done.returncode != 0:
            said = done.stdout.decode(errors="replace").strip() if done else "nothing, and did not end"
            raise P2VError(
                f"The keyboard layout {layout} was not loaded. loadkeys said: {said or 'nothing'}",
                "The keyboard has the layout that it had before.",
                setting="keymap",
            )
        return layout


def _meant(name: str, common: tuple[Layout, ...], keymaps: tuple[str, ...]) -> str:
    """A question after the names that are near; empty where none is."""
    names = {keymap.lower(): keymap for keymap in keymaps}
    for layout in common:
        names |= {layout.words.lower(): layout.name, layout.name: layout.name}
    near = difflib.get_close_matches(name.lower(), names, n=_NEAR)
    near += [key for key in names if name and key.startswith(name.lower())]
    found = list(dict.fromkeys(names[key] for key in near))[:_NEAR]
    return f" Did you mean {' or '.join(found)}?" if found else ""


def load_at_boot(name: str, keyboard: Keyboard, complaint: Path = COMPLAINT) -> None:
    """Loads the layout that the kernel command line names. What is wrong with it is kept for the consoles: a
    conversion is not stopped by it.
    """
    try:
        keyboard.load(name)
    except P2VError as error:
        complaint.parent.mkdir(parents=True, exist_ok=True)
        complaint.write_text(f"p2v.keymap: {error.message}\n{error.advice}\n")


def complaint_at_boot(complaint: Path = COMPLAINT) -> tuple[str, ...]:
    """What `load_at_boot` kept, as a warning for the first screen, without the list of all layouts."""
    try:
        return (complaint.read_text().partition("\n")[0],)
    except OSError:
        return ()


def terminal_in_front() -> str:
    """The terminal at which the last key was pressed: `tty1`, `ttyS0`, `pts/0`; empty if that is not known."""
    try:
        if "TMUX" in os.environ:
            done = complete(["tmux", "display-message", "-p", "#{client_tty}"])
            name = done.stdout.decode().strip() if done else ""
        else:
            name = os.ttyname(0)
    except OSError:
        return ""
    return name.removeprefix("/dev/")


def is_virtual_console(terminal: str) -> bool:
    return re.fullmatch(r"tty\d+", terminal) is not None
