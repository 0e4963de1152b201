"""A disk that is slow or broken in places: a file whose reads the test answers, through the kernel's FUSE.

    with OddDisk(directory, data) as disk: disk.hang_at(offset); ... disk.path ...; disk.go_on()

It implements the protocol for reading one file (include/uapi/linux/fuse.h, version 7.31), without a FUSE library.
Needs root.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import errno
import os
import stat
import struct
import threading
from pathlib import Path
from typing import Final, Self

NAME: Final = "disk.img"
_IN: Final = struct.Struct("<IIQQIIIHH")
_OUT: Final = struct.Struct("<IiQ")
_ATTRIBUTES: Final = struct.Struct("<QQQQQQIIIIIIIIII")
_ENTRY: Final = struct.Struct("<QQQQII")
_READ: Final = struct.Struct("<QQI")


class _Operation(enum.IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    RELEASE = 18
    FLUSH = 25
    INIT = 26
    INTERRUPT = 36
    BATCH_FORGET = 42


_ROOT, _FILE = 1, 2
# The file's reads are not cached: each comes to us, with the reader's length.
_DIRECT_IO: Final = 1
_ASYNC_READ: Final = 1
_LARGEST: Final = 128 * 1024
_MS_NOSUID_NODEV: Final = 2 | 4
_MNT_DETACH: Final = 2
_libc = ctypes.CDLL(None, use_errno=True)


class OddDisk:
    """path: the disk. reached: set when somebody reads where it hangs. size: in bytes."""

    def __init__(self, directory: Path, data: bytes) -> None:
        self.path = directory / NAME
        self.size = len(data)
        self.reached = threading.Event()
        self._directory = directory
        self._data = data
        self._hangs: int | None = None
        self._fails: int | None = None
        self._released = threading.Event()

    def hang_at(self, offset: int) -> None:
        """Reads of that byte are not answered before `go_on`."""
        self._hangs = offset

    def fail_at(self, offset: int) -> None:
        """Reads of that byte fail with an I/O error from now on."""
        self._fails = offset

    def go_on(self) -> None:
        self._released.set()

    def __enter__(self) -> Self:
        self._directory.mkdir(exist_ok=True)
        self._fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fuse},rootmode=40000,user_id=0,group_id=0,allow_other,max_read={_LARGEST}"
        target = os.fsencode(self._directory)
        if _libc.mount(b"odd-disk", target, b"fuse", _MS_NOSUID_NODEV, options.encode()) != 0:
            os.close(self._fuse)
            raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        _libc.umount2(os.fsencode(self._directory), _MNT_DETACH)
        self._thread.join(20)
        os.close(self._fuse)

    def _serve(self) -> None:
        # ENODEV after the unmount.
        with contextlib.suppress(OSError):
            while True:
                request = os.read(self._fuse, _LARGEST + 4096)
                _, operation, unique, node, *_ = _IN.unpack_from(request)
                self._answer(operation, unique, node, request[_IN.size :])

    def _answer(self, operation: int, unique: int, node: int, body: bytes) -> None:
        match operation:
            case _Operation.FORGET | _Operation.INTERRUPT | _Operation.BATCH_FORGET:
                # Nobody waits.
                pass
            case _Operation.INIT:
                limits = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, _ASYNC_READ, 32, 24, 4096, 1, 32, 0, 0)
                self._reply(unique, limits)
            case _Operation.LOOKUP if body.rstrip(b"\0") == NAME.encode():
                self._reply(unique, _ENTRY.pack(_FILE, 0, 0, 0, 0, 0) + self._attributes(_FILE))
            case _Operation.GETATTR:
                self._reply(unique, struct.pack("<QII", 0, 0, 0) + self._attributes(node))
            case _Operation.OPEN:
                self._reply(unique, struct.pack("<QII", 0, _DIRECT_IO, 0))
            case _Operation.READ:
                _, offset, length = _READ.unpack_from(body)
                self._read(unique, offset, length)
            case _Operation.RELEASE | _Operation.FLUSH:
                self._reply(unique, b"")
            case _Operation.LOOKUP:
                self._reply(unique, b"", errno.ENOENT)
            case _:
                self._reply(unique, b"", errno.ENOSYS)

    def _read(self, unique: int, offset: int, length: int) -> None:
        if self._hangs is not None and offset <= self._hangs < offset + length and not self._released.is_set():
            self.reached.set()
            threading.Thread(target=self._read_later, args=(unique, offset, length), daemon=True).start()
        elif self._fails is not None and offset <= self._fails < offset + length:
            self._reply(unique, b"", errno.EIO)
        else:
            self._reply(unique, self._data[offset : min(offset + length, self.size)])

    def _read_later(self, unique: int, offset: int, length: int) -> None:
        self._released.wait()
        # The reader may have ended.
        with contextlib.suppress(OSError):
            self._read(unique, offset, length)

    def _reply(self, unique: int, body: bytes, error: int = 0) -> None:
        os.write(self._fuse, _OUT.pack(_OUT.size + len(body), -error, unique) + body)

    def _attributes(self, node: int) -> bytes:
        mode, size = (stat.S_IFREG | 0o644, self.size) if node == _FILE else (stat.S_IFDIR | 0o755, 0)
        return _ATTRIBUTES.pack(node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
