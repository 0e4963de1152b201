"""Reads bytes of a block device, for facts that no tool on the image reports."""

from __future__ import annotations

import os
import time
from typing import Final

from p2v_tui.hwprobe.answers import Answer
from p2v_tui.hwprobe.blockdev import BlockDevice

# A failing disk can hold a read for minutes. After this time it is not waited for.
_SECONDS: Final = 5.0


def read_at(device: BlockDevice, offset: int, length: int, magic: tuple[int, bytes] = (0, b"")) -> bytes | None:
    """Bytes of a device; None if it cannot be read in time, is too short, or lacks the magic bytes.

    magic: an offset in the bytes, and what must be there.
    """
    found = Answer(lambda: _read(device, offset, length)).by(time.monotonic() + _SECONDS) or b""
    at, wanted = magic
    return found if len(found) == length and found[at : at + len(wanted)] == wanted else None


def _read(device: BlockDevice, offset: int, length: int) -> bytes:
    try:
        descriptor = os.open(device.node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, length, offset)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def hexadecimal(block: bytes, offset: int) -> str:
    """A UUID of 16 bytes, as 32 digits."""
    return block[offset : offset + 16].hex()
