"""Sizes and times in words for people: disks, files and rates in powers of 1000, memory in powers of 1024."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SIZE_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_MEMORY_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def size_text(count: float) -> str:
    """A number of bytes on a disk, in a file or a second: in powers of 1000, as on a disk's label."""
    return _scaled(count, 1000, SIZE_UNITS)


def memory_text(count: float) -> str:
    """A number of bytes of memory: in powers of 1024, as memory is built."""
    return _scaled(count, 1024, _MEMORY_UNITS)


def _scaled(count: float, base: int, units: Sequence[str]) -> str:
    """With three digits at least where there are so many: `500 GB`, `8.6 GB`."""
    number, exponent = float(count), 0
    while number >= base - 0.5 and exponent < len(units) - 1:
        number, exponent = number / base, exponent + 1
    text = f"{number:.0f}" if number >= 99.95 or exponent == 0 else f"{number:.1f}".removesuffix(".0")
    return f"{text} {units[exponent]}"


def duration_text(seconds: float) -> str:
    """A duration for people, to the second below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
