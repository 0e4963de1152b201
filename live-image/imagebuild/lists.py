"""Reads the lists that say what is in the image: packages.txt, firmware.txt, kernel-args.txt and the like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[1]
PROJECT = HERE.parent


@dataclass(frozen=True)
class Packages:
    """Debian packages by name. taken_out: they come with others and are removed again."""

    installed: tuple[str, ...]
    taken_out: tuple[str, ...]


def lines_of(path: Path) -> tuple[str, ...]:
    """The lines of a list without comments and blanks."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return tuple(line for line in lines if line)


def packages(kernel: str) -> Packages:
    """The packages of the image. kernel: the kernel's package, which differs between architectures."""
    names = [line.replace("{kernel}", kernel) for line in lines_of(HERE / "packages.txt")]
    return Packages(
        tuple(name for name in names if not name.startswith("-")),
        tuple(name.removeprefix("-") for name in names if name.startswith("-")),
    )


def firmware() -> tuple[str, ...]:
    return lines_of(HERE / "firmware.txt")


def kernel_arguments() -> str:
    """The words that every boot entry has."""
    return " ".join(lines_of(HERE / "kernel-args.txt"))
