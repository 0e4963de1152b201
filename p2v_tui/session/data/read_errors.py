"""Words for a failed read: which disk, where, and what to do about it."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from typing import Final

from p2v_tui.errors import ConversionFailed
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.programs import complete
from p2v_tui.session.data.relay_status import FailedRead

# The kernel's log and ddrescue count in these, whatever the disk's own sectors are. In bytes.
SECTOR: Final = 512
# What the kernel reads at once, in bytes.
PAGE: Final = 4096
# How long reading that place again may take, in seconds: a drive retries a bad sector for half a minute.
LOCATE_TIMEOUT: Final = 60.0


def locate(disk: Disk, read: FailedRead) -> FailedRead:
    """The first unreadable page in that read; the whole read if it cannot be found. dd looks for it, as it can be
    killed: a read that hangs in one of our threads would keep us from exiting.
    """
    first = read.offset - read.offset % PAGE
    count = -(-(read.offset + read.length - first) // PAGE)
    place = [f"if={disk.device}", "of=/dev/null", f"bs={PAGE}", f"skip={first // PAGE}", f"count={count}"]
    try:
        done = complete(["setpriv", "--pdeathsig=KILL", "dd", *place], seconds=LOCATE_TIMEOUT)
    except OSError:
        return read
    passed = re.search(rb"^(\d+)\+\d+ records in", done.stderr, re.MULTILINE) if done else None
    if not done or done.returncode == 0 or not passed or int(passed[1]) >= count:
        return read
    return dataclasses.replace(read, offset=first + int(passed[1]) * PAGE, length=PAGE)


def failed_somewhere(disk: Disk, words: str) -> ConversionFailed:
    """For a failed read whose place is unknown. words: the NBD server's."""
    return ConversionFailed(f"The disk {disk.name} cannot be read everywhere: {words}.", _advice(disk))


def failed_read(disk: Disk, read: FailedRead) -> ConversionFailed:
    """The conversion's failure, if virt-v2v has ended because of this read."""
    first, last = read.offset // SECTOR, max(read.offset, read.offset + read.length - 1) // SECTOR
    where = f"sector {first}" if first == last else f"sectors {first} to {last} (of {SECTOR} bytes)"
    place = f"at byte {read.offset}, {where}"
    words = os.strerror(read.error)
    if read.error == errno.ENOMEM:
        return ConversionFailed(
            f"The NBD server of {disk.name} had no memory left to read the disk {place}.",
            "Close other programs on this machine, and check whether something else on the conversion server reads "
            "its disks (its relay.log). Then convert again.",
        )
    return ConversionFailed(
        f"The disk {disk.name} cannot be read {place}: {words}.",
        _advice(disk),
    )


def _advice(disk: Disk) -> str:
    return (
        f"Look at the disk with `dmesg` and `smartctl -a {disk.device}`. Copy what can be read to another disk, with "
        f"`ddrescue -d {disk.device} /mnt/disk.img /mnt/disk.map`, and convert the image: p2v.disks=/mnt/disk.img"
    )
