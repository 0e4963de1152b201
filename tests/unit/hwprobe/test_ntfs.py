"""How Windows left an NTFS file system, on real ones; ntfs-3g is the judge of what can be mounted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.hwprobe.ntfs import NtfsFindings, NtfsState, examine_ntfs
from tests.unit.volumes import MIB, RestartPage, dirty, mounted_ntfs, ntfs, run, write_log

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devices")]

HIBERNATION = b"HIBR" + bytes(8188)
# Exit codes of ntfs-3g.probe --readwrite: it mounts; Windows sleeps on it or keeps metadata; it is not clean.
MOUNTS, HELD, UNCLEAN = 0, 14, 15


def examine(path: Path) -> NtfsFindings:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return examine_ntfs(lambda offset, length: os.pread(descriptor, length, offset))
    finally:
        os.close(descriptor)


def log(*pages: RestartPage) -> Callable[[Path], None]:
    return lambda path: write_log(path, *pages)


def hiberfil(content: bytes) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        source = path.with_suffix(".hiberfil")
        source.write_bytes(content)
        run("ntfscp", "-f", path, source, "hiberfil.sys")

    return put


STATES = [
    pytest.param(lambda _path: None, NtfsState.CLEAN, MOUNTS, id="as mkntfs made it"),
    pytest.param(hiberfil(HIBERNATION), NtfsState.HIBERNATED, HELD, id="hibernated"),
    pytest.param(hiberfil(b"hibr" + bytes(4092)), NtfsState.HIBERNATED, HELD, id="hibernated, an older Windows"),
    pytest.param(hiberfil(b"HIBR"), NtfsState.HIBERNATED, HELD, id="beside a hibernated system"),
    pytest.param(hiberfil(b"RSTR" + bytes(8188)), NtfsState.CLEAN, MOUNTS, id="woken up"),
    pytest.param(hiberfil(bytes(8192)), NtfsState.CLEAN, MOUNTS, id="never hibernated"),
    pytest.param(dirty, NtfsState.DIRTY, MOUNTS, id="to be checked"),
    pytest.param(log(RestartPage()), NtfsState.DIRTY, UNCLEAN, id="log in use"),
    pytest.param(log(RestartPage(clean=True)), NtfsState.CLEAN, MOUNTS, id="log in use, volume clean"),
    pytest.param(log(RestartPage(in_use=False)), NtfsState.CLEAN, MOUNTS, id="log closed"),
    pytest.param(log(RestartPage(version=(2, 0))), NtfsState.HELD, HELD, id="fast start-up or power cut"),
    pytest.param(
        log(RestartPage(version=(2, 0), in_use=False)), NtfsState.HELD, HELD, id="fast start-up, log closed"
    ),
    pytest.param(
        log(RestartPage(lsn=7), RestartPage(in_use=False, lsn=8)), NtfsState.CLEAN, MOUNTS, id="second page is later"
    ),
    pytest.param(
        log(RestartPage(lsn=8), RestartPage(in_use=False, lsn=7)), NtfsState.DIRTY, UNCLEAN, id="first page is later"
    ),
]


@pytest.mark.parametrize(("leave", "state", "probe"), STATES)
def test_the_state_that_windows_left_is_told_as_ntfs_3g_sees_it(
    leave: Callable[[Path], None], state: NtfsState, probe: int, tmp_path: Path
) -> None:
    image = ntfs(tmp_path / "ntfs")
    leave(image)
    before = image.read_bytes()
    assert examine(image) == NtfsFindings(system=False, state=state)
    assert image.read_bytes() == before
    run("ntfs-3g.probe", "--readwrite", image, status=probe)


@pytest.mark.parametrize(
    ("name", "system"),
    [("bootmgr", True), ("NTLDR", True), ("BOOTMGR", True), ("windows", False), ("data.txt", False)],
)
def test_a_windows_is_known_by_what_boots_it(name: str, system: bool, tmp_path: Path) -> None:
    assert examine(ntfs(tmp_path / "ntfs", files=[(name, b"x")])) == NtfsFindings(system, NtfsState.CLEAN)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_windows_is_known_by_its_directory_among_very_many_files(tmp_path: Path) -> None:
    def fill(point: Path) -> None:
        for number in range(3000):
            (point / f"a file with a rather long name, number {number}").touch()
        (point / "Windows").mkdir()
        (point / "hiberfil.sys").write_bytes(HIBERNATION)

    image = ntfs(tmp_path / "ntfs", size=32 * MIB)
    with mounted_ntfs(image, tmp_path / "mounted") as (point, _):
        fill(point)
    assert examine(image) == NtfsFindings(system=True, state=NtfsState.HIBERNATED)


@pytest.mark.parametrize("cluster", ["512", "4096", "65536", "2097152"])
def test_every_size_of_clusters_is_read(cluster: str, tmp_path: Path) -> None:
    image = ntfs(tmp_path / "ntfs", options=["-c", cluster], size=64 * MIB, files=[("bootmgr", b"x")])
    hiberfil(HIBERNATION)(image)
    assert examine(image) == NtfsFindings(system=True, state=NtfsState.HIBERNATED)


def test_sectors_of_4096_bytes_are_read(tmp_path: Path) -> None:
    image = ntfs(tmp_path / "ntfs", options=["-s", "4096"], files=[("bootmgr", b"x")])
    assert examine(image) == NtfsFindings(system=True, state=NtfsState.CLEAN)


def test_what_is_no_ntfs_or_cut_off_is_unknown(tmp_path: Path) -> None:
    image = ntfs(tmp_path / "ntfs", files=[("bootmgr", b"x")])
    content = image.read_bytes()
    for damaged in (
        b"",
        bytes(4096),
        content[:512],
        content[: 1 << 14],
        b"x" + content[1:3] + b"FAT32" + content[8:],
    ):
        assert examine_ntfs(lambda offset, length, it=damaged: it[offset : offset + length]).state is None  # type: ignore[misc]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    image = ntfs(tmp_path_factory.mktemp("ntfs") / "ntfs", size=4 * MIB, files=[("bootmgr", b"x")])
    hiberfil(HIBERNATION)(image)
    return image.read_bytes()


@given(st.data())
def test_damage_is_no_error_and_no_endless_reading(content: bytes, data: st.DataObject) -> None:
    image = bytearray(content)
    # Where something is: the boot sector, and the records of the table, which mkntfs begins at cluster 4.
    places = st.one_of(st.integers(0, 511), st.integers(16384, 16384 + 32 * 1024))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=12)):
        image[place] = value
    reads = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal reads
        reads += length
        assert 0 <= offset < 1 << 63
        return bytes(image[offset : offset + length]) if offset < len(image) else b""

    examine_ntfs(read)
    assert reads < 16 * MIB
