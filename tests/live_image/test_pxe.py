"""The directory for a boot over the network, of made-up parts: what is in it, by architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagebuild.architecture import ARCHITECTURES
from imagebuild.loaders import Loaders
from imagebuild.menu import Menu
from imagebuild.parts import Parts
from imagebuild.pxe import make_pxe

EVERYWHERE = {"vmlinuz", "initrd.img", "root.img", "grub/grub.cfg", "boot.ipxe"}
BIOS = {"pxelinux.0", "ldlinux.c32", "libutil.c32", "menu.c32", "pxelinux.cfg/default", "memtest.bin", "memtest.efi"}


def made_up(directory: Path, name: str) -> Parts:
    """The content of each file is its own name."""
    machine = ARCHITECTURES[name]
    loaders = Loaders(directory / "loaders", machine)
    files = [directory / part for part in ("kernel", "initramfs", "root")]
    files += [loaders.shim, loaders.key_tool, loaders.signed_grub("grubnet")]
    if machine.bios:
        files += [*loaders.pxelinux.values(), *loaders.memory_test.values()]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    return Parts(files[0], files[1], {"filesystem.squashfs": files[2]}, loaders, 0)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("amd64", {"bootx64.efi", "grubx64.efi", "mmx64.efi", *BIOS}),
        ("arm64", {"bootaa64.efi", "grubaa64.efi", "mmaa64.efi"}),
    ],
)
def test_it_has_what_every_firmware_of_the_architecture_fetches(tmp_path: Path, name: str, more: set[str]) -> None:
    parts, target = made_up(tmp_path, name), tmp_path / "pxe"
    make_pxe(target, parts, Menu("1", "boot=live", memory_test=parts.loaders.architecture.bios))
    assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == EVERYWHERE | more
    assert (target / f"boot{parts.loaders.architecture.efi}.efi").read_text() == parts.loaders.shim.name
    assert b"p2v-image/live/filesystem.squashfs" in (target / "root.img").read_bytes()


def test_other_files_there_stay(tmp_path: Path) -> None:
    target = tmp_path / "pxe"
    target.mkdir()
    (target / "menu.old").write_text("mine")
    make_pxe(target, made_up(tmp_path, "arm64"), Menu("1", "boot=live"))
    assert (target / "menu.old").read_text() == "mine"
