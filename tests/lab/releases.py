"""Conversion servers of other Debian releases: OpenSSH, nbdkit, Python, sudo and virt-v2v, each in a cached root.

`server_root` makes the root of a release once; ConversionServer(root=...) starts its sshd in a temporary copy. Debian
11 has no virt-v2v package: it represents servers with an old OpenSSH (8.4), Python (3.9) and nbdkit (1.24), where a
stand-in converts.

    python -m tests.lab.releases [bullseye|trixie|forky]
"""

from __future__ import annotations

import enum
import sys
from pathlib import Path

from tests.lab.debian import build_by_name, kept_root

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
# A minimal root lacks /etc/hosts, and virt-v2v connects to `localhost`.
_HOOK = """printf '127.0.0.1 localhost\\n::1 localhost ip6-localhost\\n' > "$1/etc/hosts" """


class Release(enum.Enum):
    """Debian releases other than this machine's, by the name of their suite."""

    BULLSEYE = "bullseye"
    TRIXIE = "trixie"
    # The testing release. Its archive has no date to check a machine's clock against.
    FORKY = "forky"

    @property
    def has_virt_v2v(self) -> bool:
        return self is not Release.BULLSEYE


def server_root(release: Release) -> Path:
    """The directory with a conversion server of this release; made first if necessary. Do not write to it. Making one
    takes a minute or two and needs root and about 1 GB. Raises LabFailure.
    """
    packages = (*_PACKAGES, *(["virt-v2v"] if release.has_virt_v2v else []))
    return kept_root(
        f"server-{release.value}",
        release.value,
        packages,
        what=f"The conversion server of Debian {release.value}",
        hook=_HOOK,
        unread=("man", "locale", "doc", "info"),
    )


if __name__ == "__main__":
    sys.exit(build_by_name("tests.lab.releases", Release, server_root))
