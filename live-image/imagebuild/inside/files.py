"""Removes the files that files.txt lists."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path


def remove(root: Path, patterns: Sequence[str]) -> None:
    """Removes what matches the patterns below `root`. A pattern with `!` keeps what earlier ones would remove.

    A pattern that ends in /** empties a directory and keeps it.
    """
    doomed: set[Path] = set()
    for pattern in patterns:
        found = _matching(root, pattern.removeprefix("!"))
        doomed = doomed - found if pattern.startswith("!") else doomed | found
    # The deepest first: a directory is removed if it is empty by then.
    for path in sorted(doomed, key=lambda path: len(path.parts), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # It is not empty.
                path.rmdir()
        else:
            path.unlink(missing_ok=True)


def remove_whole(root: Path, pattern: str) -> int:
    """Removes files and whole directories, and returns how many matched."""
    found = list(root.glob(pattern.lstrip("/")))
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return len(found)


def _matching(root: Path, pattern: str) -> set[Path]:
    inside = pattern.endswith("/**")
    found: set[Path] = set()
    for path in root.glob(pattern.removesuffix("/**").lstrip("/")):
        if not inside:
            found.add(path)
        if path.is_dir() and not path.is_symlink():
            found.update(path.rglob("*"))
    return found
