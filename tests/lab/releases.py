"""Conversion servers of other Debian releases: OpenSSH, nbdkit, Python, sudo and virt-v2v, each in a cached root.

`server_root` makes the root of a release once; ConversionServer(root=...) starts its sshd in a copy that is thrown
away. Debian 11 has no package of virt-v2v: it stands for servers with an old OpenSSH (8.4), Python (3.9) and nbdkit
(1.24), where a stand-in converts.

    python -m tests.lab.releases [bullseye|trixie|forky]
"""

from __future__ import annotations

import enum
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab.commands import LabFailure, run_command
from tests.lab.debian import LOCK_SECONDS, build_by_name, cache_directory, mmdebstrap, only_builder, sources_of

_PACKAGES = (
    "libguestfs-tools",
    "libnbd-bin",
    # libguestfs builds its appliance from it.
    "linux-image-cloud-amd64",
    "nbdkit",
    "openssh-server",
    "python3",
    "qemu-utils",
    "sudo",
    "xz-utils",
)
# A minimal root has no names at all, and virt-v2v connects to `localhost`.
_HOOK = """printf '127.0.0.1 localhost\\n::1 localhost ip6-localhost\\n' > "$1/etc/hosts" """


class Release(enum.Enum):
    """Debian's releases beside the one that this machine runs, by the name of their suite."""

    BULLSEYE = "bullseye"
    TRIXIE = "trixie"
    # The testing release: it has no date by which it is valid that a machine's clock could be checked against.
    FORKY = "forky"

    @property
    def has_virt_v2v(self) -> bool:
        return self is not Release.BULLSEYE


def server_root(release: Release) -> Path:
    """The directory with a conversion server of this release; made first where there is none.

    Nobody may write to it. Making one takes a minute or two and needs root and about 1 GB. Raises LabFailure.
    """
    if os.geteuid() != 0:
        raise LabFailure("The root of another release is made and used by root only.")
    packages = (*_PACKAGES, *(["virt-v2v"] if release.has_virt_v2v else []))
    inputs = hashlib.sha256(f"{packages}{_HOOK}".encode()).hexdigest()[:12]
    name = f"server-{release.value}"
    keep = cache_directory() / f"{name}-{inputs}"
    if keep.exists():
        return keep
    with only_builder(name, f"The conversion server of Debian {release.value}"):
        if not keep.exists():
            _build(release, packages, keep)
        for old in cache_directory().glob(f"{name}-*"):
            if old != keep:
                shutil.rmtree(old)
    return keep


def _build(release: Release, packages: tuple[str, ...], keep: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache_directory()) as scratch:
        root = Path(scratch) / "root"
        arguments = mmdebstrap(
            '--aptopt=Acquire::Check-Valid-Until "false"',
            f"--include={','.join(packages)}",
            f"--customize-hook={_HOOK}",
        )
        for unread in ("man", "locale", "doc", "info"):
            arguments.append(f"--dpkgopt=path-exclude=/usr/share/{unread}/*")
        run_command(
            [*arguments, release.value, str(root), "-"],
            timeout=LOCK_SECONDS,
            stdin=sources_of(release.value),
            log=cache_directory() / f"server-{release.value}.log",
        )
        root.rename(keep)


if __name__ == "__main__":
    sys.exit(build_by_name("tests.lab.releases", Release, server_root))
