"""The boot loaders: GRUB and PXELINUX for BIOS, Debian's signed shim and GRUB for UEFI, which Secure Boot accepts."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from imagebuild.architecture import Architecture
from imagebuild.commands import run

# For a menu on a text screen and on a serial line, with the progress of loading. GRUB loads no other modules later.
_BIOS_MODULES = (
    *("biosdisk", "iso9660", "part_gpt", "part_msdos", "search", "search_label", "search_fs_file"),
    *(
        "normal",
        "configfile",
        "linux",
        "linux16",
        "all_video",
        "serial",
        "terminal",
        "terminfo",
        "keystatus",
        "progress",
    ),
    *("echo", "test", "true", "minicmd", "reboot", "halt", "sleep", "help", "ls", "cat"),
)
_SYSLINUX_MODULES = ("ldlinux.c32", "libutil.c32", "menu.c32")
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Loaders:
    """directory: the files of the loaders' packages, unpacked."""

    directory: Path
    architecture: Architecture

    def bios_image(self, image: Path, scratch: Path) -> None:
        """GRUB as an El Torito boot image, for CD drives and, with `hybrid_boot_sector`, for sticks."""
        early = scratch / "early.cfg"
        early.write_text("set prefix=($root)/boot/grub\n")
        command = ["grub-mkimage", "--format=i386-pc-eltorito", f"--directory={self._bios_directory}"]
        run([*command, "--prefix=/boot/grub", f"--config={early}", f"--output={image}", *_BIOS_MODULES])

    @property
    def hybrid_boot_sector(self) -> Path:
        return self._bios_directory / "boot_hybrid.img"

    @property
    def _bios_directory(self) -> Path:
        return self.directory / "usr/lib/grub/i386-pc"

    @property
    def pxelinux(self) -> dict[str, Path]:
        """PXELINUX and its modules, by the names that machines fetch."""
        modules = self.directory / "usr/lib/syslinux/modules/bios"
        return {
            "pxelinux.0": self.directory / "usr/lib/PXELINUX/lpxelinux.0",
            **{name: modules / name for name in _SYSLINUX_MODULES},
        }

    @property
    def shim(self) -> Path:
        """The first stage, signed by Microsoft, whose key is in the machines' firmware."""
        return self.directory / f"usr/lib/shim/shim{self.architecture.efi}.efi.signed"

    @property
    def key_tool(self) -> Path:
        """MokManager, which shim starts to ask the user about keys."""
        return self.directory / f"usr/lib/shim/mm{self.architecture.efi}.efi.signed"

    def signed_grub(self, kind: str) -> Path:
        """GRUB, signed by Debian, whose key is in shim. kind: `gcd` for CD and stick, `grubnet` for the network."""
        machine = self.architecture
        return self.directory / f"usr/lib/grub/{machine.grub}-signed/{kind}{machine.efi}.efi.signed"

    @property
    def memory_test(self) -> dict[str, Path]:
        """memtest86+, by the file names in the menu."""
        return {f"memtest.{kind}": self.directory / f"boot/memtest86+x64.{kind}" for kind in ("bin", "efi")}

    def efi_partition(self, image: Path, *, label: str, date: int, scratch: Path) -> None:
        """Makes the file system that UEFI boots from: shim, GRUB, and a configuration that leads GRUB to the menu.

        label: of the file system that has the menu, /boot/grub/grub.cfg.
        """
        tree = scratch / "efi"
        boot = tree / "EFI/BOOT"
        boot.mkdir(parents=True)
        name = self.architecture.efi
        shutil.copyfile(self.shim, boot / f"BOOT{name.upper()}.EFI")
        shutil.copyfile(self.signed_grub("gcd"), boot / f"grub{name}.efi")
        shutil.copyfile(self.key_tool, boot / f"mm{name}.efi")
        # Without this directory GRUB would use the menu of the first Debian medium that it finds.
        menu = tree / "boot/grub/grub.cfg"
        menu.parent.mkdir(parents=True)
        menu.write_text(
            f"search --no-floppy --set=root --label {label}\nset prefix=($root)/boot/grub\n"
            "configfile $prefix/grub.cfg\n"
        )
        _fat_image(image, tree, date)


def _fat_image(image: Path, tree: Path, date: int) -> None:
    """Makes a FAT file system with the files of a directory: reproducibly, and without mounting anything."""
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
