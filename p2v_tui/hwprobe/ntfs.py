"""Finds out in which state Windows left an NTFS file system, and whether it has Windows on it.

It reads a few records and changes nothing: ntfs-3g's own tool for this (ntfs-3g.probe) opens the device for writing,
and cannot read at an offset of a disk image. Unsafe is what ntfs-3g refuses to mount for writing
(libntfs-3g/volume.c, logfile.c), as libguestfs mounts with it. It does not write, and does not read files beyond
their first bytes. What cannot be read is unknown.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final


class NtfsState(enum.Enum):
    """DIRTY: not shut down, or Windows wants to check it. HELD: Windows keeps a part of it in memory, as for Fast
    Startup, and since Windows 8 after a power cut. HIBERNATED: Windows hibernates on it.
    """

    CLEAN = "clean"
    DIRTY = "dirty"
    HELD = "held"
    HIBERNATED = "hibernated"


@dataclass(frozen=True)
class NtfsFindings:
    """system: it has Windows on it, or its boot files. state: None if unknown."""

    system: bool
    state: NtfsState | None


# Reads so many bytes at an offset of the file system; fewer only at its end.
Read = Callable[[int, int], bytes]

# Records at fixed numbers of the master file table, all in its first extent.
_MFT, _LOG_FILE, _VOLUME, _ROOT = 0, 2, 3, 5
# Types of attributes.
_ATTRIBUTE_LIST, _VOLUME_INFORMATION, _DATA, _INDEX_ROOT, _INDEX_ALLOCATION = 0x20, 0x70, 0x80, 0x90, 0xA0
_END: Final = 0xFFFFFFFF
_VOLUME_IS_DIRTY: Final = 1
_RESTART_VOLUME_IS_CLEAN: Final = 2
_NO_CLIENT: Final = 0xFFFF
_LAST_ENTRY: Final = 2
_RECORD_NUMBER: Final = (1 << 48) - 1

# The flag of a directory, beside DOS's flags.
_IS_DIRECTORY: Final = 0x10000000
_BOOT_FILES: Final = frozenset({"bootmgr", "ntldr"})
_SYSTEM_DIRECTORIES: Final = frozenset({"windows", "winnt"})
_HIBERNATION_FILE: Final = "hiberfil.sys"
_HIBERNATION_HEADER: Final = 4096
# No root directory is that long, but a damaged one may claim to be.
_MAX_INDEX: Final = 4 << 20
_MAX_RECORD: Final = 1 << 16
_MAX_CLUSTER: Final = 2 << 20
_MAX_OFFSET: Final = 1 << 62
_MAX_LIST: Final = 1 << 18
_MAX_PARTS: Final = 1000


class _Unreadable(Exception):
    """The file system is not valid."""


def examine_ntfs(read: Read) -> NtfsFindings:
    """Examines what Windows left there. Raises OSError if the device cannot be read."""
    try:
        volume = _Volume(read)
        files = {entry.name.lower(): entry for entry in volume.root_entries()}
    except (_Unreadable, struct.error):
        return NtfsFindings(system=False, state=None)
    system = any(name in files for name in _BOOT_FILES) or any(
        name in files and files[name].directory for name in _SYSTEM_DIRECTORIES
    )
    try:
        return NtfsFindings(system, _state(volume, files.get(_HIBERNATION_FILE)))
    except (_Unreadable, struct.error):
        return NtfsFindings(system, None)


def _state(volume: _Volume, hibernation_file: _Entry | None) -> NtfsState:
    if hibernation_file:
        header = volume.stream(hibernation_file.record, _DATA).read(0, _HIBERNATION_HEADER)
        # A short one lies on a volume beside the system's (ntfs-3g, ntfs_volume_check_hiberfile).
        if len(header) < _HIBERNATION_HEADER or header[:4].upper() == b"HIBR":
            return NtfsState.HIBERNATED
    log = _last_restart(volume.stream(_LOG_FILE, _DATA))
    if log and log.version == (2, 0):
        return NtfsState.HELD
    information = volume.stream(_VOLUME, _VOLUME_INFORMATION).read(0, 12)
    (flags,) = struct.unpack_from("<H", information, 10)
    return NtfsState.DIRTY if flags & _VOLUME_IS_DIRTY or (log and not log.clean) else NtfsState.CLEAN


@dataclass(frozen=True)
class _Restart:
    """A restart page of the log: how the log was left. lsn: greater in the later of two pages."""

    lsn: int
    version: tuple[int, int]
    clean: bool


def _last_restart(log: _Stream) -> _Restart | None:
    """The later restart page; None for an empty log, which needs no recovery."""
    pages = [_restart(log.read(0, 4096))]
    pages.append(_restart(log.read(4096, 4096)))
    return max((page for page in pages if page), key=lambda page: page.lsn, default=None)


def _restart(page: bytes) -> _Restart | None:
    if page[:4] not in (b"RSTR", b"CHKD"):
        return None
    page = _apply_fixups(page)
    area, minor, major = struct.unpack_from("<HHH", page, 0x18)
    lsn, in_use, flags = struct.unpack_from("<Q4xHH", page, area)
    return _Restart(lsn, (major, minor), in_use == _NO_CLIENT or bool(flags & _RESTART_VOLUME_IS_CLEAN))


@dataclass(frozen=True)
class _Entry:
    """One name in a directory. record: the file's number in the master file table."""

    name: str
    record: int
    directory: bool


