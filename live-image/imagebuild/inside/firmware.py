"""Keeps the firmware files that the remaining kernel modules name, and microcode.

Besides those for network cards and disk controllers, Debian's packages have firmware for Wi-Fi, sound and graphics.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

_MICROCODE = ("amd-ucode/*", "intel-ucode/*")


def trim(root: Path, version: str) -> None:
    """Removes the firmware that no module of this kernel names."""
    directory = root / "lib/firmware"
    modules = sorted((root / "lib/modules" / version / "kernel").rglob("*.ko*"))
    if not directory.is_dir() or not modules:
        return
    done = subprocess.run(
        ["modinfo", "--field=firmware", *map(str, modules)], check=True, capture_output=True, text=True
    )
    for path in superfluous(directory, set(done.stdout.split())):
        path.unlink()
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()


def superfluous(directory: Path, wanted: Iterable[str]) -> set[Path]:
    """The files below `directory` that are not wanted. wanted: names, or patterns with *.

    The target of a wanted symbolic link is wanted too.
    """
    pattern = re.compile("|".join(fnmatch.translate(name) for name in (*wanted, *_MICROCODE)))
    files = {path for path in directory.rglob("*") if path.is_symlink() or path.is_file()}
    kept = {path for path in files if pattern.fullmatch(_name(path.relative_to(directory)))}
    kept |= {target for path in kept if path.is_symlink() and (target := path.resolve()) in files}
    return files - kept


def _name(path: Path) -> str:
    return re.sub(r"\.(xz|zst)$", "", str(path))
