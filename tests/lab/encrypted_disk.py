"""Small disk images with an encrypted volume in them, made by cryptsetup itself, with keys that are cheap to try."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.commands import program

MIB = 1024 * 1024
# Where the second, encrypted partition is. LUKS 2 needs 16 MiB for itself.
START = 9 * MIB
SIZE = 20 * MIB


def luks_volume(
    path: Path, passphrase: str | bytes, *, uuid: str | None = None, version: int = 2, iterations: int = 1000
) -> Path:
    """An image that is a LUKS volume as a whole. iterations: a million take about half a second for each try."""
    with path.open("wb") as file:
        file.truncate(SIZE)
    cost = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", str(iterations)]
    options = ["--batch-mode", "--type", f"luks{version}", *cost, *(["--uuid", uuid] if uuid else [])]
    key = passphrase.encode() if isinstance(passphrase, str) else passphrase
    command = [program("cryptsetup"), "luksFormat", *options, "--key-file", "-", str(path)]
    subprocess.run(command, input=key, check=True, capture_output=True, timeout=120)
    return path


def luks_disk(
    path: Path, passphrase: str | bytes, *, uuid: str | None = None, version: int = 2, iterations: int = 1000
) -> Path:
    """An image with two partitions, the second one a LUKS volume."""
    with tempfile.TemporaryDirectory() as directory:
        volume = Path(directory) / "volume"
        luks_volume(volume, passphrase, uuid=uuid, version=version, iterations=iterations)
        return partitioned(path, volume)


def partitioned(path: Path, volume: Path) -> Path:
    """An image with two partitions, the second one with this volume."""
    size = volume.stat().st_size
    with path.open("wb") as file:
        file.truncate(START + size + MIB)
    table = f"label: gpt\nstart={MIB // 512}, size={(START - MIB) // 512}\nstart={START // 512}, size={size // 512}\n"
    subprocess.run(
        [program("sfdisk"), "--quiet", str(path)], input=table.encode(), check=True, capture_output=True, timeout=60
    )
    with path.open("r+b") as disk, volume.open("rb") as content:
        disk.seek(START)
        shutil.copyfileobj(content, disk)
    return path
