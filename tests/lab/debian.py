"""Debian's packages for what the laboratory builds, and the cache of it. Each thing is built once, by one process.

The packages come from this machine's own apt sources.
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
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

from tests.lab.commands import LabFailure, run_command

# Builds take minutes, on a slow machine twice as long, and other processes wait as long for them.
LOCK_SECONDS = 2400.0
# How often something is said meanwhile.
LIFE_SECONDS = 10.0
KindT = TypeVar("KindT", bound=enum.Enum)


@functools.cache
def cache_directory() -> Path:
    """p2v-tui's directory in the user's cache directory, created if necessary."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is invalid and to be ignored.
    directory = (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "p2v-tui"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextlib.contextmanager
def only_builder(name: str, what: str) -> Iterator[None]:
    """Keeps other processes from building what has this name. what: its description for the message."""
    with (
        (cache_directory() / f"{name}.lock").open("w") as lock,
        signs_of_life(f"{what} is made once, and then kept"),
    ):
        # flock(1) locks the open file, which we share with it: the lock outlives flock, and ends with us.
        waiting = ["flock", "--wait", str(int(LOCK_SECONDS)), str(lock.fileno())]
        run_command(waiting, timeout=LOCK_SECONDS + 10, pass_fds=(lock.fileno(),))
        yield


@contextlib.contextmanager
def signs_of_life(what: str, stream: TextIO | None = None, interval: float = LIFE_SECONDS) -> Iterator[None]:
    """Says what is under way and, at each interval, for how many seconds it has been."""
    out, over, began = stream or sys.stderr, threading.Event(), time.monotonic()
    print(f"{what} ...", file=out, flush=True)

    def tell() -> None:
        while not over.wait(interval):
            print(f"... {time.monotonic() - began:.0f} s so far", file=out, flush=True)

    teller = threading.Thread(target=tell, name="signs of life", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def mmdebstrap(*arguments: str) -> list[str]:
    """A command line of mmdebstrap's options; the suite, the target and `-` for the sources follow them."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    return ["mmdebstrap", f"--mode={mode}", "--variant=minbase", "--architectures=amd64", *_apt_options(), *arguments]


def apt_sources() -> tuple[str, str]:
    """The suite that this machine installs from, and apt's Debian sources as lines of a sources.list."""
    debian = _debian_entries()
    # bookworm, not bookworm-updates or bookworm-security.
    suite = min((release for _, release, _ in debian), key=len)
    return suite, "".join(f"deb {' '.join(entry)}\n" for entry in debian)


def sources_of(suite: str) -> str:
    """The sources.list lines for another release, from the repository that this machine uses."""
    own, _ = apt_sources()
    repository = next(repository for repository, release, _ in _debian_entries() if release == own)
    return f"deb {repository} {suite} main\n"


def kept_root(
    name: str, suite: str, packages: tuple[str, ...], *, what: str, hook: str = "", unread: tuple[str, ...] = ()
) -> Path:
    """The root file system of a Debian release with these packages, built if it is not in the cache; at most 1 GB.

    It must not be written to. name: in the cache. what: its description for the message. hook: a shell command that
    gets the root as $1. unread: directories of /usr/share that stay empty. Raises LabFailure.
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
    """The command line of a module that builds things: builds the named ones, or all, and prints their paths."""
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
    """Repository, release and component of each of apt's Debian sources. Raises LabFailure if it has none."""
    fields = r"$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = run_command(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"], timeout=60)
    found = [line.split() for line in dict.fromkeys(targets.splitlines())]
    # Nothing is needed from other vendors' repositories, which may be unreachable.
    debian = [entry[1:] for entry in found if len(entry) == 4 and entry[0] == "Debian"]
    if not debian:
        raise LabFailure("apt knows no Debian packages here. `apt-get update` as root fetches its lists.")
    return debian


def _apt_options() -> list[str]:
    """This machine's apt settings for fetching (a proxy, dates that are not checked), for mmdebstrap's apt."""
    settings = run_command(["apt-config", "dump", "--no-empty", "Acquire"], timeout=60).splitlines()
    # mmdebstrap itself chooses which lists to fetch.
    return [f"--aptopt={line}" for line in settings if not line.startswith("Acquire::IndexTargets")]
