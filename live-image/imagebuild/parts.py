"""The parts that every kind of image is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from imagebuild.cache import digest
from imagebuild.loaders import Loaders


@dataclass(frozen=True)
class Parts:
    """layers: the squashfs files of the root file system by file name; live-boot puts the last name on top.

    date: seconds since 1970, the date of all files in the image.
    """

    kernel: Path
    initramfs: Path
    layers: dict[str, Path]
    loaders: Loaders
    date: int

    @cached_property
    def label(self) -> str:
        """The ISO's volume label, by which the boot finds this build and not another build's stick."""
        found = digest(path.read_bytes() for path in (self.kernel, self.initramfs, *self.layers.values()))
        return f"P2V-TUI-{found[:8].upper()}"
