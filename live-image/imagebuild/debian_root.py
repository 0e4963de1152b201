"""The slow part of the image's root file system: Debian's packages, installed and trimmed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from imagebuild import debian, lists
from imagebuild.architecture import Architecture
from imagebuild.cache import Cache, digest
from imagebuild.commands import run
from imagebuild.debian import INSTALL_DATE, Release, Sources
from imagebuild.inside.kernel_modules import sections
from imagebuild.layer import WORKPLACE, Layer, add_build_files
from imagebuild.lists import HERE
from imagebuild.progress import Step

# The same for all builds, whatever the builder's own environment is.
BUILD_ENVIRONMENT = {"SOURCE_DATE_EPOCH": str(INSTALL_DATE), "TZ": "UTC"}
# The last hook of a build.
LEAVE = f'rm -r "$1/{WORKPLACE}"'
# The result also depends on these programs; the rest of inside/ runs later.
_PROGRAMS = ("debian_root.py", "inside/trim.py", "inside/files.py", "inside/firmware.py", "inside/kernel_modules.py")


def inside(program: str) -> str:
    """A hook that runs a program of imagebuild/inside in the root file system."""
    python = f"env PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/{WORKPLACE} python3"
    return f'chroot "$1" {python} -m imagebuild.inside.{program}'


@dataclass(frozen=True)
class DebianRoot:
    """The installed packages. directory: `root.tar`, and `loaders/` with the files of the boot loaders' packages.

    key: differs if the versions or the lists do.
    """

    key: str
    directory: Path
    release: Release
    architecture: Architecture


def debian_root(
    cache: Cache,
    release: Release,
    architecture: Architecture,
    origin: Sources,
    more: tuple[str, ...],
    *,
    firmware: bool,
    step: Step,
) -> DebianRoot:
    """Installs the packages, or finds that this has been done: the same versions and lists make the same root.

    more: packages that the user wants beside; firmware: whether it is available.
    """
    wanted = lists.packages(architecture, release.suite)
    include = [*wanted.installed, *(lists.firmware(architecture, release.suite) if firmware else ()), *more]
    step.note("asking apt which versions there are")
    versions = debian.resolved([*include, *architecture.loader_packages], release.suite, architecture.name, origin)
    key = digest(
        [*versions, *include, *wanted.taken_out, (HERE / "modules.txt").read_text(), (HERE / "files.txt").read_text()]
        + [(HERE / "imagebuild" / program).read_text() for program in _PROGRAMS]
    )

    def install(place: Path) -> None:
        trim = {
            "taken_out": wanted.taken_out,
            "kept": more,
            "modules": sections((HERE / "modules.txt").read_text())["image"],
            "files": lists.lines_of(HERE / "files.txt"),
        }
        layer = Layer(place / "build.tar")
        add_build_files(layer, trim_json=json.dumps(trim))
        layer.close()
        hooks = [f"--customize-hook=tar-in {quote(str(place / 'build.tar'))} /"]
        hooks += [f"--customize-hook={step}" for step in _fetch_loaders(architecture, place / "loaders.tar")]
        hooks += [f"--customize-hook={inside('trim')}", f"--customize-hook={LEAVE}"]
        command = debian.mmdebstrap(
            # Nothing is lost if the machine crashes now.
            "--dpkgopt=force-unsafe-io",
            # Our own list of files does that. apt must never run here once /tmp has been emptied: without its
            # configuration, which is there, it would clean the building machine.
            "--skip=cleanup/apt",
            architecture=architecture.name,
            variant="essential",
            include=include,
            hooks=hooks,
        )
        # INITRD: the initramfs that the kernel's package would make is not the one that is wanted.
        environment = {**BUILD_ENVIRONMENT, "INITRD": "No"}
        run(
            [*command, release.suite, place / "root.tar", "-"],
            stdin=origin.lines,
            environment=environment,
            on_line=step.note,
        )
        # Not by tarfile's extractall: Debian 12's Python is too old for its filter.
        run(["tar", "--extract", "--no-same-owner", "--file", place / "loaders.tar", "--directory", place])
        (place / "build.tar").unlink()
        (place / "loaders.tar").unlink()

    return DebianRoot(key, cache.get("debian", key, install), release, architecture)


def _fetch_loaders(architecture: Architecture, archive: Path) -> list[str]:
    """Hooks that leave the files of the loaders' packages in an archive; these packages would install a loader."""
    directory = f"{WORKPLACE}/loaders"
    download = 'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq -o APT::Sandbox::User=root download'
    take_apart = f'cd /{directory} && for file in *.deb; do dpkg-deb -x "$file" . && rm "$file"; done'
    return [
        f'mkdir "$1/{directory}" && cd "$1/{directory}" && {download} {" ".join(architecture.loader_packages)}',
        f"chroot \"$1\" sh -ec '{take_apart}'",
        f"tar-out /{directory} {quote(str(archive))}",
    ]
