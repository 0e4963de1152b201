"""The hybrid ISO: one file that is a CD and a disk, and that BIOS and UEFI boot from either way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from imagebuild import loaders
from imagebuild.architecture import Architecture
from imagebuild.commands import run
from imagebuild.menu import Menu

# The types of partitions in a GPT: data, and what UEFI boots from.
_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
_EFI = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


def make_iso(
    target: Path,
    *,
    label: str,
    date: int,
    menu: Menu,
    kernel: Path,
    initramfs: Path,
    squashfs_files: Mapping[str, Path],
    loader_files: Path,
    architecture: Architecture,
    scratch: Path,
) -> None:
    """Writes the ISO. label: its volume's; date: seconds since 1970, of everything in it.

    squashfs_files: the layers of the root file system by their names; live-boot puts the last name on top.
    """
    tree = scratch / "iso"
    (tree / "live").mkdir(parents=True)
    (tree / "boot/grub").mkdir(parents=True)
    _link(kernel, tree / "live/vmlinuz")
    _link(initramfs, tree / "live/initrd.img")
    for name, squashfs in squashfs_files.items():
        _link(squashfs, tree / "live" / name)
    if menu.memory_test:
        for name, program in loaders.memory_test(loader_files).items():
            _link(program, tree / "live" / name)
    (tree / "boot/grub/grub.cfg").write_text(menu.for_grub("/live", "/live/initrd.img"))
    efi = scratch / "efi.img"
    loaders.efi_partition(efi, loader_files, architecture, label=label, date=date, scratch=scratch)
    command = ["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-rational-rock", "-volid", label]
    command += ["-output", str(target), f"--modification-date={datetime.fromtimestamp(date, UTC):%Y%m%d%H%M%S}00"]
    command += ["-partition_offset", "16", "-append_partition", "2", _EFI, str(efi), "-appended_part_as_gpt"]
    command += ["-iso_mbr_part_type", _DATA, "-c", "boot/boot.cat"]
    if architecture.bios:
        bios = tree / "boot/grub/bios.img"
        loaders.bios_image(loader_files, bios, scratch)
        command += ["-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
        command += ["--grub2-boot-info", "--grub2-mbr", str(loaders.hybrid_boot_sector(loader_files))]
        command += ["-eltorito-alt-boot"]
    command += ["-e", "--interval:appended_partition_2:all::", "-no-emul-boot", str(tree)]
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (date, date))
    run(command, environment={"SOURCE_DATE_EPOCH": str(date), "TZ": "UTC"})


def _link(source: Path, place: Path) -> None:
    """The file in another place, without a copy of its data where that can be done; its date may be changed there."""
    run(["cp", "--reflink=auto", "--", source, place])
    shutil.copymode(source, place)
    place.chmod(0o644)
