"""What the tests of the live image share: the image, built once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from imagebuild.debian import RELEASES

from tests.lab.commands import LabFailure
from tests.live_image.builder import run_build


@dataclass(frozen=True)
class LiveImage:
    """One build. release: Debian's; iso: for CD and stick; network: the directory that a TFTP server serves.

    said: what the build printed.
    """

    release: str
    iso: Path
    network: Path
    said: str

    @property
    def kernel(self) -> Path:
        return self.network / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        return self.network / "initrd.img"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--image-release", choices=[*RELEASES], help="Debian's release that the live image is made of")


@pytest.fixture(scope="session")
def release(pytestconfig: pytest.Config) -> str:
    """Debian's release that the image is made of: the default one unless --image-release says another."""
    # Without this directory on pytest's command line its options are not known.
    return str(pytestconfig.getoption("--image-release", None) or next(iter(RELEASES)))


@pytest.fixture(scope="session")
def live_image(release: str, tmp_path_factory: pytest.TempPathFactory) -> LiveImage:
    """The live image as `make image` builds it, from the user's cache where nothing has changed."""
    directory = tmp_path_factory.mktemp("live-image")
    done = run_build("--release", release, "-o", directory / "p2v-tui.iso", "--pxe", directory / "network")
    if done.returncode != 0:
        raise LabFailure(f"The live image cannot be built:\n{done.stderr}")
    return LiveImage(release, directory / "p2v-tui.iso", directory / "network", done.stderr)
