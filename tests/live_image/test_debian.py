"""Where Debian's packages come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagebuild import debian, lists
from imagebuild.architecture import ARCHITECTURES, architecture
from imagebuild.errors import BuildError
from imagebuild.inside import trim

MIRROR = "https://mirror.example/debian"
SECURITY = "https://security.example/debian-security"


def test_a_mirror_stands_in_the_place_of_this_machines_sources() -> None:
    found = debian.sources("trixie", [MIRROR], firmware=False)
    assert found.lines == f"deb {MIRROR} trixie main\ndeb {MIRROR} trixie-updates main\n"
    assert not found.with_firmware


def test_a_mirror_is_taken_to_have_the_firmware_that_is_asked_for() -> None:
    found = debian.sources("trixie", [MIRROR], firmware=True)
    assert f"deb {MIRROR} trixie main non-free-firmware\n" in found.lines
    assert found.with_firmware


def test_a_line_of_a_sources_list_is_taken_as_it_is() -> None:
    line = f"deb {SECURITY} trixie-security main"
    assert debian.sources("trixie", [MIRROR, line], firmware=False).lines.endswith(f"main\n{line}\n")


@pytest.mark.parametrize("suite", debian.RELEASES)
def test_this_machines_own_sources_are_those_of_the_release_that_is_wanted(suite: str) -> None:
    lines = debian.sources(suite, [], firmware=False).lines.splitlines()
    assert lines
    assert all(line.startswith("deb ") and line.split()[2].startswith(suite) for line in lines)
    assert {line.split()[3] for line in lines} == {"main"}


def test_another_release_is_taken_from_the_repositories_of_this_machines() -> None:
    own = [
        (MIRROR, "bookworm", "main"),
        (MIRROR, "bookworm-updates", "main"),
        (SECURITY, "bookworm-security", "main"),
    ]
    assert debian.of_release("trixie", own) == [
        [MIRROR, "trixie", "main"],
        [MIRROR, "trixie-updates", "main"],
        [SECURITY, "trixie-security", "main"],
    ]
    assert debian.of_release("bookworm", own) == [list(entry) for entry in own]


def test_of_two_releases_that_this_machine_has_the_wanted_one_alone_is_taken() -> None:
    own = [(MIRROR, "trixie", "main"), (MIRROR, "bookworm", "main"), (SECURITY, "trixie-security", "main")]
    assert debian.of_release("bookworm", own) == [[MIRROR, "bookworm", "main"]]


def test_a_package_of_one_release_is_in_no_image_of_another() -> None:
    assert "dmraid" in lists.packages(ARCHITECTURES["amd64"], "bookworm").installed
    assert "dmraid" not in lists.packages(ARCHITECTURES["amd64"], "trixie").installed


def test_microcode_is_for_the_processors_that_it_is_made_for() -> None:
    assert "intel-microcode" in lists.firmware(ARCHITECTURES["amd64"], "trixie")
    assert not [name for name in lists.firmware(ARCHITECTURES["arm64"], "trixie") if name.endswith("microcode")]


def test_packages_that_come_with_others_are_taken_out_by_pattern_unless_the_user_wants_them() -> None:
    installed = ("perl", "perl-base", "libperl5.40", "libicu76")
    assert trim.superfluous(installed, ("perl", "libperl5.*", "libicu*"), ("libicu76",)) == ["perl", "libperl5.40"]


def test_a_foreign_architecture_that_can_be_emulated_here_is_built(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="cannot run them"):
        architecture("arm64", tmp_path)
    (tmp_path / "qemu-aarch64").touch()
    assert architecture("arm64", tmp_path) is ARCHITECTURES["arm64"]


def test_an_architecture_without_a_bios_has_no_loaders_for_one() -> None:
    assert not {"grub-pc-bin", "pxelinux", "memtest86+"} & set(ARCHITECTURES["arm64"].loader_packages)
    assert "grub-efi-arm64-signed" in ARCHITECTURES["arm64"].loader_packages
