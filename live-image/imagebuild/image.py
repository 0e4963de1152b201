"""The build from beginning to end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from imagebuild import commands, debian, disk, identity, lists
from imagebuild.architecture import Architecture, architecture, is_foreign
from imagebuild.cache import Cache
from imagebuild.debian_root import debian_root
from imagebuild.errors import BuildError
from imagebuild.iso import make_iso
from imagebuild.lists import PROJECT
from imagebuild.loaders import Loaders
from imagebuild.menu import Menu, kernel_words
from imagebuild.options import Options
from imagebuild.parts import Parts
from imagebuild.progress import Progress, mebibytes
from imagebuild.pxe import make_pxe
from imagebuild.root_file_system import ImageFiles, image_files, version

# Which Debian package has each program.
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "sqfstar": "squashfs-tools",
    "xorriso": "xorriso",
    "mformat": "mtools",
    "grub-mkimage": "grub-common",
    "ssh-keygen": "openssh-client",
}


def build(options: Options, ask: Callable[[str], str] = input) -> None:
    """Builds what the options ask for, and reports the progress on standard error. Raises BuildError."""
    wanted_architecture = architecture(options.arch)
    needed = dict(_PROGRAMS)
    if os.geteuid() != 0:
        needed["newuidmap"] = "uidmap"
    if is_foreign(wanted_architecture):
        # mmdebstrap needs it.
        needed["arch-test"] = "arch-test"
    commands.require(needed)
    kernel_words(options.kernel_args)
    if options.identity:
        identity.check(options.identity)
    device = disk.block_device(options.output) if options.output else None
    if device and not options.yes:
        disk.confirm(device, ask)
    release = debian.RELEASES[options.release]
    origin = debian.sources(release.suite, options.mirror, firmware=options.firmware is not False)
    if options.firmware and not origin.with_firmware:
        raise BuildError(
            f"apt's sources have no {debian.FIRMWARE_COMPONENT}, where the firmware is.",
            "Add that word to the Components of /etc/apt/sources.list.d/debian.sources, or give --mirror.",
        )
    firmware = origin.with_firmware and options.firmware is not False
    progress = Progress(2 + bool(options.output) + bool(options.pxe) + bool(device))
    store = Cache(options.cache)
    with progress.step("Debian's packages") as step:
        root = debian_root(store, release, wanted_architecture, origin, options.install, firmware=firmware, step=step)
        step.result = mebibytes((root.directory / "root.tar").stat().st_size)
    date = source_date()
    with progress.step("p2v-tui, and packing") as step:
        files = image_files(store, root, date, step)
        step.result = mebibytes(files.squashfs.stat().st_size)
    with store.scratch() as scratch:
        layers = {"filesystem.squashfs": files.squashfs}
        if options.identity:
            layers["identity.squashfs"] = scratch / "identity.squashfs"
            identity.make_layer(options.identity, layers["identity.squashfs"], date, scratch)
        loaders = Loaders(root.directory / "loaders", root.architecture)
        parts = Parts(files.kernel, files.initramfs, layers, loaders, date)
        if options.pxe:
            with progress.step(f"Files for the network boot in {options.pxe}"):
                make_pxe(options.pxe, parts, _menu(options, root.architecture))
        if options.output:
            iso = scratch / "p2v-tui.iso"
            with progress.step("ISO") as step:
                step.watch(iso)
                make_iso(iso, parts, _menu(options, root.architecture, label=parts.label), scratch)
                step.result = mebibytes(iso.stat().st_size)
            if device:
                with progress.step(f"Writing to {device.path}") as step:
                    disk.write(iso, device, step)
            else:
                _move(iso, options.output, private=options.identity is not None)
    for line in figures(files, firmware=firmware):
        print(line, file=sys.stderr)


def source_date() -> int:
    """The date of everything in the image: SOURCE_DATE_EPOCH, else the last commit that concerns it.

    Seconds since 1970. Without git, the newest source file's.
    """
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        try:
            return int(given)
        except ValueError as error:
            raise BuildError(f"SOURCE_DATE_EPOCH={given} is not a number of seconds.") from error
    sources = ("p2v_tui", "live-image", "docs", "share", "README.md", "pyproject.toml", "requirements.txt")
    try:
        command = ["git", "-C", str(PROJECT), "log", "-1", "--format=%ct", "--", *sources]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return max(
            int(path.stat().st_mtime) for name in sources for path in [PROJECT / name, *(PROJECT / name).rglob("*.*")]
        )


def figures(files: ImageFiles, *, firmware: bool) -> list[str]:
    """How large each part is, in lines."""
    packed = {"kernel": files.kernel, "initramfs": files.initramfs, "root file system, packed": files.squashfs}
    lines = [f"  {name:<28}{mebibytes(path.stat().st_size):>12}" for name, path in packed.items()]
    lines += [f"    {name + ', unpacked':<26}{mebibytes(size):>12}" for name, size in files.sizes.items() if size]
    if not firmware:
        lines += [
            "  Without firmware of network cards and disk controllers: apt's sources have no non-free-firmware, or",
            "  --no-firmware was given. docs/live-image.md says which machines want it.",
        ]
    return lines


def _menu(options: Options, machine: Architecture, *, label: str = "") -> Menu:
    """label: of the only medium that the boot may look at."""
    medium = f"live-media=/dev/disk/by-label/{label}" if label else ""
    words = " ".join(filter(None, ("boot=live", medium, lists.kernel_arguments())))
    # The first p2v.identity holds, so the user's comes before ours.
    more = f"{options.kernel_args} {identity.SETTING}".strip() if options.identity else options.kernel_args
    return Menu(version(), words, more, machine.serial, memory_test=machine.bios)


def _move(iso: Path, target: Path, *, private: bool) -> None:
    """Moves the ISO to its target. private: only its owner can read it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # First under another name: half an image must not look like a whole one.
        new = target.with_name(f"{target.name}.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600 if private else 0o644)
        commands.run(["cp", "--reflink=auto", "--", iso, new])
        new.rename(target)
    except OSError as error:
        raise BuildError(f"{target} cannot be written: {error.strerror}.") from error
