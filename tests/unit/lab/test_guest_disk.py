"""Copies of the guest disk are private and sparse, and the cache is where the user's cache is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.debian import cache_directory
from tests.lab.guest_disk import private_copy


def test_a_private_copy_is_writable_and_sparse(tmp_path: Path) -> None:
    image = tmp_path / "system.img"
    with image.open("wb") as file:
        file.write(b"guest")
        file.truncate(64 << 20)
    image.chmod(0o444)
    copies = tmp_path / "copies"
    copies.mkdir()
    copy = private_copy(image, copies)
    assert copy.read_bytes() == image.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.stat().st_blocks * 512 < 1 << 20


def test_the_cache_follows_xdg_and_ignores_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    try:
        for value, expected in ((str(tmp_path / "xdg"), tmp_path / "xdg"), ("here", tmp_path / "home" / ".cache")):
            monkeypatch.setenv("XDG_CACHE_HOME", value)
            cache_directory.cache_clear()
            assert cache_directory() == expected / "p2v-tui"
    finally:
        cache_directory.cache_clear()
