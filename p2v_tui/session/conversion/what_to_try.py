"""What to try when virt-v2v has failed, by its own words. docs/troubleshooting.md has the same in a table."""

from __future__ import annotations

import re
from typing import Final

# Parts of virt-v2v's words, or of those of the programs that it runs, and what to try; the first that fits counts.
ADVICE: Final = (
    (
        "No space left on device",
        "The output directory or virt-v2v's temporary directory is full. Look with df -h on the conversion server.",
    ),
    (
        "inspection could not detect the source guest",
        "Convert the disk with the operating system, too; give the keys of encrypted volumes. Or virt-v2v does not "
        "know the system.",
    ),
    (
        "virt-v2v is unable to convert this guest type",
        "virt-v2v does not support this operating system.",
    ),
    (
        "unable to mount the disk image for writing",
        "Boot Windows on this machine, run shutdown /s /t 0, and convert again.",
    ),
    (
        "not enough free space for conversion on filesystem",
        "Make room inside the system of this machine: 100 MB on its root file system.",
    ),
    (
        "multi-boot operating systems are not supported",
        "Several systems are on the disks: name the one to convert in p2v.root.",
    ),
    (
        "could not create appliance through libvirt",
        "Put export LIBGUESTFS_BACKEND=direct into the account's profile on the conversion server.",
    ),
)


def what_to_try(reason: str) -> str:
    """Sentences; empty where nothing is known."""
    words = " ".join(reason.split())
    return next((advice for part, advice in ADVICE if re.search(re.escape(part), words, re.IGNORECASE)), "")
