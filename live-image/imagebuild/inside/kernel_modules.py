"""Keeps the kernel modules that match modules.txt, and those that they depend on."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def sections(text: str) -> dict[str, tuple[str, ...]]:
    """Parses modules.txt: the patterns of each [section], in order."""
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
    """The modules that the patterns select. modules: paths below the kernel's directory, with .ko.

    `*` matches any characters, `/` too. The last pattern that matches decides; one with `!` excludes the module.
    """
    rules = [(not p.startswith("!"), re.compile(fnmatch.translate(p.removeprefix("!")))) for p in patterns]
    kept = set()
    for module in modules:
        name = re.sub(r"\.ko(\.\w+)?$", "", module)
        matching = [keep for keep, pattern in rules if pattern.match(name)]
        if matching and matching[-1]:
            kept.add(module)
    return kept


def with_dependencies(modules: Iterable[str], dependencies: Mapping[str, Sequence[str]]) -> set[str]:
    """The modules and their direct and indirect dependencies."""
    found: set[str] = set()
    pending = list(modules)
    while pending:
        module = pending.pop()
        if module not in found:
            found.add(module)
            pending.extend(dependencies.get(module, ()))
    return found


def dependencies_in(modules_dep: str) -> dict[str, tuple[str, ...]]:
    """Parses modules.dep: the dependencies of each module, as paths below `kernel/`."""
    found = {}
    for line in modules_dep.splitlines():
        module, _, needed = line.partition(":")
        found[module.removeprefix("kernel/")] = tuple(word.removeprefix("kernel/") for word in needed.split())
    return found


def versions(root: Path) -> list[str]:
    """The kernel versions that have modules."""
    return sorted(path.name for path in (root / "lib/modules").iterdir() if (path / "kernel").is_dir())


def trim(root: Path, version: str, patterns: Sequence[str]) -> None:
    """Removes the modules that the patterns do not select, and runs depmod. depmod must have been run before, too."""
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
    """Replaces the module directory by one with fewer modules, and returns the complete one's new place.

    initramfs-tools and the hooks of many packages add whole classes of modules; this way they find no others.
    """
    directory = root / "lib/modules" / version
    complete = directory.with_name(f"{version}.complete")
    directory.rename(complete)
    shutil.copytree(complete, directory, symlinks=True)
    trim(root, version, patterns)
    return complete
