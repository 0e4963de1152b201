"""Words for why the relay on the server gave up one disk, or all."""

from __future__ import annotations

from p2v_tui.errors import ConversionFailed
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.data.relay.states import Cause
from p2v_tui.session.data.relay_status import DiskRelay


def given_up(disk: Disk, relay: DiskRelay, *, hangs: bool) -> ConversionFailed:
    """For one disk that the relay gave up. hangs: our own NBD server did not answer either."""
    if relay.cause is Cause.DISK:
        return ConversionFailed(
            f"The disk {disk.name} cannot be opened any more, or is another one than at the beginning: "
            f"{disk.device} does not answer as it did.",
            "Look with `lsblk` and into the kernel's log (dmesg) whether it was detached, exchanged, or "
            "came back under another name, and convert again.",
        )
    if hangs:
        return ConversionFailed(
            f"The disk {disk.name} did not answer for too long: its NBD server hangs.",
            f"Look at the disk with `dmesg` and `smartctl -a {disk.device}`, and convert again.",
        )
    return ConversionFailed(
        f"The relay on the conversion server gave up on {disk.name}: {relay.reason or 'no reason'}.",
        "Check the network between the two machines and convert again.",
    )


def killed(log: str) -> ConversionFailed:
    """For a relay that vanished without ending in order. log: its log on the server."""
    return ConversionFailed(
        "The relay on the conversion server (nbd_relay.pyz), by which virt-v2v reads the disks, was killed.",
        f"Look for the out-of-memory killer there and into {log}, and convert again.",
    )
