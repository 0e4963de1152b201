"""What holds for all tests: how hard properties are tried, and what each worker of pytest-xdist has for itself."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings

# No deadline for an example: on a busy machine the start of a shell takes as long as it takes, and that is no bug.
settings.register_profile("full", deadline=None)
# What `make check` asks for, by --hypothesis-profile=quick.
settings.register_profile("quick", settings.get_profile("full"), max_examples=20)
settings.load_profile("full")

_CLONE_NEWNS = 0x00020000
# p2v-tui and the conversion server have their directories there, and tests look for what was left behind.
_PLACES = ("/tmp", "/var/tmp")
_KEY = "own places"
# libguestfs makes its appliance there once, which takes half a minute, and locks it.
_APPLIANCE = Path("/var/tmp", f".guestfs-{os.geteuid()}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """For `-n auto`: two for each processor, because most tests wait; `-n logical` is one for each.

    Only root can give each worker a /tmp of its own, without which one takes another's files for left behind.
    """
    if config.option.numprocesses != "auto":
        return None
    return 2 * (psutil.cpu_count() or 1) if os.geteuid() == 0 else 1


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the process that starts the workers: makes the directories, and removes them when the workers have ended."""
    if os.geteuid() != 0:
        return
    made = {place: tempfile.mkdtemp(prefix="worker-", dir=place) for place in _PLACES}
    node.workerinput[_KEY] = made
    for directory in made.values():
        # Their mounts have ended with the workers, and were never seen from here.
        node.config.add_cleanup(lambda directory=directory: shutil.rmtree(directory, ignore_errors=True))


def pytest_configure(config: pytest.Config) -> None:
    # What conversions took is remembered there: not those of tests.
    os.environ["XDG_STATE_HOME"] = os.devnull
    # nohup, and a shell's background, let us ignore these; a program that is started so rightly does, too.
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if places := getattr(config, "workerinput", {}).get(_KEY):
        # A container may forbid it; what the tests there can do at all, they do with one worker.
        with contextlib.suppress(PermissionError):
            # The files of a failed test are looked at later; the sources may be there too, and so may Python.
            shared = (Path(config.option.basetemp).parent, config.rootpath, Path(sys.prefix))
            _mount_own(places, (*shared, _APPLIANCE))


def _mount_own(places: Mapping[str, str], shared: Iterable[Path]) -> None:
    """From here on this process and its children see the directories as these places.

    shared: the directories in them that stay the same ones. Raises PermissionError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    _mount("--make-rprivate", "/")
    _APPLIANCE.mkdir(mode=0o700, exist_ok=True)
    for place, own in places.items():
        Path(own).chmod(0o1777)
        for kept in shared:
            if kept.is_relative_to(place):
                inside = own / kept.relative_to(place)
                inside.mkdir(parents=True, exist_ok=True)
                _mount("--bind", str(kept), str(inside))
        _mount("--rbind", own, place)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
