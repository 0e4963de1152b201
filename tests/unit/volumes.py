"""Makes real file systems and partition tables in image files, by the tools that a machine's were made by."""

from __future__ import annotations

import contextlib
import shutil
import signal
import struct
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

MIB = 1 << 20
RESTART_PAGE = 4096


def run(name: str, *arguments: str | Path, stdin: bytes = b"", status: int = 0) -> bytes:
    """Runs a program and returns its output; a missing one is a failure that names it, and so is another status."""
    path = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        pytest.fail(f"{name} is not installed; debian-packages.txt lists what the tests need.")
    done = subprocess.run([path, *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    if done.returncode != status:
        pytest.fail(f"{name} ended with {done.returncode}: {done.stdout!r} {done.stderr!r}")
    return done.stdout


def empty(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def ntfs(
    path: Path, *, files: Sequence[tuple[str, bytes]] = (), size: int = 16 * MIB, options: Sequence[str] = ()
) -> Path:
    """A clean NTFS with these files in its root directory. options: for mkntfs."""
    run("mkntfs", "-F", "-q", "-Q", "-L", "System", *options, empty(path, size))
    for name, content in files:
        source = path.with_suffix(".content")
        source.write_bytes(content)
        run("ntfscp", "-f", path, source, name)
    return path


@contextlib.contextmanager
def mounted_ntfs(image: Path, point: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """The file system mounted there, and the process that serves it. Root only. At the end everything is written."""
    point.mkdir()
    server = subprocess.Popen(["ntfs-3g", "-o", "no_detach", image, point], stderr=subprocess.DEVNULL)
    try:
        while not point.is_mount():
            assert server.poll() is None, "ntfs-3g could not mount it"
            time.sleep(0.02)
        yield point, server
    finally:
        server.send_signal(signal.SIGCONT)
        run("umount", point)
        server.wait()


def dirty(path: Path) -> None:
    """Sets the flag by which Windows asks for a check of the file system."""
    image = bytearray(path.read_bytes())
    # $Volume's own record, found by its magic and its number; its attribute of type 0x70 ends in the flags.
    for start in range(0, len(image), 1024):
        if image[start : start + 4] == b"FILE" and struct.unpack_from("<I", image, start + 0x2C) == (3,):
            at = start + struct.unpack_from("<H", image, start + 0x14)[0]
            while struct.unpack_from("<I", image, at) != (0x70,):
                at += struct.unpack_from("<I", image, at + 4)[0]
            value = at + struct.unpack_from("<H", image, at + 0x14)[0]
            image[value + 10] |= 1
    path.write_bytes(image)


@dataclass(frozen=True)
class RestartPage:
    """What a restart page of the log says. in_use: somebody has the log open. clean: the volume's own flag."""

    version: tuple[int, int] = (1, 1)
    in_use: bool = True
    clean: bool = False
    lsn: int = 100

    def encoded(self, log_size: int) -> bytes:
        """The page as Windows begins its log with, for a log of that size in bytes."""
        page = bytearray(RESTART_PAGE)
        area, client = 0x30, 0x30 + 0x30
        struct.pack_into("<4sHHQIIHHH", page, 0, b"RSTR", 0x1E, 9, 0, 4096, 4096, area, *reversed(self.version))
        free, used = (0xFFFF, 0) if self.in_use else (0, 0xFFFF)
        flags, number_bits = 2 if self.clean else 0, 67 - log_size.bit_length()
        lengths = (0xD0, 0x30, log_size, 0, 0x30, 0x40)
        struct.pack_into("<QHHHHIHHQIHH", page, area, self.lsn, 1, free, used, flags, number_bits, *lengths)
        struct.pack_into("<QQHHHH4xI8s", page, client, 0, 0, 0xFFFF, 0xFFFF, 0, 0, 8, "NTFS".encode("utf-16-le"))
        # The last two bytes of each sector stand in the array at 0x1e, and a number in their place.
        struct.pack_into("<H", page, 0x1E, 7)
        for sector in range(8):
            end = (sector + 1) * 512
            page[0x20 + 2 * sector : 0x22 + 2 * sector] = page[end - 2 : end]
            struct.pack_into("<H", page, end - 2, 7)
        return bytes(page)


def write_log(path: Path, first: RestartPage, second: RestartPage | None = None) -> None:
    """Begins the log with these pages; mkntfs leaves an empty one, which is all 0xff."""
    log = run("ntfscat", "-f", "-i", "2", path)
    changed = path.with_suffix(".log")
    pages = first.encoded(len(log)) + (second or first).encoded(len(log))
    changed.write_bytes(pages + log[len(pages) :])
    # 2 is the log's number in the master file table.
    run("ntfscp", "-f", "-i", path, changed, "2")


def partitioned(path: Path, table: str, parts: Sequence[Path | None], *, type_words: Sequence[str] = ()) -> Path:
    """A disk image with these volumes, each in a partition of its own; None for one with nothing on it.

    table: `dos` or `gpt`. type_words: what sfdisk is told of each beside start and size, such as `type=uefi`.
    """
    sizes = [part.stat().st_size if part else MIB for part in parts]
    starts = [MIB + sum(sizes[:number]) for number in range(len(sizes))]
    # Room at the end for the second table of GPT.
    empty(path, MIB + sum(sizes) + MIB)
    words = [*type_words, *[""] * (len(parts) - len(type_words))]
    lines = [
        ", ".join(filter(None, [f"start={start // 512}", f"size={size // 512}", word]))
        for start, size, word in zip(starts, sizes, words, strict=True)
    ]
    run("sfdisk", "-q", path, stdin="\n".join([f"label: {table}", *lines, ""]).encode())
    with path.open("r+b") as image:
        for part, start in zip(parts, starts, strict=True):
            image.seek(start)
            image.write(part.read_bytes() if part else b"")
    return path


def swap(path: Path, *, suspended: bool = False) -> Path:
    """A swap area; suspended: with the mark of a Linux whose memory is in it."""
    run("mkswap", empty(path, 2 * MIB))
    if suspended:
        with path.open("r+b") as image:
            image.seek(4096 - 10)
            image.write(b"S1SUSPEND\0")
    return path


def luks(path: Path, passphrase: str = "open sesame") -> Path:
    """A LUKS2 volume whose passphrase takes no time to check."""
    cheap = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--luks2-keyslots-size", "1m"]
    empty(path, 8 * MIB)
    run("cryptsetup", "luksFormat", "-q", "--type", "luks2", *cheap, path, "-", stdin=passphrase.encode())
    return path


def md_member(*, level: int, devices: int, events: int, number: int = 0) -> bytes:
    """The beginning of a member of a software RAID with metadata of version 1.2 (Linux, md_p.h).

    number: of the member; those after the first `devices` are spares.
    """
    most = 16
    block = bytearray(256 + 2 * most)
    struct.pack_into("<II", block, 0, 0xA92B4EFC, 1)
    block[16:32] = uuid.uuid4().bytes
    struct.pack_into("<QI", block, 64, 1700000000, level)
    struct.pack_into("<Q4xI", block, 80, 2048, devices)
    struct.pack_into("<QQQ", block, 128, 2048, 2048, 8)
    struct.pack_into("<I", block, 160, number)
    block[168:184] = uuid.uuid4().bytes
    struct.pack_into("<QQQII", block, 192, 1700000000, events, (1 << 64) - 1, 0, most)
    struct.pack_into(f"<{most}H", block, 256, *range(devices), *[0xFFFF] * (most - devices))
    total = sum(word for (word,) in struct.iter_unpack("<I", block))
    struct.pack_into("<I", block, 216, (total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF)
    return (bytes(4096) + bytes(block)).ljust(4 << 20, b"\0")
