"""What the build command refuses before it has built anything, and in which words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from imagebuild import options

from tests.live_image.builder import run_build


def refused(*words: str | Path, tmp_path: Path) -> str:
    done = run_build(*words, "--cache", tmp_path / "cache", timeout=60)
    assert done.returncode == 1, done.stderr
    assert not list((tmp_path / "cache").glob("*")) if (tmp_path / "cache").exists() else True
    return done.stderr


def test_without_a_place_for_the_image_it_says_which_there_are(tmp_path: Path) -> None:
    done = run_build("--cache", tmp_path, timeout=60)
    assert done.returncode == 2
    assert "-o FILE, -o DEVICE or --pxe DIR" in done.stderr


def test_an_architecture_that_this_machine_cannot_run_is_refused_with_the_way_out(tmp_path: Path) -> None:
    if list(Path("/proc/sys/fs/binfmt_misc").glob("qemu-*")):
        pytest.skip("this machine runs programs for other architectures")
    foreign = "arm64" if _own_architecture() == "amd64" else "amd64"
    said = refused("-o", tmp_path / "x.iso", "--arch", foreign, tmp_path=tmp_path)
    assert f"this {_own_architecture()} machine cannot run them" in said
    assert "qemu-user-static" in said


def test_an_unknown_architecture_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    said = refused("-o", tmp_path / "x.iso", "--arch", "m68k", tmp_path=tmp_path)
    assert "cannot be built for m68k" in said
    assert "amd64, arm64" in said


def test_a_public_key_is_no_identity(tmp_path: Path) -> None:
    key = make_key(tmp_path, passphrase="")
    said = refused("-o", tmp_path / "x.iso", "--inject-ssh-identity", key.with_suffix(".pub"), tmp_path=tmp_path)
    assert "is not a private SSH key" in said


def test_an_identity_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = refused("-o", tmp_path / "x.iso", "--inject-ssh-identity", tmp_path / "none", tmp_path=tmp_path)
    assert f"{tmp_path / 'none'} cannot be read" in said


def test_an_identity_with_a_passphrase_is_refused_for_nobody_could_type_it(tmp_path: Path) -> None:
    key = make_key(tmp_path, passphrase="secret")
    said = refused("-o", tmp_path / "x.iso", "--inject-ssh-identity", key, tmp_path=tmp_path)
    assert "without a passphrase" in said


def test_kernel_arguments_with_an_open_quote_are_refused(tmp_path: Path) -> None:
    said = refused("-o", tmp_path / "x.iso", '--kernel-args=p2v.post="reboot', tmp_path=tmp_path)
    assert "odd number of double quotes" in said


def test_packages_may_be_listed_with_commas() -> None:
    assert options.parse(["-o", "x.iso", "--install", "nfs-common,htop"]).install == ("nfs-common", "htop")


def test_a_release_that_no_image_is_made_of_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    done = run_build("-o", tmp_path / "x.iso", "--release", "buster", timeout=60)
    assert done.returncode == 2
    assert "'bookworm', 'trixie'" in done.stderr


@pytest.mark.parametrize(("words", "firmware"), [([], None), (["--firmware"], True), (["--no-firmware"], False)])
def test_firmware_is_asked_for_or_not_or_left_to_what_apt_has(words: list[str], firmware: bool | None) -> None:
    assert options.parse(["-o", "x.iso", *words]).firmware is firmware


def make_key(directory: Path, passphrase: str) -> Path:
    key = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", key], check=True)
    return key


def _own_architecture() -> str:
    done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    return done.stdout.strip()
