"""The hybrid ISO: one file for CDs and disks, which BIOS and UEFI can both boot."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from imagebuild.commands import run
from imagebuild.menu import Menu
from imagebuild.parts import Parts

# GPT partition types: basic data, EFI system partition.
_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
_EFI = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


def make_iso(target: Path, parts: Parts, menu: Menu, scratch: Path) -> None:
    """Writes the ISO."""
    label, date, loaders = parts.label, parts.date, parts.loaders
    tree = scratch / "iso"
    (tree / "live").mkdir(parents=True)
    (tree / "boot/grub").mkdir(parents=True)
    _link(parts.kernel, tree / "live/vmlinuz")
    _link(parts.initramfs, tree / "live/initrd.img")
    for name, squashfs in parts.layers.items():
        _link(squashfs, tree / "live" / name)
    if menu.memory_test:
        for name, program in loaders.memory_test.items():
            _link(program, tree / "live" / name)
    sizes = {"kernel_size": parts.kernel.stat().st_size, "initramfs_size": parts.initramfs.stat().st_size}
    (tree / "boot/grub/grub.cfg").write_text(menu.for_grub("/live", "/live/initrd.img", **sizes))
    efi = scratch / "efi.img"
    loaders.efi_partition(efi, label=label, date=date, scratch=scratch)
    command = ["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-rational-rock", "-volid", label]
    command += ["-output", str(target), f"--modification-date={datetime.fromtimestamp(date, UTC):%Y%m%d%H%M%S}00"]
    command += ["-partition_offset", "16", "-append_partition", "2", _EFI, str(efi), "-appended_part_as_gpt"]
    command += ["-iso_mbr_part_type", _DATA, "-c", "boot/boot.cat"]
    if loaders.architecture.bios:
        bios = tree / "boot/grub/bios.img"
        loaders.bios_image(bios, scratch)
        command += ["-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
        command += ["--grub2-boot-info", "--grub2-mbr", str(loaders.hybrid_boot_sector)]
        command += ["-eltorito-alt-boot"]
    command += ["-e", "--interval:appended_partition_2:all::", "-no-emul-boot", str(tree)]
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (date, date))
    run(command, environment={"SOURCE_DATE_EPOCH": str(date), "TZ": "UTC"})


def _link(source: Path, place: Path) -> None:
    """Copies the file, without copying its data if the file system can; the copy's date may be changed."""
    run(["cp", "--reflink=auto", "--", source, place])
    shutil.copymode(source, place)
    place.chmod(0o644)