@dataclass(frozen=True)
class _Stream:
    """An attribute's content. value: if it is in the record itself; else runs: clusters by extent.

    A run is (first cluster, number of clusters); the first is None for a hole. size: bytes.
    """

    size: int
    value: bytes | None
    runs: tuple[tuple[int | None, int], ...]
    cluster: int
    device: Read

    def read(self, offset: int, length: int) -> bytes:
        """Fewer bytes at the end. Raises _Unreadable if the record does not say where they are."""
        length = max(0, min(length, self.size - offset))
        if self.value is not None:
            return self.value[offset : offset + length]
        found = b""
        start = 0
        for first, count in self.runs:
            end = start + count * self.cluster
            while len(found) < length and start <= offset + len(found) < end:
                at = offset + len(found) - start
                part = min(length - len(found), end - start - at)
                got = bytes(part) if first is None else self.device(first * self.cluster + at, part)
                if len(got) < part:
                    raise _Unreadable
                found += got
            start = end
        if len(found) < length:
            raise _Unreadable
        return found


@dataclass(frozen=True)
class _Attribute:
    """One attribute of a record, or a part of one. start: its first cluster within the stream."""

    kind: int
    named: bool
    start: int
    stream: _Stream


class _Volume:
    """Raises _Unreadable or struct.error on opening and in every method if something is not valid."""

    def __init__(self, read: Read) -> None:
        boot = read(0, 512)
        sector, per_cluster = struct.unpack_from("<HB", boot, 0x0B)
        (mft,) = struct.unpack_from("<Q", boot, 0x30)
        (record_size,) = struct.unpack_from("<b", boot, 0x40)
        cluster = sector * (per_cluster if per_cluster <= 0x80 else 1 << (256 - per_cluster))
        record = 1 << -record_size if record_size < 0 else record_size * cluster
        if boot[3:11] != b"NTFS    " or not 256 <= cluster <= _MAX_CLUSTER or not 512 <= record <= _MAX_RECORD:
            raise _Unreadable
        self._read = read
        self._cluster = cluster
        self._record_size = record
        # The beginning of the table, which is enough to find the rest.
        self._mft = _joined(self._attributes(_apply_fixups(self._read_at(mft * cluster, record))), _DATA)
        self._mft = self.stream(_MFT, _DATA)

    def stream(self, record: int, kind: int) -> _Stream:
        """The attribute of this type: the unnamed one, or for an index that of file names."""
        attributes = list(self._attributes(self._record(record)))
        if any(attribute.kind == _ATTRIBUTE_LIST for attribute in attributes):
            elsewhere = set(_listed(_joined(attributes, _ATTRIBUTE_LIST), kind)) - {record}
            attributes += [
                attribute
                for number in sorted(elsewhere)[:_MAX_PARTS]
                for attribute in self._attributes(self._record(number))
            ]
        return _joined(attributes, kind)

    def root_entries(self) -> Iterator[_Entry]:
        root = self.stream(_ROOT, _INDEX_ROOT)
        content = root.read(0, self._record_size)
        (block_size, large) = struct.unpack_from("<I16xI", content, 8)
        yield from _entries(content[16:])
        if not large & 1 or not 512 <= block_size <= _MAX_RECORD:
            return
        allocation = self.stream(_ROOT, _INDEX_ALLOCATION)
        for offset in range(0, min(allocation.size, _MAX_INDEX), block_size):
            block = allocation.read(offset, block_size)
            # An unused block may not have been written yet.
            if block[:4] == b"INDX":
                yield from _entries(_apply_fixups(block)[0x18:])

    def _record(self, number: int) -> bytes:
        return _apply_fixups(self._mft.read(number * self._record_size, self._record_size))

    def _attributes(self, record: bytes) -> Iterator[_Attribute]:
        if record[:4] != b"FILE":
            raise _Unreadable
        (offset,) = struct.unpack_from("<H", record, 0x14)
        while (kind := struct.unpack_from("<I", record, offset)[0]) != _END:
            length, non_resident, name_length = struct.unpack_from("<IBB", record, offset + 4)
            if length < 24:
                raise _Unreadable
            attribute = record[offset : offset + length]
            start = struct.unpack_from("<Q", attribute, 0x10)[0] if non_resident else 0
            yield _Attribute(kind, bool(name_length), start, self._stream(attribute, bool(non_resident)))
            offset += length

    def _stream(self, attribute: bytes, non_resident: bool) -> _Stream:
        if not non_resident:
            size, start = struct.unpack_from("<IH", attribute, 0x10)
            value = attribute[start : start + size]
            return _Stream(len(value), value, (), self._cluster, self._read_at)
        (start,) = struct.unpack_from("<H", attribute, 0x20)
        (size,) = struct.unpack_from("<Q", attribute, 0x30)
        return _Stream(size, None, tuple(_runs(attribute[start:])), self._cluster, self._read_at)

    def _read_at(self, offset: int, length: int) -> bytes:
        if offset > _MAX_OFFSET:
            raise _Unreadable
        return self._read(offset, length)


