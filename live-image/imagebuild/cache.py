"""Keeps what is slow to make, in directories named after a hash of their inputs, a few of each kind."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# Enough for two alternating sets of options, and the state before the last change.
_KEPT = 3


def default_directory() -> Path:
    """p2v-tui in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path there is invalid and ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "p2v-tui"


def digest(parts: Iterable[str | bytes]) -> str:
    """A name for these inputs, twelve characters."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(f"{len(data)}:".encode() + data)
    return found.hexdigest()[:12]


def tree_parts(directory: Path) -> Iterator[str | bytes]:
    """A directory's files as inputs: their names, whether they are executable, and their contents."""
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            yield f"{path.relative_to(directory)} -> {path.readlink()}"
        elif path.is_file() and "__pycache__" not in path.parts:
            yield f"{path.relative_to(directory)} {os.access(path, os.X_OK)}"
            yield path.read_bytes()


class Cache:
    """directory: made if necessary."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def has(self, kind: str, name: str) -> bool:
        return self._place(kind, name).is_dir()

    def get(self, kind: str, name: str, make: Callable[[Path], None]) -> Path:
        """The directory of this kind and name; if it does not exist, `make` fills it, in one process only."""
        place = self._place(kind, name)
        with self._only_builder(kind):
            if not place.is_dir():
                with self.scratch() as scratch:
                    building = scratch / "building"
                    building.mkdir()
                    make(building)
                    building.rename(place)
            os.utime(place)
            self._remove_old(kind, place)
        return place

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary directory on the cache's file system."""
        with tempfile.TemporaryDirectory(prefix="live-image-building-", dir=self._directory) as scratch:
            yield Path(scratch)

    def _place(self, kind: str, name: str) -> Path:
        return self._directory / f"live-image-{kind}-{name}"

    def _remove_old(self, kind: str, kept: Path) -> None:
        places = sorted(self._directory.glob(f"live-image-{kind}-*/"), key=lambda place: place.stat().st_mtime)
        for old in places[:-_KEPT]:
            if old != kept:
                shutil.rmtree(old, ignore_errors=True)

    @contextlib.contextmanager
    def _only_builder(self, kind: str) -> Iterator[None]:
        with (self._directory / f"live-image-{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
