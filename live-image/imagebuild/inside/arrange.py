"""Prepares Debian's root file system with our files over it for the live image: units, byte code, initramfs.

Runs in the root file system, as its root: python3 -m imagebuild.inside.arrange
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from imagebuild.inside import files, kernel_modules
from imagebuild.inside.trim import compile_python

HERE = Path(__file__).parents[2]
ROOT = Path("/")


def main() -> None:
    """Reads `arrange.json` beside it; leaves `vmlinuz`, `initrd.img` and `sizes.json` there."""
    wanted = json.loads((HERE / "arrange.json").read_text())
    set_up((HERE / "root.setup").read_text(), ROOT)
    compile_python(ROOT / "usr/lib/p2v-tui")
    (version,) = kernel_modules.versions(ROOT)
    if wanted["initramfs"]:
        make_initramfs(version, wanted["initramfs_modules"], wanted["install_date"])
    shutil.copy(next((ROOT / "boot").glob(f"vmlinu*-{version}")), HERE / "vmlinuz")
    (HERE / "sizes.json").write_text(json.dumps(sizes(ROOT, version)))
    files.remove(ROOT, [*wanted["files"], "/boot/**"])
    # If the file is empty, systemd makes a machine id in memory.
    (ROOT / "etc/machine-id").touch()
    # Tells systemd that nothing is left to do after an update of /usr.
    for directory in ("etc", "var"):
        (ROOT / directory / ".updated").touch()


def set_up(text: str, root: Path, run: Callable[[list[str]], object] | None = None) -> None:
    """Executes root.setup; live-image/README.md explains the verbs. A line that fails ends the build."""
    run = run or (lambda words: subprocess.run(words, check=True))
    verbs: Mapping[str, Callable[[list[str]], object]] = {
        "enable": lambda units: _enable(units, run),
        "disable": lambda units: run(["systemctl", "disable", *units]),
        "mask": lambda units: run(["systemctl", "mask", *units]),
        "default": lambda units: run(["systemctl", "set-default", *units]),
        "mode": lambda words: _each(words[1:], lambda path: (root / path.lstrip("/")).chmod(int(words[0], 8))),
        "directory": lambda words: _each(words[1:], lambda path: _make(root / path.lstrip("/"), int(words[0], 8))),
        "null": lambda paths: _each(paths, lambda path: (root / path.lstrip("/")).symlink_to("/dev/null")),
        "remove": lambda patterns: _each(patterns, lambda pattern: _remove(root, pattern)),
    }
    for number, line in enumerate(text.splitlines(), 1):
        words = shlex.split(line, comments=True)
        try:
            if words:
                verbs[words[0]](words[1:])
        except (KeyError, ValueError, OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"root.setup, line {number}: {line}\n{error!r}")


def _enable(units: list[str], run: Callable[[list[str]], object]) -> None:
    run(["systemctl", "enable", *units])


def _each(paths: Iterable[str], do: Callable[[str], object]) -> None:
    for path in paths:
        do(path)


def _make(directory: Path, mode: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(mode)


def _remove(root: Path, pattern: str) -> None:
    if files.remove_whole(root, pattern) == 0 and not set("*?[") & set(pattern):
        raise FileNotFoundError(pattern)


def make_initramfs(version: str, patterns: list[str], date: int) -> None:
    """Makes the initramfs, reproducibly, with only the kernel modules that match the patterns."""
    complete = kernel_modules.only_for_initramfs(ROOT, version, patterns)
    trimmed = ROOT / "lib/modules" / version
    try:
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(date)}
        subprocess.run(["mkinitramfs", "-o", str(HERE / "initrd.img"), version], check=True, env=environment)
    finally:
        shutil.rmtree(trimmed)
        complete.rename(trimmed)


def sizes(root: Path, version: str) -> dict[str, int]:
    """The size in bytes of each part of the root file system, before compression."""
    parts = {
        "kernel modules": [root / "lib/modules" / version],
        "firmware": [root / "lib/firmware"],
        "Python": [root / "usr/lib/python3", *root.glob("usr/lib/python3.*"), *root.glob("usr/bin/python3.*")],
        "p2v-tui with Textual": [root / "usr/lib/p2v-tui"],
    }
    found = {name: sum(_size(path) for path in paths) for name, paths in parts.items()}
    everything = sum(_size(root / name) for name in ("usr", "etc", "var", "opt", "root", "srv", "home"))
    # /lib is part of /usr.
    return {**found, "all else": everything - sum(found.values())}


def _size(path: Path) -> int:
    if path.is_file() or path.is_symlink():
        return path.lstat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir() or each.is_symlink())


if __name__ == "__main__":
    main()
