"""The run's private directory on this machine: known hosts, the identity's copy, the NBD servers' sockets.

It outlives the process only if it holds the record of a conversion that does: the next start finds it and continues
from there. Removing the record means that nobody will continue.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# /tmp whatever TMPDIR says: a Unix socket's path may have only 107 bytes.
PARENT = Path("/tmp")
PREFIX = "p2v-tui-"
# How long a process that only looks for its own conversion may hold the lock, in seconds.
LOOK_SECONDS = 0.3
# A directory without a lock that is younger than so many seconds is just being made.
MAKING_SECONDS = 2.0


class Workspace:
    """A directory of mode 0700, removed when the context ends unless it holds the record of a conversion.

    It is locked while the process lives, so that others can tell whether it is in use.
    """

    def __init__(self) -> None:
        self._own(Path(tempfile.mkdtemp(prefix=PREFIX, dir=PARENT)))

    @classmethod
    def adopt(cls, path: Path) -> Workspace | None:
        """Takes over a directory that a process left behind; None if the process lives or it is not ours."""
        adopted = cls.__new__(cls)
        try:
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                return None
            if not (path / "lock").exists():
                # Its process was killed before the lock was made, unless the directory is new.
                if time.time() - status.st_mtime < MAKING_SECONDS:
                    return None
                (path / "lock").touch(mode=0o600)
            adopted._own(path, existing=True)
        except OSError:
            return None
        return adopted

    def _own(self, path: Path, *, existing: bool = False) -> None:
        self.path = path
        lock, new = path / "lock", path / "lock.new"
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        flags |= 0 if existing else os.O_CREAT | os.O_EXCL
        descriptor = os.open(lock if existing else new, flags, 0o600)
        self._lock: int | None = descriptor
        try:
            _lock(descriptor)
            if not existing:
                # It gets its name only when it is locked: nobody can adopt a directory that is just being made.
                new.rename(lock)
        except OSError:
            os.close(descriptor)
            raise

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    @property
    def identity(self) -> Path:
        return self.path / "identity"

    @property
    def conversion(self) -> Path:
        """The record of the conversion that runs (`saved_conversion.py`)."""
        return self.path / "conversion.json"

    def nbd_socket(self, number: int) -> Path:
        return self.path / f"nbd{number}.sock"

    def gate_socket(self, number: int, generation: int) -> Path:
        """Where the tunnel of that generation arrives, if it ends in a port over there."""
        return self.path / f"gate{number}.{generation}.sock"

    def nbd_log(self, number: int) -> Path:
        return self.path / f"nbd{number}.log"

    def forget(self) -> None:
        """Removes the record, if any: nobody will continue the conversion."""
        with contextlib.suppress(OSError):
            self.conversion.unlink()

    def close(self) -> None:
        """Removes it, unless it holds a record: then others may adopt it from now on. Works once only."""
        # A second close would close whatever file has the descriptor's number by then.
        lock, self._lock = self._lock, None
        if lock is None:
            return
        if not self.conversion.exists():
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(lock)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(descriptor: int) -> None:
    """Raises OSError if another process has the lock and keeps it."""
    deadline = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK_SECONDS / 20)


def abandoned() -> Iterator[Workspace]:
    """The directories that our processes left behind, each adopted. The caller closes them."""
    # That of the consoles (`consoles.private_directory`) has a name of the same form.
    consoles = PARENT / f"{PREFIX}{os.geteuid()}"
    for path in sorted(PARENT.glob(f"{PREFIX}*")):
        if path != consoles and (workspace := Workspace.adopt(path)) is not None:
            yield workspace
