"""Where Debian's packages come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagebuild import debian
from imagebuild.architecture import ARCHITECTURES, architecture
from imagebuild.errors import BuildError

MIRROR = "https://mirror.example/debian"


def test_a_mirror_stands_in_the_place_of_this_machines_sources() -> None:
    found = debian.sources([MIRROR], firmware=False)
    assert found.lines == f"deb {MIRROR} bookworm main\ndeb {MIRROR} bookworm-updates main\n"
    assert not found.with_firmware


def test_a_mirror_is_taken_to_have_the_firmware_that_is_asked_for() -> None:
    found = debian.sources([MIRROR], firmware=True)
    assert f"deb {MIRROR} bookworm main non-free-firmware\n" in found.lines
    assert found.with_firmware


def test_a_line_of_a_sources_list_is_taken_as_it_is() -> None:
    line = "deb https://security.example/debian-security bookworm-security main"
    assert debian.sources([MIRROR, line], firmware=False).lines.endswith(f"main\n{line}\n")


def test_this_machines_own_sources_are_those_of_debian_bookworm() -> None:
    lines = debian.sources([], firmware=False).lines.splitlines()
    assert lines
    assert all(line.startswith("deb ") and line.split()[2].startswith("bookworm") for line in lines)
    assert {line.split()[3] for line in lines} == {"main"}


def test_a_foreign_architecture_that_can_be_emulated_here_is_built(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="cannot run them"):
        architecture("arm64", tmp_path)
    (tmp_path / "qemu-aarch64").touch()
    assert architecture("arm64", tmp_path) is ARCHITECTURES["arm64"]


def test_an_architecture_without_a_bios_has_no_loaders_for_one() -> None:
    assert not {"grub-pc-bin", "pxelinux", "memtest86+"} & set(ARCHITECTURES["arm64"].loader_packages)
    assert "grub-efi-arm64-signed" in ARCHITECTURES["arm64"].loader_packages
