"""Bytes of a block device, for what no tool on the image tells. Read only."""

from __future__ import annotations

import os

from p2v_tui.hwprobe.blockdev import BlockDevice


def read_at(device: BlockDevice, offset: int, length: int, magic: tuple[int, bytes] = (0, b"")) -> bytes | None:
    """Bytes of a device; None where it cannot be read, has not so many, or other bytes than the magic ones.

    magic: where in the bytes, and what stands there.
    """
    try:
        descriptor = os.open(device.node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.pread(descriptor, length, offset)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    at, wanted = magic
    return found if len(found) == length and found[at : at + len(wanted)] == wanted else None


def hexadecimal(block: bytes, offset: int) -> str:
    """A UUID of 16 bytes, as 32 digits."""
    return block[offset : offset + 16].hex()
