"""The last step after installing Debian's packages: removes what the image does not need.

Runs in the root file system, as its root: python3 -m imagebuild.inside.trim
"""

from __future__ import annotations

import compileall
import fnmatch
import json
import py_compile
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from imagebuild.inside import files, firmware, kernel_modules

HERE = Path(__file__).parents[2]
ROOT = Path("/")


def main() -> None:
    """Reads `trim.json`: the patterns of packages to remove, of files to remove and of modules to keep."""
    wanted = json.loads((HERE / "trim.json").read_text())
    installed = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package}\n"], check=True, capture_output=True, text=True
    ).stdout.split()
    taken_out = superfluous(installed, wanted["taken_out"], wanted["kept"])
    if taken_out:
        subprocess.run(["dpkg", "--purge", "--force-depends", *taken_out], check=True)
    for version in kernel_modules.versions(ROOT):
        kernel_modules.trim(ROOT, version, wanted["modules"])
        firmware.trim(ROOT, version)
    files.remove(ROOT, wanted["files"])
    compile_python(ROOT / "usr/lib/python3", *ROOT.glob("usr/lib/python3.*"))


def superfluous(installed: Iterable[str], patterns: Sequence[str], kept: Collection[str]) -> list[str]:
    """The installed packages that match a pattern, except those that are kept by name."""
    return [
        name for name in installed if name not in kept and any(fnmatch.fnmatchcase(name, each) for each in patterns)
    ]


def compile_python(*directories: Path) -> None:
    """Compiles to byte code that Python does not check against the sources' dates, which differ between builds."""
    for directory in directories:
        done = compileall.compile_dir(
            directory, quiet=1, force=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        if not done:
            sys.exit(f"{directory} cannot be compiled.")


if __name__ == "__main__":
    main()
