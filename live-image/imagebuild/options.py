"""The command line of the build."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild import cache
from imagebuild.debian import RELEASES

DESCRIPTION = """\
Builds the live image, from which a machine is started to be converted by p2v-tui: an ISO for CD and USB stick, or the
files for a boot over the network. Everything in it comes from Debian, except Textual, which pip fetches.
"""
INSTALLED_NAME = "p2v-tui-image"


@dataclass(frozen=True)
class Options:
    """output: where the ISO goes, a file or a block device; pxe: the directory for the network's files. One is there.

    yes: overwrite a block device without asking. firmware: None for "if apt's sources have it".
    """

    output: Path | None
    pxe: Path | None
    yes: bool
    identity: Path | None
    install: tuple[str, ...]
    kernel_args: str
    mirror: tuple[str, ...]
    release: str
    arch: str | None
    firmware: bool | None
    cache: Path


def program() -> str:
    """How the command was called: as Debian's package installs it, or from the sources."""
    return INSTALLED_NAME if Path(sys.argv[0]).name == INSTALLED_NAME else "live-image/build.py"


def parser(name: str) -> argparse.ArgumentParser:
    """The options of the command of this name. The man page is made from them, too."""
    parser = argparse.ArgumentParser(prog=name, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE_OR_DEVICE",
        help="write the ISO here; a whole disk such as /dev/sdb is overwritten, after a question",
    )
    parser.add_argument(
        "--pxe", type=Path, metavar="DIR", help="put the files for a network boot into this directory"
    )
    parser.add_argument("--yes", action="store_true", help="overwrite the device of -o without asking")
    parser.add_argument(
        "--inject-ssh-identity",
        dest="identity",
        type=Path,
        metavar="KEY",
        help="put this private key into the image: p2v-tui logs in to the conversion server with it. "
        "Whoever has the image has the key",
    )
    parser.add_argument(
        "--install",
        type=_names,
        default=(),
        metavar="PACKAGE,PACKAGE",
        help="more Debian packages for the image",
    )
    parser.add_argument(
        "--kernel-args",
        default="",
        metavar="WORDS",
        help="words at the end of the kernel's command line, such as p2v.server=192.0.2.10",
    )
    parser.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="URL",
        help="take Debian's packages from this mirror, not from this machine's apt sources; a whole line of a "
        "sources.list will do, too, and there may be several",
    )
    parser.add_argument(
        "--release",
        choices=[*RELEASES],
        default=next(iter(RELEASES)),
        metavar="RELEASE",
        help=f"build the image from this release of Debian: {', or '.join(RELEASES)}; the first if not given",
    )
    parser.add_argument(
        "--arch", metavar="ARCHITECTURE", help="Debian's name of the architecture; this machine's if not given"
    )
    parser.add_argument(
        "--firmware",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="with or without the firmware of network cards and disk controllers (Debian's non-free-firmware); "
        "if not given: with it where apt's sources have it",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=cache.default_directory(),
        metavar="DIR",
        help="where results are kept that a later build can use (%(default)s)",
    )
    return parser


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Reads the options. Wrong ones end the program with 2, as argparse does."""
    command = parser(program())
    found = command.parse_args(arguments)
    if not found.output and not found.pxe:
        command.error("say where the image is to go: -o FILE, -o DEVICE or --pxe DIR")
    return Options(**{**vars(found), "mirror": tuple(found.mirror)})


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.replace(",", " ").split() if name)
