"""Reads the lists that say what is in the image: packages.txt, firmware.txt, kernel-args.txt and the like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagebuild.architecture import Architecture

HERE = Path(__file__).parents[1]
PROJECT = HERE.parent


@dataclass(frozen=True)
class Packages:
    """Debian packages. taken_out: name patterns of packages that others pull in and that are removed again."""

    installed: tuple[str, ...]
    taken_out: tuple[str, ...]


def lines_of(path: Path) -> tuple[str, ...]:
    """The lines of a list without comments and blank lines."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return tuple(line for line in lines if line)


def packages(architecture: Architecture, suite: str) -> Packages:
    """The packages of the image. suite: Debian's release."""
    names = [
        name.replace("{kernel}", architecture.kernel) for name in _names("packages.txt", architecture.name, suite)
    ]
    return Packages(
        tuple(name for name in names if not name.startswith("-")),
        tuple(name.removeprefix("-") for name in names if name.startswith("-")),
    )


def firmware(architecture: Architecture, suite: str) -> tuple[str, ...]:
    return tuple(_names("firmware.txt", architecture.name, suite))


def _names(name: str, *conditions: str) -> list[str]:
    """The packages of a list, without those whose `[condition]` names another release or architecture."""
    lines = [line.split() for line in lines_of(HERE / name)]
    return [package for package, *only in lines if all(each.strip("[]") in conditions for each in only)]


def keyboards() -> tuple[tuple[str, str], ...]:
    """The keyboard layouts that the boot menu offers: the value of p2v.keymap, and whose keyboard it is."""
    lines = (line.split(maxsplit=2) for line in lines_of(HERE / "root/usr/share/p2v-tui/keyboards.txt"))
    return tuple((name, words) for name, _, words in lines)


def kernel_arguments() -> str:
    """The kernel arguments of every boot entry."""
    return " ".join(lines_of(HERE / "kernel-args.txt"))
