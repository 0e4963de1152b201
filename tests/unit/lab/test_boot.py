"""A boot that does not reach what is expected of it ends, and shows what the console said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.boot import boot_until_login, image_format
from tests.lab.commands import LabFailure, run_command

pytestmark = pytest.mark.integration


def test_a_disk_that_cannot_boot_is_reported_with_the_console(tmp_path: Path) -> None:
    empty = tmp_path / "empty, with a comma.img"
    with empty.open("wb") as file:
        file.truncate(1 << 20)
    # SeaBIOS does not write to the serial port, so that nothing but the time limit can end this.
    with pytest.raises(LabFailure, match=r"did not finish in 2 s; still expected: 'login:'"):
        boot_until_login([empty], timeout=2)


def test_the_format_of_an_image_is_found(tmp_path: Path) -> None:
    image = tmp_path / "guest-sda"
    run_command(["qemu-img", "create", "-f", "qcow2", image, "1M"], timeout=60)
    assert image_format(image) == "qcow2"
