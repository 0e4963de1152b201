"""The files for a boot over the network: a directory that a TFTP or HTTP server serves as it is.

The boot loader fetches everything, the root file system too, as a second initramfs. So the live system can boot
without a network, and no server's address must be configured.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from imagebuild.errors import BuildError
from imagebuild.menu import Menu
from imagebuild.parts import Parts

# root/usr/lib/live/boot/9999-p2v-tui looks for the image in this directory of the initramfs.
IN_INITRAMFS = "p2v-image"


def make_pxe(target: Path, parts: Parts, menu: Menu) -> None:
    """Writes the files into the directory. Other files there are kept; those of the same name are overwritten."""
    loaders, efi = parts.loaders, parts.loaders.architecture.efi
    copied = {
        "vmlinuz": parts.kernel,
        "initrd.img": parts.initramfs,
        # UEFI: shim looks for GRUB in its own directory, and GRUB for its menu in grub/.
        f"boot{efi}.efi": loaders.shim,
        f"grub{efi}.efi": loaders.signed_grub("grubnet"),
        f"mm{efi}.efi": loaders.key_tool,
        **(loaders.memory_test if menu.memory_test else {}),
        **(loaders.pxelinux if loaders.architecture.bios else {}),
    }
    root = {f"{IN_INITRAMFS}/live/{name}": squashfs for name, squashfs in parts.layers.items()}
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, file in copied.items():
            shutil.copyfile(file, target / name)
        with (target / "root.img").open("wb") as archive:
            _write_cpio(archive, root, parts.date)
        size = sum((target / name).stat().st_size for name in ("initrd.img", "root.img"))
        for name, text in _menus(menu, parts, initramfs_size=size).items():
            (target / name).parent.mkdir(exist_ok=True)
            (target / name).write_text(text)
    except OSError as error:
        raise BuildError(f"The directory {target} cannot be filled: {error}") from error


def _menus(menu: Menu, parts: Parts, *, initramfs_size: int) -> dict[str, str]:
    """The menus by file name. initramfs_size: bytes, with the root file system."""
    kernel_size = parts.kernel.stat().st_size
    menus = {
        "grub/grub.cfg": menu.for_grub(
            "", "/initrd.img /root.img", kernel_size=kernel_size, initramfs_size=initramfs_size
        ),
        "boot.ipxe": menu.for_ipxe(),
    }
    if parts.loaders.architecture.bios:
        menus["pxelinux.cfg/default"] = menu.for_pxelinux()
    return menus


def _write_cpio(archive: BinaryIO, files: Mapping[str, Path], date: int) -> None:
    """Writes an initramfs of these files and their directories, in the format of the kernel's buffer-format.rst."""
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
    # The four device numbers and the checksum are not used.
    numbers = (*fields, 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(f"{number & 0xFFFFFFFF:08x}".encode() for number in numbers) + encoded
    return header + bytes(-len(header) % 4)
