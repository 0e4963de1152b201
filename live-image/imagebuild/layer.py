"""What is copied over Debian's root file system: root/, p2v-tui with its Python packages, the build's own files."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from imagebuild.lists import HERE, PROJECT

LIBRARY = "usr/lib/p2v-tui"
# /root/.bashrc sources it, since bash-completion is not in the image.
COMPLETION = "usr/share/bash-completion/completions/p2v-tui"
# The directory of the build's own files in the root file system; removed at the end.
WORKPLACE = "p2v-build"

_COMMAND = """#!/usr/bin/python3
import sys

from p2v_tui.start import main

sys.exit(main())
"""


class Layer:
    """A tar archive being written. Everything belongs to root; files are 0644, executable ones 0755.

    It has no directories, since they would change the mode of existing ones; tar makes the missing ones 0755.
    """

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - close() closes it.

    def close(self) -> None:
        self._tar.close()

    def add_text(self, name: str, text: str, *, executable: bool = False) -> None:
        self._add(name, text.encode(), executable=executable)

    def add_file(self, name: str, source: Path) -> None:
        """Adds a file, or a symbolic link as it is."""
        if source.is_symlink():
            link = self._entry(name)
            link.type, link.linkname = tarfile.SYMTYPE, str(source.readlink())
            self._tar.addfile(link)
        else:
            self._add(name, source.read_bytes(), executable=os.access(source, os.X_OK))

    def add_tree(self, name: str, directory: Path, pattern: str = "*") -> None:
        """Adds the files below a directory whose names match the pattern, except Python's caches."""
        for path in sorted(directory.rglob(pattern)):
            if (path.is_file() or path.is_symlink()) and "__pycache__" not in path.parts:
                self.add_file(f"{name}/{path.relative_to(directory)}".lstrip("/"), path)

    def _add(self, name: str, data: bytes, *, executable: bool) -> None:
        entry = self._entry(name)
        entry.size = len(data)
        # Even for root, os.access(X_OK) is true only for files that somebody may execute.
        entry.mode = 0o755 if executable else 0o644
        self._tar.addfile(entry, io.BytesIO(data))

    @staticmethod
    def _entry(name: str) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.mtime = 0o777, 0
        return entry


def add_program(layer: Layer, python_packages: Path, description: str) -> None:
    """Adds p2v-tui, the Python packages that only it uses, and the file that identifies the image."""
    layer.add_tree(LIBRARY, python_packages)
    layer.add_tree(f"{LIBRARY}/p2v_tui", PROJECT / "p2v_tui")
    # It comes after Debian's own packages on sys.path, in every Python process.
    layer.add_text("usr/lib/python3/dist-packages/p2v-tui.pth", f"/{LIBRARY}\n")
    layer.add_text("usr/bin/p2v-tui", _COMMAND, executable=True)
    layer.add_text("etc/p2v-tui/image", description)


def add_documentation(layer: Layer) -> None:
    """Adds p2v-tui's pages, to be read with less(1), and bash's completion."""
    layer.add_file("usr/share/doc/p2v-tui/README.md", PROJECT / "README.md")
    layer.add_tree("usr/share/doc/p2v-tui/docs", PROJECT / "docs", "*.md")
    layer.add_file(COMPLETION, PROJECT / "share/bash-completion/completions/p2v-tui")


def documentation() -> Iterator[str]:
    """The content of what `add_documentation` adds, for the cache's key."""
    for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))):
        yield f"{path.name}\n{path.read_text()}"
    yield (PROJECT / "share/bash-completion/completions/p2v-tui").read_text()


def add_build_files(layer: Layer, **more: str) -> None:
    """Adds the programs that run inside the root file system. more: texts by file name, with _ for the dot."""
    layer.add_file(f"{WORKPLACE}/imagebuild/__init__.py", HERE / "imagebuild/__init__.py")
    layer.add_tree(f"{WORKPLACE}/imagebuild/inside", HERE / "imagebuild/inside", "*.py")
    for name, text in more.items():
        layer.add_text(f"{WORKPLACE}/{name.replace('_', '.')}", text)
