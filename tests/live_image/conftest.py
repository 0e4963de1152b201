"""What the tests of the live image share: the image, built once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.commands import LabFailure
from tests.live_image.builder import run_build


@dataclass(frozen=True)
class LiveImage:
    """One build. iso: for CD and stick; network: the directory that a TFTP server serves.

    said: what the build printed.
    """

    iso: Path
    network: Path
    said: str

    @property
    def kernel(self) -> Path:
        return self.network / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        return self.network / "initrd.img"


@pytest.fixture(scope="session")
def live_image(tmp_path_factory: pytest.TempPathFactory) -> LiveImage:
    """The live image as `make image` builds it, from the user's cache where nothing has changed."""
    directory = tmp_path_factory.mktemp("live-image")
    done = run_build("-o", directory / "p2v-tui.iso", "--pxe", directory / "network")
    if done.returncode != 0:
        raise LabFailure(f"The live image cannot be built:\n{done.stderr}")
    return LiveImage(directory / "p2v-tui.iso", directory / "network", done.stderr)
