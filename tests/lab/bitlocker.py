"""A BitLocker volume made without Windows: enough of the format to try a password on it.

It has the fields that cryptsetup reads (lib/bitlk/bitlk.c), and cryptsetup and blkid accept it. The volume has no
file system: its data are zeros.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
from pathlib import Path

from tests.lab.commands import program

SIZE = 20 * 1024 * 1024
_SIGNATURE = b"-FVE-FS-"
_METADATA = (1024 * 1024, 2 * 1024 * 1024, 3 * 1024 * 1024)
_WINDOWS_7 = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
_AES_XTS_128 = 0x8004
_ENCRYPTED = 4
# Types of entries, and of their values.
_VOLUME_MASTER_KEY, _FULL_VOLUME_KEY = 2, 3
_STRETCHED, _SEALED, _MASTER_KEY = 3, 5, 8
_BY_RECOVERY_PASSWORD, _BY_PASSWORD = 0x0800, 0x2000
_ROUNDS = 0x100000


def recovery_password(number: int = 0) -> str:
    """A valid recovery password: eight groups of six digits, each divisible by eleven."""
    return "-".join(f"{(number + group + 1) * 11 * 311:06d}" for group in range(8))


def bitlocker_volume(path: Path, password: str, recovery: str) -> Path:
    """Makes an image that is a BitLocker volume without a partition table; either password opens it."""
    master, data_key = os.urandom(32), os.urandom(32)
    by_password = hashlib.sha256(hashlib.sha256(password.encode("utf-16-le")).digest()).digest()
    groups = [int(group) // 11 for group in recovery.split("-")]
    by_recovery = hashlib.sha256(struct.pack("<8H", *groups)).digest()
    entries = [
        _master_key_entry(master, by_password, _BY_PASSWORD),
        _master_key_entry(master, by_recovery, _BY_RECOVERY_PASSWORD),
        _entry(_FULL_VOLUME_KEY, _SEALED, _sealed(data_key, _AES_XTS_128, master)),
    ]
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.write(struct.pack("<3s8sH", b"\xeb\x58\x90", _SIGNATURE, 512))
        file.seek(160)
        file.write(_WINDOWS_7 + struct.pack("<3Q", *_METADATA))
        for place in _METADATA:
            file.seek(place)
            file.write(_metadata(b"".join(entries)))
    return path


def _metadata(entries: bytes) -> bytes:
    size = 48 + len(entries)
    block = struct.pack(
        "<8s4HQ2I4Q",
        *(_SIGNATURE, (64 + size + 15) // 16, 2, _ENCRYPTED, _ENCRYPTED, SIZE, 0, 16),
        *(*_METADATA, _METADATA[0] + 65536),
    )
    created = 132_000_000_000_000_000
    return block + struct.pack("<4I16sI2HQ", size, 1, 48, size, os.urandom(16), 1, _AES_XTS_128, 0, created) + entries


def _entry(kind: int, value: int, content: bytes) -> bytes:
    return struct.pack("<4H", 8 + len(content), kind, value, 1) + content


def _master_key_entry(master: bytes, secret: bytes, protection: int) -> bytes:
    salt = os.urandom(16)
    stretched = _stretched(secret, salt)
    content = struct.pack("<16s8s2H", os.urandom(16), bytes(8), 0, protection)
    content += _entry(0, _STRETCHED, struct.pack("<I", 0x1000) + salt)
    content += _entry(0, _SEALED, _sealed(master, 0x2003, stretched))
    return _entry(_VOLUME_MASTER_KEY, _MASTER_KEY, content)


def _stretched(secret: bytes, salt: bytes) -> bytes:
    """A million rounds, which make each attempt slow."""
    last, tail = bytes(32), secret + salt
    for count in range(_ROUNDS):
        last = hashlib.sha256(last + tail + count.to_bytes(8, "little")).digest()
    return last


def _sealed(key: bytes, method: int, by: bytes) -> bytes:
    """A key, encrypted with another one: AES-256-CCM with a nonce of 12 bytes and a tag of 16."""
    plain = struct.pack("<HHHHI", 12 + len(key), 0, 1, 1, method) + key
    nonce = os.urandom(12)
    # RFC 3610: no additional data, a tag of 16 bytes, a length field of three.
    first = bytes([((16 - 2) // 2) << 3 | 2]) + nonce + len(plain).to_bytes(3, "big")
    padded = first + plain + bytes(-len(plain) % 16)
    tag = _openssl("aes-256-cbc", by, bytes(16), padded)[-16:]
    counted = _openssl("aes-256-ctr", by, b"\x02" + nonce + bytes(3), tag + plain)
    return nonce + counted


def _openssl(cipher: str, key: bytes, start: bytes, plain: bytes) -> bytes:
    command = [program("openssl"), "enc", f"-{cipher}", "-nopad", "-K", key.hex(), "-iv", start.hex()]
    return subprocess.run(command, input=plain, capture_output=True, check=True, timeout=60).stdout
