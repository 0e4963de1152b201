"""The boot loaders: GRUB for BIOS, and Debian's signed shim and GRUB for UEFI, which Secure Boot accepts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from imagebuild.architecture import Architecture
from imagebuild.commands import run

# A menu in a text screen and on a serial line; nothing is loaded later.
_BIOS_MODULES = (
    *("biosdisk", "iso9660", "part_gpt", "part_msdos", "search", "search_label", "search_fs_file"),
    *("normal", "configfile", "linux", "linux16", "all_video", "serial", "terminal", "terminfo", "keystatus"),
    *("echo", "test", "true", "minicmd", "reboot", "halt", "sleep", "help", "ls", "cat"),
)
_MEBIBYTE = 2**20


def bios_image(loaders: Path, image: Path, scratch: Path) -> None:
    """GRUB as an El Torito boot image, for CD drives and, with `hybrid_boot_sector`, for sticks."""
    early = scratch / "early.cfg"
    early.write_text("set prefix=($root)/boot/grub\n")
    command = ["grub-mkimage", "--format=i386-pc-eltorito", f"--directory={_bios_directory(loaders)}"]
    run([*command, "--prefix=/boot/grub", f"--config={early}", f"--output={image}", *_BIOS_MODULES])


def hybrid_boot_sector(loaders: Path) -> Path:
    return _bios_directory(loaders) / "boot_hybrid.img"


def _bios_directory(loaders: Path) -> Path:
    return loaders / "usr/lib/grub/i386-pc"


def shim(loaders: Path, architecture: Architecture) -> Path:
    """The first stage, signed by Microsoft, whose key the machines have."""
    return loaders / f"usr/lib/shim/shim{architecture.efi}.efi.signed"


def key_tool(loaders: Path, architecture: Architecture) -> Path:
    """What shim starts to ask about keys."""
    return loaders / f"usr/lib/shim/mm{architecture.efi}.efi.signed"


def signed_grub(loaders: Path, architecture: Architecture, kind: str) -> Path:
    """GRUB, signed by Debian, whose key is in shim. kind: `gcd` for CD and stick, `grubnet` for the network."""
    return loaders / f"usr/lib/grub/{architecture.grub}-signed/{kind}{architecture.efi}.efi.signed"


def memory_test(loaders: Path) -> dict[str, Path]:
    """memtest86+ under the names that the menu knows."""
    return {f"memtest.{kind}": loaders / f"boot/memtest86+x64.{kind}" for kind in ("bin", "efi")}


def efi_partition(
    image: Path, loaders: Path, architecture: Architecture, *, label: str, date: int, scratch: Path
) -> None:
    """The file system that UEFI boots from: shim, GRUB, and where GRUB finds the menu.

    label: of the file system with the menu, /boot/grub/grub.cfg.
    """
    tree = scratch / "efi"
    boot = tree / "EFI/BOOT"
    boot.mkdir(parents=True)
    name = architecture.efi
    shutil.copyfile(shim(loaders, architecture), boot / f"BOOT{name.upper()}.EFI")
    shutil.copyfile(signed_grub(loaders, architecture, "gcd"), boot / f"grub{name}.efi")
    shutil.copyfile(key_tool(loaders, architecture), boot / f"mm{name}.efi")
    # Without this directory GRUB would take the menu of whatever Debian medium it meets first.
    menu = tree / "boot/grub/grub.cfg"
    menu.parent.mkdir(parents=True)
    menu.write_text(
        f"search --no-floppy --set=root --label {label}\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
    )
    _fat_image(image, tree, date)


def _fat_image(image: Path, tree: Path, date: int) -> None:
    """A FAT file system with the files of a directory: the same each time, and without mounting anything."""
    files = sorted(path for path in tree.rglob("*"))
    for path in files:
        os.utime(path, (date, date))
    size = sum(path.stat().st_size for path in files if path.is_file())
    sectors = (size // _MEBIBYTE + 2) * _MEBIBYTE // 512
    environment = {"SOURCE_DATE_EPOCH": str(date), "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}
    geometry = ["-T", str(sectors), "-h", "64", "-s", "32", "-N", f"{date & 0xFFFFFFFF:08x}"]
    run(["mformat", "-i", image, "-C", *geometry, "-v", "P2V-TUI-EFI", "::"], environment=environment)
    for path in files:
        inside = f"::/{path.relative_to(tree)}"
        words = ["mmd", "-i", str(image)] if path.is_dir() else ["mcopy", "-m", "-i", str(image), str(path)]
        run([*words, inside], environment=environment)
