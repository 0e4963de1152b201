"""The places where an operator keeps files, and which of them were used last."""

from __future__ import annotations

import enum
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2v_tui.hwprobe.live_medium import mounts_in
from p2v_tui.hwprobe.sticks import Stick

# Where desktops and people mount sticks.
_STICKS: Final = ("/run/media/", "/media/", "/mnt/")


class Kind(enum.Enum):
    """The kinds of places, as the operator chooses among them."""

    HERE = "this machine"
    STICK = "USB stick"
    WEB = "URL"
    SERVER = "conversion server"


@dataclass(frozen=True)
class Place:
    """text: what the operator typed: a path (on the stick, if it is one), a URL, or a name in the home directory."""

    kind: Kind
    text: str
    stick: Stick | None = None


@dataclass
class LastPlaces:
    """What was used last, for as long as the program runs. directories: paths and URLs that end with a slash.
    stick: the last one. settings: the file with settings that was saved or loaded last.
    """

    kind: Kind | None = None
    directories: dict[Kind, str] = field(default_factory=dict)
    stick: Stick | None = None
    settings: Place | None = None

    def to_save(self, kind: Kind, name: str) -> str:
        """What is proposed for a new file of that name."""
        if kind is Kind.HERE:
            return self.directories.get(kind) or default_directory()
        return self.directories.get(kind, "") + ("" if kind is Kind.WEB else name)

    def to_load(self, kind: Kind) -> str:
        """What is proposed for a file with settings that is there already."""
        if self.settings is not None and self.settings.kind is kind:
            return self.settings.text
        return self.to_save(kind, "")

    def remember(self, place: Place, *, settings: bool) -> None:
        """place: the very file. settings: whether there are settings in it."""
        self.kind = place.kind
        self.stick = place.stick or self.stick
        if place.kind is not Kind.SERVER:
            self.directories[place.kind] = _directory_of(place)
        if settings:
            self.settings = place


def default_directory(mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The mount point of a writable stick, else the directory for temporary files."""
    with suppress(OSError):
        for mount in mounts_in(mounts.read_text(errors="replace")):
            if f"{mount.point}/".startswith(_STICKS) and not mount.read_only:
                return mount.point
    try:
        return tempfile.gettempdir()
    except OSError:
        # Python found no directory that it can write to: all are full.
        return "/tmp"


def _directory_of(place: Place) -> str:
    """What another file is put into the same directory with."""
    if place.kind is Kind.WEB:
        return place.text.partition("?")[0].rpartition("/")[0] + "/"
    directory = place.text.rpartition("/")[0]
    return f"{directory}/" if directory or place.kind is Kind.HERE else ""
