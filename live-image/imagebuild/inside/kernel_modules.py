"""Which kernel modules stay: patterns of modules.txt, and what the chosen modules depend on."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def sections(text: str) -> dict[str, tuple[str, ...]]:
    """modules.txt: the patterns of each [section], in their order."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        word = line.partition("#")[0].strip()
        if word.startswith("["):
            current = found.setdefault(word.strip("[]"), [])
        elif word:
            current.append(word)
    return {name: tuple(patterns) for name, patterns in found.items()}


def chosen(modules: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """Those of the modules (paths below the kernel's directory, with .ko) that the patterns keep.

    `*` matches any characters, `/` too; the last pattern that fits decides; `!` before it leaves out.
    """
    rules = [(not p.startswith("!"), re.compile(fnmatch.translate(p.removeprefix("!")))) for p in patterns]
    kept = set()
    for module in modules:
        name = re.sub(r"\.ko(\.\w+)?$", "", module)
        fitting = [keep for keep, pattern in rules if pattern.match(name)]
        if fitting and fitting[-1]:
            kept.add(module)
    return kept


def with_dependencies(modules: Iterable[str], dependencies: Mapping[str, Sequence[str]]) -> set[str]:
    """The modules and all that they need, however deep."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(dependencies.get(module, ()))
    return found


def dependencies_in(modules_dep: str) -> dict[str, tuple[str, ...]]:
    """modules.dep: what each module needs, as paths below `kernel/`."""
    found = {}
    for line in modules_dep.splitlines():
        module, _, needed = line.partition(":")
        found[module.removeprefix("kernel/")] = tuple(word.removeprefix("kernel/") for word in needed.split())
    return found


def versions(root: Path) -> list[str]:
    """The kernels that have modules."""
    return sorted(path.name for path in (root / "lib/modules").iterdir() if (path / "kernel").is_dir())


def trim(root: Path, version: str, patterns: Sequence[str]) -> None:
    """Removes the modules that the patterns leave out, and tells modprobe. depmod must have been run before."""
    directory = root / "lib/modules" / version
    dependencies = dependencies_in((directory / "modules.dep").read_text())
    kept = with_dependencies(chosen(dependencies, patterns), dependencies)
    for module in dependencies:
        if module not in kept:
            (directory / "kernel" / module).unlink()
    _remove_empty(directory / "kernel")
    subprocess.run(["depmod", "--basedir", str(root), version], check=True)


def _remove_empty(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def only_for_initramfs(root: Path, version: str, patterns: Sequence[str]) -> Path:
    """Puts a directory with few modules in the place of the whole one, and returns where that is now.

    initramfs-tools and the hooks of many packages take whole classes of modules; so they find no others.
    """
    directory = root / "lib/modules" / version
    whole = directory.with_name(f"{version}.whole")
    directory.rename(whole)
    shutil.copytree(whole, directory, symlinks=True)
    trim(root, version, patterns)
    return whole