def _joined(attributes: Iterable[_Attribute], kind: int) -> _Stream:
    """The stream whose parts are among these attributes; only its first part knows its size."""
    named = kind in (_INDEX_ROOT, _INDEX_ALLOCATION)
    parts = sorted((it for it in attributes if it.kind == kind and it.named == named), key=lambda it: it.start)
    if not parts or parts[0].start != 0:
        raise _Unreadable
    return replace(parts[0].stream, runs=tuple(run for part in parts for run in part.stream.runs))


def _listed(attribute_list: _Stream, kind: int) -> Iterator[int]:
    """The numbers of the records that hold attributes of this type."""
    entries = attribute_list.read(0, _MAX_LIST)
    while entries:
        found, length = struct.unpack_from("<IH", entries)
        (record,) = struct.unpack_from("<Q", entries, 0x10)
        if length < 0x18:
            raise _Unreadable
        if found == kind:
            yield record & _RECORD_NUMBER
        entries = entries[length:]


def _runs(pairs: bytes) -> Iterator[tuple[int | None, int]]:
    """The extents in the mapping pairs of an attribute."""
    cluster = 0
    while pairs and pairs[0]:
        count_bytes, step_bytes = pairs[0] & 0x0F, pairs[0] >> 4
        end = 1 + count_bytes + step_bytes
        if len(pairs) < end:
            raise _Unreadable
        count = int.from_bytes(pairs[1 : 1 + count_bytes], "little")
        cluster += int.from_bytes(pairs[1 + count_bytes : end], "little", signed=True)
        if cluster < 0:
            raise _Unreadable
        yield (cluster if step_bytes else None), count
        pairs = pairs[end:]


def _entries(index: bytes) -> Iterator[_Entry]:
    """The entries of an index. index: from its header on."""
    (offset,) = struct.unpack_from("<I", index)
    while True:
        record, length, key_length, flags = struct.unpack_from("<QHHH", index, offset)
        if flags & _LAST_ENTRY:
            return
        if length < 0x52 or key_length < 0x42:
            raise _Unreadable
        (attributes,) = struct.unpack_from("<I", index, offset + 16 + 0x38)
        (letters,) = struct.unpack_from("<B", index, offset + 16 + 0x40)
        name = index[offset + 16 + 0x42 :][: 2 * letters].decode("utf-16-le", errors="replace")
        yield _Entry(name, record & _RECORD_NUMBER, bool(attributes & _IS_DIRECTORY))
        offset += length


def _apply_fixups(block: bytes) -> bytes:
    """Restores the last two bytes of each sector, which NTFS replaces to detect incomplete writes. Raises _Unreadable
    after an incomplete write.
    """
    start, count = struct.unpack_from("<HH", block, 4)
    marks = block[start : start + 2 * count]
    if count < 2 or len(marks) < 2 * count or len(block) % (count - 1):
        raise _Unreadable
    fixed = bytearray(block)
    stride = len(block) // (count - 1)
    for number in range(1, count):
        end = number * stride
        if block[end - 2 : end] != marks[:2]:
            raise _Unreadable
        fixed[end - 2 : end] = marks[2 * number : 2 * number + 2]
    return bytes(fixed)
