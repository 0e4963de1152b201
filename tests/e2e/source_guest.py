"""What the real virt-v2v reads out of a physical.xml."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab.kvm import libguestfs_environment


def print_source(physical_xml: Path) -> tuple[list[str], str]:
    """The lines of `virt-v2v --print-source`, and everything else that it printed.

    If nothing listens on the NBD ports in the file, it prints that and continues.
    """
    done = subprocess.run(
        ["virt-v2v", "-i", "libvirtxml", physical_xml, "--print-source", "-o", "null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, **libguestfs_environment(), "LC_ALL": "C"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    head, _, source = done.stdout.partition("Source guest information")
    return [line.strip() for line in source.splitlines()[1:] if line.strip()], head + done.stderr
