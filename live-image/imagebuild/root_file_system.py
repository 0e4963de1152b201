"""The image's root file system (Debian's packages with p2v-tui and root/ over them), packed, and its initramfs."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from imagebuild import debian, lists, python_packages
from imagebuild.cache import Cache, digest, tree_parts
from imagebuild.commands import pipe
from imagebuild.debian import INSTALL_DATE
from imagebuild.debian_root import BUILD_ENVIRONMENT, LEAVE, DebianRoot, inside
from imagebuild.inside.kernel_modules import sections
from imagebuild.layer import WORKPLACE, Layer, add_build_files, add_documentation, add_program, documentation
from imagebuild.lists import HERE, PROJECT
from imagebuild.progress import Step

# The result also depends on these programs, besides the files and inside/.
_PROGRAMS = ("root_file_system.py", "layer.py", "python_packages.py")


@dataclass(frozen=True)
class ImageFiles:
    """The parts that ISO and network boot share. sizes: bytes of each part of the root file system, uncompressed."""

    squashfs: Path
    kernel: Path
    initramfs: Path
    sizes: dict[str, int]


def image_files(cache: Cache, debian_part: DebianRoot, date: int, step: Step) -> ImageFiles:
    """Copies p2v-tui and root/ over Debian's root file system and packs it; the same inputs give the same bytes.

    date: seconds since 1970, the date of every file.
    """
    setup = (HERE / "root.setup").read_text()
    modules = (HERE / "modules.txt").read_text()
    ours = [*tree_parts(HERE / "root"), setup, modules, *tree_parts(HERE / "imagebuild/inside")]
    initramfs_key = digest([debian_part.key, *ours])
    code = [*tree_parts(PROJECT / "p2v_tui"), *documentation(), *python_packages.inputs(), str(date)]
    code += [(HERE / "imagebuild" / program).read_text() for program in _PROGRAMS]

    def pack(place: Path) -> None:
        known = cache.has("initramfs", initramfs_key)
        initramfs = cache.get("initramfs", initramfs_key, lambda _: None) / "initrd.img" if known else None
        with cache.scratch() as scratch:
            wanted = {
                "initramfs": not known,
                "initramfs_modules": sections(modules)["initramfs"],
                "install_date": INSTALL_DATE,
                "files": lists.lines_of(HERE / "files.txt"),
            }
            layer = Layer(scratch / "layer.tar")
            layer.add_tree("", HERE / "root")
            add_program(layer, _python_packages(cache, scratch, debian_part, step), _description(debian_part, date))
            add_documentation(layer)
            add_build_files(layer, arrange_json=json.dumps(wanted), root_setup=setup)
            layer.close()
            results = ["vmlinuz", "sizes.json", *([] if known else ["initrd.img"])]
            hooks = [
                # The suite is empty, so that mmdebstrap installs nothing.
                f"--setup-hook=tar-in {quote(str(debian_part.directory / 'root.tar'))} /",
                f"--customize-hook=tar-in {quote(str(scratch / 'layer.tar'))} /",
                f"--customize-hook={inside('arrange')}",
                *(f"--customize-hook=download /{WORKPLACE}/{name} {quote(str(place / name))}" for name in results),
                f"--customize-hook={LEAVE}",
            ]
            command = debian.mmdebstrap(
                "--skip=setup,update,cleanup",
                architecture=debian_part.architecture.name,
                variant="custom",
                hooks=hooks,
            )
            step.note("laying p2v-tui over Debian")
            step.watch(place / "filesystem.squashfs")
            pipe(
                [*command, "", "-"],
                _packed_into(place / "filesystem.squashfs", date),
                environment=BUILD_ENVIRONMENT,
                on_line=step.note,
            )
        if initramfs:
            shutil.copy(initramfs, place / "initrd.img")
        else:
            cache.get("initramfs", initramfs_key, lambda kept: _keep(place / "initrd.img", kept))

    place = cache.get("root", digest([debian_part.key, *ours, *code]), pack)
    return ImageFiles(
        place / "filesystem.squashfs",
        place / "vmlinuz",
        place / "initrd.img",
        json.loads((place / "sizes.json").read_text()),
    )


def _packed_into(squashfs: Path, date: int) -> list[str]:
    command = ["sqfstar", "-comp", "zstd", "-quiet", "-no-progress"]
    return [*command, "-mkfs-time", str(date), "-all-time", str(date), str(squashfs)]


def _keep(file: Path, directory: Path) -> None:
    shutil.copy(file, directory)


def _python_packages(cache: Cache, scratch: Path, debian_part: DebianRoot, step: Step) -> Path:
    release = debian_part.release
    needed = python_packages.requirements(lists.packages(debian_part.architecture, release.suite).installed)

    def fetch(place: Path) -> None:
        step.note("fetching Python packages")
        python_packages.fetch(needed, release.python, place, scratch)

    return cache.get("python", digest([*needed, release.python, *python_packages.inputs()]), fetch)


def version() -> str:
    """p2v-tui's version."""
    found = re.search(r'^__version__ = "(.*)"', (PROJECT / "p2v_tui/__init__.py").read_text(), re.MULTILINE)
    assert found, "p2v_tui/__init__.py has no __version__"
    return found[1]


def _description(debian_part: DebianRoot, date: int) -> str:
    return f'VERSION="{version()}"\nSOURCE_DATE={date}\nDEBIAN="{debian_part.key}"\n'
