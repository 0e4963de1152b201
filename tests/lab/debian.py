"""Debian's packages for what the laboratory builds, and the place where that is kept: made once, by one process.

The packages come from where this machine's own apt gets them; no host is named here.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.lab.commands import LabFailure, run_command

# What is built here takes minutes, and so may whoever waits for it: twice that on a slow machine.
LOCK_SECONDS = 2400.0
KindT = TypeVar("KindT", bound=enum.Enum)


@functools.cache
def cache_directory() -> Path:
    """Where what is made once is kept, made if need be: p2v-tui in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path there is invalid and ignored.
    directory = (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "p2v-tui"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextlib.contextmanager
def only_builder(name: str, what: str) -> Iterator[None]:
    """While it lasts no other process builds what has this name. what: it, in words for whoever waits."""
    with (cache_directory() / f"{name}.lock").open("w") as lock:
        print(f"{what} is made once, and then kept ...", file=sys.stderr, flush=True)
        # flock(1) locks the open file, which we share with it: the lock stays when it ends, and goes with us.
        waiting = ["flock", "--wait", str(int(LOCK_SECONDS)), str(lock.fileno())]
        run_command(waiting, timeout=LOCK_SECONDS + 10, pass_fds=(lock.fileno(),))
        yield


def mmdebstrap(*arguments: str) -> list[str]:
    """A command line of mmdebstrap's options; the suite, the target and `-` for the sources follow them."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    return ["mmdebstrap", f"--mode={mode}", "--variant=minbase", "--architectures=amd64", *_apt_options(), *arguments]


def apt_sources() -> tuple[str, str]:
    """The suite that this machine installs from, and apt's own sources of Debian as sources.list lines."""
    debian = _debian_entries()
    # bookworm before bookworm-updates and bookworm-security, which are of no use alone.
    suite = min((release for _, release, _ in debian), key=len)
    return suite, "".join(f"deb {' '.join(entry)}\n" for entry in debian)


def sources_of(suite: str) -> str:
    """The sources.list lines for another release, from where this machine gets its own."""
    own, _ = apt_sources()
    repository = next(repository for repository, release, _ in _debian_entries() if release == own)
    return f"deb {repository} {suite} main\n"


def kept_root(
    name: str, suite: str, packages: tuple[str, ...], *, what: str, hook: str = "", unread: tuple[str, ...] = ()
) -> Path:
    """The root file system of a Debian release with these packages, made first where there is none; 1 GB at most.

    Nobody may write to it. name: in the cache. what: it, in words for whoever waits. hook: a shell command that gets
    the root as $1. unread: directories of /usr/share that stay empty. Raises LabFailure.
    """
    if os.geteuid() != 0:
        raise LabFailure("The root of another release is made and used by root only.")
    inputs = hashlib.sha256(f"{packages}{hook}".encode()).hexdigest()[:12]
    keep = cache_directory() / f"{name}-{inputs}"
    if keep.exists():
        return keep
    with only_builder(name, what):
        if not keep.exists():
            arguments = ['--aptopt=Acquire::Check-Valid-Until "false"', f"--include={','.join(packages)}"]
            arguments += [f"--customize-hook={hook}"] if hook else []
            arguments += [f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in unread]
            with tempfile.TemporaryDirectory(prefix="building-", dir=cache_directory()) as scratch:
                root = Path(scratch) / "root"
                run_command(
                    [*mmdebstrap(*arguments), suite, str(root), "-"],
                    timeout=LOCK_SECONDS,
                    stdin=sources_of(suite),
                    log=cache_directory() / f"{name}.log",
                )
                root.rename(keep)
        for old in cache_directory().glob(f"{name}-*"):
            if old != keep:
                shutil.rmtree(old)
    return keep


def build_by_name(module: str, kinds: type[KindT], make: Callable[[KindT], Path]) -> int:
    """The command line of a module that builds something: those that are named, or all; prints where they are."""
    names = [kind.value for kind in kinds]
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="Build these and print where they are.")
    parser.add_argument("name", nargs="*", help=f"{', '.join(names)}; all when none is given")
    try:
        for name in parser.parse_args().name or names:
            print(make(kinds(name)))
    except (LabFailure, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _debian_entries() -> list[list[str]]:
    """Repository, release and component of each of apt's own sources. Raises LabFailure where there is none."""
    fields = r"$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = run_command(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"], timeout=60)
    found = [line.split() for line in dict.fromkeys(targets.splitlines())]
    # Other vendors' repositories may be unreachable, and have nothing that is needed here.
    debian = [entry[1:] for entry in found if len(entry) == 4 and entry[0] == "Debian"]
    if not debian:
        raise LabFailure("apt knows no Debian packages here. `apt-get update` as root fetches its lists.")
    return debian


def _apt_options() -> list[str]:
    """What this machine's apt was told about fetching (a proxy, dates not to be checked), for mmdebstrap's apt."""
    settings = run_command(["apt-config", "dump", "--no-empty", "Acquire"], timeout=60).splitlines()
    # Which lists are fetched is mmdebstrap's own business.
    return [f"--aptopt={line}" for line in settings if not line.startswith("Acquire::IndexTargets")]
