"""Boots a converted guest under qemu with virtio disks and watches its serial console for the login prompt.

This proves that a conversion worked. No network and no display. By default the images are not written to: the guest's
writes go to a temporary overlay.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pexpect

from tests.lab.commands import LabFailure, last_lines, program, run_command
from tests.lab.kvm import qemu_accel_arguments


@dataclass(frozen=True)
class BootReport:
    """A boot that printed everything that was expected.

    console: the serial console's text until then; seconds: from qemu's start until then.
    """

    console: str
    seconds: float


def boot_until_login(
    disks: Sequence[Path],
    expect: Sequence[str] = ("login:",),
    *,
    timeout: float = 300.0,
    memory_mib: int = 768,
    write_to_disks: bool = False,
) -> BootReport:
    """Boot from the first of `disks` (raw or qcow2) until the console has shown each text of `expect`, in any order.

    timeout: seconds for the whole boot. qemu has always ended when this returns.
    Raises LabFailure with the console's last lines if a text is missing or the guest ended by itself.
    """
    arguments = [*qemu_accel_arguments(), "-machine", "q35", "-m", str(memory_mib), "-nodefaults", "-no-user-config"]
    arguments += ["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]
    # Without it the first boot may wait for entropy.
    arguments += ["-device", "virtio-rng-pci"]
    for disk in disks:
        name = str(disk).replace(",", ",,")
        snapshot = "off" if write_to_disks else "on"
        arguments += ["-drive", f"file={name},format={image_format(disk)},if=virtio,cache=unsafe,snapshot={snapshot}"]
    missing = list(expect)
    console = ""
    started = time.monotonic()
    qemu = pexpect.spawn(
        program("qemu-system-x86_64"),
        arguments,
        encoding="utf-8",
        codec_errors="replace",
        echo=False,
        timeout=timeout,
    )
    try:
        while missing:
            remaining = max(0.0, started + timeout - time.monotonic())
            found = qemu.expect_exact([*missing, pexpect.EOF, pexpect.TIMEOUT], timeout=remaining)
            if found >= len(missing):
                console += qemu.before or ""
                happened = "ended by itself" if found == len(missing) else f"did not finish in {timeout:.0f} s"
                wanted = ", ".join(repr(text) for text in missing)
                raise LabFailure(f"The guest {happened}; still expected: {wanted}.\n{last_lines(console)}")
            console += (qemu.before or "") + str(qemu.after)
            del missing[found]
            # Other texts may have come earlier than this one.
            missing = [text for text in missing if text not in console]
        return BootReport(console, time.monotonic() - started)
    finally:
        qemu.close(force=True)


def image_format(disk: Path) -> str:
    """The image's format by qemu's name: raw, qcow2. Raises LabFailure if it cannot be read."""
    described = run_command(["qemu-img", "info", "--force-share", "--output=json", "--", disk], timeout=60)
    return str(json.loads(described)["format"])
