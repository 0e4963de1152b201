"""The run's private directory on this machine: known hosts, the identity's copy, the NBD servers' sockets."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType


class Workspace:
    """A directory of mode 0700 that is gone when the context ends.

    It is made under /tmp whatever TMPDIR says: a Unix socket's path has room for 107 bytes only.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="p2v-tui-", dir="/tmp"))

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    @property
    def identity(self) -> Path:
        return self.path / "identity"

    def nbd_socket(self, number: int) -> Path:
        return self.path / f"nbd{number}.sock"

    def nbd_log(self, number: int) -> Path:
        return self.path / f"nbd{number}.log"

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
