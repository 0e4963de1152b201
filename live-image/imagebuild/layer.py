"""What lies over Debian's root file system: root/, p2v-tui with its Python packages, the build's own files."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from imagebuild.lists import HERE, PROJECT

LIBRARY = "usr/lib/p2v-tui"
# /root/.bashrc reads it: bash-completion, which would find it, is not in the image.
COMPLETION = "usr/share/bash-completion/completions/p2v-tui"
# Where the build's own files are while it runs; removed afterwards.
WORKPLACE = "p2v-build"

_COMMAND = """#!/usr/bin/python3
import sys

from p2v_tui.start import main

sys.exit(main())
"""


class Layer:
    """A tar archive in the making: all is root's, files are 0644 or, where they can be run, 0755.

    Directories are not in it, for it would change those that are there; tar makes the others 0755.
    """

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - close() closes it.

    def close(self) -> None:
        self._tar.close()

    def add_text(self, name: str, text: str, *, executable: bool = False) -> None:
        self._add(name, text.encode(), executable=executable)

    def add_file(self, name: str, source: Path) -> None:
        """A file or a symbolic link as it is."""
        if source.is_symlink():
            link = self._entry(name)
            link.type, link.linkname = tarfile.SYMTYPE, str(source.readlink())
            self._tar.addfile(link)
        else:
            self._add(name, source.read_bytes(), executable=os.access(source, os.X_OK))

    def add_tree(self, name: str, directory: Path, pattern: str = "*") -> None:
        """The files below a directory whose names fit the pattern, without Python's caches."""
        for path in sorted(directory.rglob(pattern)):
            if (path.is_file() or path.is_symlink()) and "__pycache__" not in path.parts:
                self.add_file(f"{name}/{path.relative_to(directory)}".lstrip("/"), path)

    def _add(self, name: str, data: bytes, *, executable: bool) -> None:
        entry = self._entry(name)
        entry.size = len(data)
        # os.access says yes to root for any file that somebody may run, and no for one that nobody may.
        entry.mode = 0o755 if executable else 0o644
        self._tar.addfile(entry, io.BytesIO(data))

    @staticmethod
    def _entry(name: str) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.mtime = 0o777, 0
        return entry


def add_program(layer: Layer, python_packages: Path, description: str) -> None:
    """p2v-tui, the Python packages that it has for itself, and what says which image this is."""
    layer.add_tree(LIBRARY, python_packages)
    layer.add_tree(f"{LIBRARY}/p2v_tui", PROJECT / "p2v_tui")
    # After Debian's own packages on sys.path, for every Python that is started.
    layer.add_text("usr/lib/python3/dist-packages/p2v-tui.pth", f"/{LIBRARY}\n")
    layer.add_text("usr/bin/p2v-tui", _COMMAND, executable=True)
    layer.add_text("etc/p2v-tui/image", description)


def add_documentation(layer: Layer) -> None:
    """p2v-tui's pages, for less(1), and bash's completion."""
    layer.add_file("usr/share/doc/p2v-tui/README.md", PROJECT / "README.md")
    layer.add_tree("usr/share/doc/p2v-tui/docs", PROJECT / "docs", "*.md")
    layer.add_file(COMPLETION, PROJECT / "share/bash-completion/completions/p2v-tui")


def documentation() -> Iterator[str]:
    """What `add_documentation` puts there, to see whether it has changed."""
    for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))):
        yield f"{path.name}\n{path.read_text()}"
    yield (PROJECT / "share/bash-completion/completions/p2v-tui").read_text()


def add_build_files(layer: Layer, **more: str) -> None:
    """The programs that run inside the root file system; more: texts by their names, with _ for the dot."""
    layer.add_file(f"{WORKPLACE}/imagebuild/__init__.py", HERE / "imagebuild/__init__.py")
    layer.add_tree(f"{WORKPLACE}/imagebuild/inside", HERE / "imagebuild/inside", "*.py")
    for name, text in more.items():
        layer.add_text(f"{WORKPLACE}/{name.replace('_', '.')}", text)
