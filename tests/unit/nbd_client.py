"""A small NBD client, for what a real one would refuse to try: writing to an export that says it is read-only."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

_OPTION_EXPORT_NAME = 1
_REQUEST = 0x25609513
_REPLY = 0x67446698
_READ, _WRITE, _DISCONNECT, _TRIM, _WRITE_ZEROES = 0, 1, 2, 4, 6
_READ_ONLY = 1 << 1


class NbdClient:
    """A connection to the default export (fixed newstyle, oldest option). size: bytes.

    timeout: seconds for each answer. Raises OSError when there is no answer, or none that serves.
    """

    def __init__(self, path: Path, timeout: float = 20) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
            magic, option, _ = struct.unpack(">8s8sH", self._receive(18))
            assert (magic, option) == (b"NBDMAGIC", b"IHAVEOPT")
            # Fixed newstyle, and no zeroes after the handshake.
            self._socket.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", _OPTION_EXPORT_NAME, 0))
            self.size, self._flags = struct.unpack(">QH", self._receive(10))
        except OSError:
            self._socket.close()
            raise

    @property
    def says_read_only(self) -> bool:
        return bool(self._flags & _READ_ONLY)

    def read(self, offset: int, length: int) -> bytes:
        assert self._request(_READ, offset, length) == 0
        return self._receive(length)

    def ask_to_read(self, offset: int, length: int) -> None:
        """Sends the request; `reply` takes what comes."""
        self._socket.sendall(struct.pack(">IHHQQI", _REQUEST, 0, _READ, offset, offset, length))

    def reply(self, length: int) -> bytes:
        """The data of the next reply to a read of that length."""
        magic, error, _ = struct.unpack(">IIQ", self._receive(16))
        assert (magic, error) == (_REPLY, 0)
        return self._receive(length)

    def write(self, offset: int, data: bytes) -> int:
        """The server's error number; 0 where it wrote."""
        return self._request(_WRITE, offset, len(data), data)

    def trim(self, offset: int, length: int) -> int:
        return self._request(_TRIM, offset, length)

    def write_zeroes(self, offset: int, length: int) -> int:
        return self._request(_WRITE_ZEROES, offset, length)

    def _request(self, command: int, offset: int, length: int, data: bytes = b"") -> int:
        self._socket.sendall(struct.pack(">IHHQQI", _REQUEST, 0, command, 7, offset, length) + data)
        magic, error, handle = struct.unpack(">IIQ", self._receive(16))
        assert (magic, handle) == (_REPLY, 7)
        assert isinstance(error, int)
        return error

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(min(count - len(data), 1 << 20))
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
        return bytes(data)

    def __enter__(self) -> NbdClient:
        return self

    def __exit__(self, *_: object) -> None:
        # The server may have gone first.
        with contextlib.suppress(OSError):
            self._socket.sendall(struct.pack(">IHHQQI", _REQUEST, 0, _DISCONNECT, 0, 0, 0))
        self._socket.close()
