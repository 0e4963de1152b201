"""A file that is written to a stick and read from it: a loop device with a file system stands in for the stick."""

from __future__ import annotations

import dataclasses
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.errors import P2VError
from p2v_tui.front import kept_file, stick_mount
from p2v_tui.front.kept_file import Exists, Kept, KeptFile, Means, load, save
from p2v_tui.front.last_places import Kind, Place
from p2v_tui.front.stick_mount import StickFailed, mounted
from p2v_tui.hwprobe.sticks import MOUNT_TYPES, Stick
from p2v_tui.session.words.cancellation import Cancellation

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("devices"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts"),
]

FILE = KeptFile("p2v-tui-db1.conf", b"p2v.server=conv.example.com\n")
SIZE = 8 << 20


@pytest.fixture(params=["ext2", "ext4"])
def stick(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stick]:
    """A stick that is plugged in, and the only one."""
    image = tmp_path / "stick"
    image.write_bytes(bytes(SIZE))
    subprocess.run([f"mkfs.{request.param}", "-q", "-L", "LOGS", image], check=True)
    made = subprocess.run(["losetup", "--find", "--show", image], stdout=subprocess.PIPE, text=True, check=True)
    node = Path(made.stdout.strip())
    number = node.stat().st_rdev
    found = Stick(node.name, node, node, SIZE, request.param, f"{os.major(number)}:{os.minor(number)}", label="LOGS")
    monkeypatch.setattr(stick_mount, "find_sticks", lambda taken: () if found.name in taken else (found,))
    yield found
    assert mount_of(found) == []
    subprocess.run(["losetup", "--detach", node], check=True)


def mount_of(stick: Stick) -> list[str]:
    """The lines of its mounts."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f" {stick.number} " in line]


def store(stick: Stick, text: str = "", *, replace: bool = False, taken: tuple[str, ...] = ()) -> Kept:
    return save(FILE, Place(Kind.STICK, text, stick), Means(taken=taken), Cancellation(), replace=replace)


def read(stick: Stick, text: str = "") -> bytes:
    return load(Place(Kind.STICK, text, stick), Means(), Cancellation()).content


def files_on(stick: Stick) -> set[str]:
    with mounted(stick, (), write=False) as directory:
        return {path.name for path in directory.iterdir() if path.name != "lost+found"}


def is_read_only(stick: Stick) -> bool:
    done = subprocess.run(["blockdev", "--getro", stick.node], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip() == "1"


def test_a_file_is_there_whole_and_private_when_the_stick_is_unmounted_again(stick: Stick) -> None:
    kept = store(stick)
    assert kept.where.startswith(f"{FILE.name} on {stick.name}")
    assert '"LOGS"' in kept.where
    assert files_on(stick) == {FILE.name}
    assert read(stick, FILE.name) == FILE.content
    # The only file with settings need not be named.
    assert read(stick) == FILE.content
    with mounted(stick, (), write=False) as directory:
        assert stat.S_IMODE((directory / FILE.name).stat().st_mode) == 0o600


def test_it_is_mounted_without_programs_devices_and_foreign_rights(stick: Stick) -> None:
    for write in (True, False):
        with mounted(stick, (), write=write) as directory:
            (line,) = mount_of(stick)
            options = line.split()[5].split(",")
            assert {"nosuid", "nodev", "noexec", "rw" if write else "ro"} <= set(options)
            assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
        assert not directory.parent.exists()


def test_a_stick_that_the_live_image_has_made_read_only_is_writable_for_just_that_file(stick: Stick) -> None:
    subprocess.run(["blockdev", "--setro", stick.node], check=True)
    store(stick)
    assert is_read_only(stick)
    assert read(stick) == FILE.content
    subprocess.run(["blockdev", "--setrw", stick.node], check=True)
    store(stick, replace=True)
    assert not is_read_only(stick)


def test_reading_changes_nothing_on_it(stick: Stick) -> None:
    store(stick)
    before = stick.node.read_bytes()
    read(stick)
    assert stick.node.read_bytes() == before


def test_a_file_that_is_there_is_replaced_only_if_somebody_says_so(stick: Stick) -> None:
    store(stick, "a.conf")
    with pytest.raises(Exists, match=r"a\.conf is there already"):
        store(stick, "a.conf")
    store(stick, "a.conf", replace=True)
    assert files_on(stick) == {"a.conf"}


def test_a_disk_that_is_to_be_converted_is_not_written_to(stick: Stick) -> None:
    with pytest.raises(StickFailed, match="to be converted"):
        store(stick, taken=(stick.name,))
    assert files_on(stick) == set()


def test_a_stick_that_was_swapped_for_another_one_is_not_written_to(stick: Stick) -> None:
    with pytest.raises(StickFailed, match="not there any more"):
        store(dataclasses.replace(stick, uuid="another"))


def test_what_has_no_such_file_system_cannot_be_mounted_and_stays_as_it_was(
    stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOUNT_TYPES, stick.kind, "squashfs")
    with pytest.raises(StickFailed, match="cannot be mounted"):
        store(stick)


def test_a_full_stick_keeps_nothing_of_a_file_and_is_unmounted(stick: Stick) -> None:
    large = KeptFile("large.log", bytes(2 * SIZE))
    with pytest.raises(P2VError, match="No space left on device"):
        save(large, Place(Kind.STICK, "", stick), Means(), Cancellation(), replace=False)
    assert files_on(stick) == set()


def test_no_path_and_no_link_leads_away_from_the_stick(stick: Stick, tmp_path: Path) -> None:
    for path in ("../x", "a/../../x"):
        with pytest.raises(P2VError, match="is not a path on the stick"):
            store(stick, path)
    with mounted(stick, (), write=True) as directory:
        (directory / "out.conf").symlink_to(tmp_path / "target")
        (directory / "dir").symlink_to(tmp_path)
    (tmp_path / "x.conf").write_text("p2v.name=x\n")
    for path in ("out.conf", "dir/new.conf"):
        with pytest.raises(P2VError, match="not on the stick"):
            store(stick, path, replace=True)
    with pytest.raises(P2VError, match="not on the stick"):
        read(stick, "dir/x.conf")
    assert {path.name for path in tmp_path.iterdir()} == {"stick", "x.conf"}


def test_several_files_with_settings_are_named(stick: Stick) -> None:
    with pytest.raises(P2VError, match=r"no file that ends in \.conf"):
        read(stick)
    store(stick, "a.conf")
    store(stick, "b.conf")
    with pytest.raises(P2VError, match=r"holds several: a\.conf, b\.conf"):
        read(stick)


def test_what_is_said_of_a_stick_has_no_word_of_where_it_was_mounted(stick: Stick) -> None:
    with pytest.raises(P2VError) as caught:
        read(stick, "missing.conf")
    assert "p2v-tui-stick" not in str(caught.value)
    assert caught.value.message.startswith("missing.conf cannot be read")
    assert kept_file.stick_line(stick).startswith(f"{stick.name}  8.4 MB  {stick.kind}")
