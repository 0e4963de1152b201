"""The files for a boot over the network: a directory that a TFTP server, or an HTTP server, serves as it is.

The loader fetches everything, the root file system too: as a second initramfs. So the live system needs no network of
its own to begin with, and there is no address to configure.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from imagebuild import loaders
from imagebuild.architecture import Architecture
from imagebuild.errors import BuildError
from imagebuild.menu import Menu

# Where the initramfs looks for it: root/usr/lib/live/boot/9999-p2v-tui.
IN_INITRAMFS = "p2v-image"
_SYSLINUX_MODULES = ("ldlinux.c32", "libutil.c32", "menu.c32")


def make_pxe(
    target: Path,
    *,
    date: int,
    menu: Menu,
    kernel: Path,
    initramfs: Path,
    squashfs_files: Mapping[str, Path],
    loader_files: Path,
    architecture: Architecture,
) -> None:
    """Fills the directory. One that has other files in it keeps them, except those of the same names."""
    try:
        (target / "grub").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kernel, target / "vmlinuz")
        shutil.copyfile(initramfs, target / "initrd.img")
        with (target / "root.img").open("wb") as archive:
            _write_cpio(archive, {f"{IN_INITRAMFS}/live/{name}": file for name, file in squashfs_files.items()}, date)
        # UEFI: shim, which finds GRUB beside itself, which finds its menu in grub/.
        efi = architecture.efi
        shutil.copyfile(loaders.shim(loader_files, architecture), target / f"boot{efi}.efi")
        shutil.copyfile(loaders.signed_grub(loader_files, architecture, "grubnet"), target / f"grub{efi}.efi")
        shutil.copyfile(loaders.key_tool(loader_files, architecture), target / f"mm{efi}.efi")
        (target / "grub/grub.cfg").write_text(menu.for_grub("", "/initrd.img /root.img"))
        (target / "boot.ipxe").write_text(menu.for_ipxe())
        if menu.memory_test:
            for name, program in loaders.memory_test(loader_files).items():
                shutil.copyfile(program, target / name)
        if architecture.bios:
            _add_pxelinux(target, loader_files, menu)
    except OSError as error:
        raise BuildError(f"The directory {target} cannot be filled: {error}") from error


def _add_pxelinux(target: Path, loader_files: Path, menu: Menu) -> None:
    shutil.copyfile(loader_files / "usr/lib/PXELINUX/lpxelinux.0", target / "pxelinux.0")
    for name in _SYSLINUX_MODULES:
        shutil.copyfile(loader_files / "usr/lib/syslinux/modules/bios" / name, target / name)
    (target / "pxelinux.cfg").mkdir(exist_ok=True)
    (target / "pxelinux.cfg/default").write_text(menu.for_pxelinux())


def _write_cpio(archive: BinaryIO, files: Mapping[str, Path], date: int) -> None:
    """An initramfs with these files and their directories (the format is in the kernel's buffer-format.rst)."""
    directories = sorted({str(parent) for name in files for parent in Path(name).parents if str(parent) != "."})
    for number, name in enumerate([*directories, *sorted(files)], 1):
        file = files.get(name)
        size = file.stat().st_size if file else 0
        links, mode = (1, 0o100644) if file else (2, 0o40755)
        archive.write(_header(name, number, mode, 0, 0, links, date, size))
        if file:
            with file.open("rb") as data:
                shutil.copyfileobj(data, archive)
        archive.write(bytes(-size % 4))
    archive.write(_header("TRAILER!!!", *[0] * 7))


def _header(name: str, *fields: int) -> bytes:
    """fields: inode number, mode, user, group, links, date, size."""
    encoded = name.encode() + b"\0"
    # The device's numbers, four of them, and the checksum mean nothing here.
    numbers = (*fields, 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(f"{number & 0xFFFFFFFF:08x}".encode() for number in numbers) + encoded
    return header + bytes(-len(header) % 4)
