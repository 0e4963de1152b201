"""What lies over Debian's root file system, as the archive that is unpacked there."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from imagebuild.architecture import ARCHITECTURES
from imagebuild.debian import RELEASES
from imagebuild.inside import files
from imagebuild.layer import Layer, add_build_files, add_documentation, add_program
from imagebuild.lists import HERE, PROJECT, lines_of, packages
from imagebuild.python_packages import requirements


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two files and a link, made by somebody whose umask is his own business."""
    (tmp_path / "tree/etc").mkdir(parents=True, mode=0o700)
    (tmp_path / "tree/etc/run").write_text("#!/bin/sh\n")
    (tmp_path / "tree/etc/run").chmod(0o700)
    (tmp_path / "tree/etc/text").write_text("text")
    (tmp_path / "tree/etc/text").chmod(0o600)
    (tmp_path / "tree/etc/link").symlink_to("/dev/null")
    return tmp_path / "tree"


def entries(archive: Path) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(archive) as tar:
        yield from tar


def test_all_is_roots_and_modes_follow_from_whether_it_can_be_run(tree: Path, tmp_path: Path) -> None:
    layer = Layer(tmp_path / "layer.tar")
    layer.add_tree("", tree)
    layer.close()
    found = {entry.name: entry for entry in entries(tmp_path / "layer.tar")}
    assert {name: entry.mode for name, entry in found.items()} == {
        "etc/link": 0o777,
        "etc/run": 0o755,
        "etc/text": 0o644,
    }
    assert {(entry.uid, entry.gid, entry.mtime) for entry in found.values()} == {(0, 0, 0)}
    assert found["etc/link"].linkname == "/dev/null"


def test_no_directory_is_in_it_that_would_change_one_of_debians(tree: Path, tmp_path: Path) -> None:
    layer = Layer(tmp_path / "layer.tar")
    layer.add_tree("", tree)
    add_program(layer, tree, "")
    add_build_files(layer, trim_json="{}")
    layer.close()
    assert not any(entry.isdir() for entry in entries(tmp_path / "layer.tar"))


def test_the_program_is_in_it_without_the_caches_of_this_machine(tmp_path: Path) -> None:
    layer = Layer(tmp_path / "layer.tar")
    add_program(layer, HERE / "bootloader", 'VERSION="1"\n')
    layer.close()
    names = {entry.name for entry in entries(tmp_path / "layer.tar")}
    assert {"usr/bin/p2v-tui", "usr/lib/p2v-tui/p2v_tui/cli.py", "etc/p2v-tui/image"} <= names
    assert not any("__pycache__" in name for name in names)


def test_the_documentation_and_the_completion_are_in_it_and_no_list_removes_them(tmp_path: Path) -> None:
    layer = Layer(tmp_path / "layer.tar")
    add_documentation(layer)
    layer.close()
    with tarfile.open(tmp_path / "layer.tar") as tar:
        tar.extractall(tmp_path / "root", filter="tar")
    files.remove(tmp_path / "root", lines_of(HERE / "files.txt"))
    share = tmp_path / "root/usr/share"
    assert (share / "doc/p2v-tui/README.md").read_text() == (PROJECT / "README.md").read_text()
    assert {page.name for page in (share / "doc/p2v-tui/docs").iterdir()} == {
        page.name for page in (PROJECT / "docs").glob("*.md")
    }
    assert (share / "bash-completion/completions/p2v-tui").exists()


def test_the_same_files_make_the_same_archive(tree: Path, tmp_path: Path) -> None:
    made = []
    for name in ("one.tar", "two.tar"):
        layer = Layer(tmp_path / name)
        layer.add_tree("", tree)
        layer.close()
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("suite", RELEASES)
def test_each_dependency_comes_from_debian_or_from_pip(suite: str) -> None:
    from_pip = requirements(packages(ARCHITECTURES["amd64"], suite).installed)
    assert [each for each in from_pip if not each.startswith("textual==")] == []


def test_the_network_boots_archive_is_an_initramfs_that_cpio_reads(tmp_path: Path) -> None:
    from imagebuild.pxe import IN_INITRAMFS, _write_cpio  # noqa: PLC0415

    (tmp_path / "one").write_bytes(b"12345")
    with (tmp_path / "root.img").open("wb") as archive:
        _write_cpio(archive, {f"{IN_INITRAMFS}/live/filesystem.squashfs": tmp_path / "one"}, 1700000000)
    subprocess.run(
        ["cpio", "-id", "--quiet", "-F", str(tmp_path / "root.img")], cwd=tmp_path, check=True, capture_output=True
    )
    assert (tmp_path / IN_INITRAMFS / "live/filesystem.squashfs").read_bytes() == b"12345"
