"""Where a file is kept: on this machine, at a URL, and in the home directory of the account on the server.

Sticks are in test_stick_mount.py, the web server's answers in test_web.py.
"""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import cast

import pytest

from p2v_tui.config_file import MAX_SIZE
from p2v_tui.errors import P2VError
from p2v_tui.front.kept_file import Exists, Kept, KeptFile, Means, NotSaved, file_name, load, save
from p2v_tui.front.last_places import Kind, LastPlaces, Place, default_directory
from p2v_tui.session.remote.result import Result
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.cancellation import Cancellation
from tests.unit.test_web import web_server

FILE = KeptFile("p2v-tui-db1.conf", b"p2v.name=\xc3\xa9\n")


def store(kind: Kind, text: str, *, means: Means | None = None, replace: bool = False, file: KeptFile = FILE) -> Kept:
    return save(file, Place(kind, text), means or Means(), Cancellation(), replace=replace)


def fetch(kind: Kind, text: str, means: Means | None = None) -> Kept:
    return load(Place(kind, text), means or Means(), Cancellation())


# This machine.


def test_a_directory_gets_a_private_file_of_the_proposed_name(tmp_path: Path) -> None:
    for text in (str(tmp_path), f" {tmp_path}/ "):
        kept = store(Kind.HERE, text, replace=True)
        path = tmp_path / FILE.name
        assert kept.place == Place(Kind.HERE, str(path))
        assert path.read_bytes() == FILE.content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [FILE.name]


def test_another_name_can_be_given(tmp_path: Path) -> None:
    store(Kind.HERE, str(tmp_path / "mine"))
    assert (tmp_path / "mine").read_bytes() == FILE.content


def test_a_file_that_is_there_stays_until_somebody_says_that_it_may_go(tmp_path: Path) -> None:
    path = tmp_path / FILE.name
    path.write_text("old")
    with pytest.raises(Exists, match=r"is there already \(3 bytes, of 20"):
        store(Kind.HERE, str(tmp_path))
    assert path.read_text() == "old"
    store(Kind.HERE, str(tmp_path), replace=True)
    assert path.read_bytes() == FILE.content


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    store(Kind.HERE, str(tmp_path / "link"), replace=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == FILE.content


@pytest.mark.parametrize("replace", [False, True])
def test_a_device_is_never_replaced(replace: bool) -> None:
    with pytest.raises(NotSaved, match="/dev/null is not a file"):
        store(Kind.HERE, "/dev/null", replace=replace)
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("text", ["", "tmp", "./x", "/a\0b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(NotSaved, match="is not the path of a directory or a file"):
        store(Kind.HERE, text)


def test_a_place_that_cannot_be_written_to_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotSaved, match="none/x: No such file or directory"):
        store(Kind.HERE, str(tmp_path / "none/x"))
    with pytest.raises(NotSaved, match="Could not write to /proc/x"):
        store(Kind.HERE, "/proc/x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_full_file_system_keeps_nothing_of_a_file(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    try:
        with pytest.raises(NotSaved, match="No space left on device"):
            store(Kind.HERE, str(tmp_path), file=KeptFile("large", bytes(1 << 20)))
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_the_only_file_with_settings_need_not_be_named(tmp_path: Path) -> None:
    with pytest.raises(P2VError, match=r"holds no file that ends in \.conf"):
        fetch(Kind.HERE, str(tmp_path))
    store(Kind.HERE, str(tmp_path))
    (tmp_path / "x.log").write_text("")
    found = fetch(Kind.HERE, str(tmp_path))
    assert (found.content, found.place.text) == (FILE.content, str(tmp_path / FILE.name))
    assert stat.S_IMODE(found.mode) == 0o600
    store(Kind.HERE, str(tmp_path / "b.conf"))
    with pytest.raises(P2VError, match=r"holds several: b\.conf, p2v-tui-db1\.conf"):
        fetch(Kind.HERE, str(tmp_path))


def test_what_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(bytes(MAX_SIZE + 1))
    for name, words in (("x", "No such file"), ("fifo", "is not a file"), ("large", f"more than {MAX_SIZE} bytes")):
        with pytest.raises(P2VError, match=f"{name} .*{words}") as caught:
            fetch(Kind.HERE, str(tmp_path / name))
        assert caught.value.title == "Nothing was loaded"


def test_a_name_is_never_longer_than_a_file_system_takes() -> None:
    assert file_name("db1", ".conf") == "p2v-tui-db1.conf"
    assert len(file_name("é" * 200, ".conf").encode()) <= 255


# A URL.


def test_a_url_that_ends_with_a_slash_is_a_directory() -> None:
    with web_server() as (kept, url):
        file = KeptFile("p2v-tui-a b#1.conf", b"x")
        assert store(Kind.WEB, f"{url}/dir/", file=file).place.text == f"{url}/dir/p2v-tui-a%20b%231.conf"
        with pytest.raises(Exists):
            store(Kind.WEB, f"{url}/dir/", file=file)
    assert list(kept.files) == ["/dir/p2v-tui-a%20b%231.conf"]


def test_a_password_in_a_url_is_not_shown() -> None:
    with web_server() as (kept, url):
        with_password = url.replace("//", "//me:swordfish@")
        assert "swordfish" not in store(Kind.WEB, f"{with_password}/a").where
        kept.answers = [(403, "")]
        for answer in (Exists, NotSaved):
            with pytest.raises(answer) as caught:
                store(Kind.WEB, f"{with_password}/a", replace=answer is NotSaved)
            assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "host/a", "ftp://host/a", "file:///a", "http://", "https://[::1/a", "http://a b/"]
)
def test_what_is_no_url_of_a_web_server_is_refused(url: str) -> None:
    with pytest.raises(NotSaved, match="is not the URL of a web server"):
        store(Kind.WEB, url)


# The conversion server.


class Server:
    """A connection whose commands run here, in a home directory of its own."""

    host = "conv.example.com"
    user = "conv"

    def __init__(self, home: Path, shell: str) -> None:
        self._home = home
        self._shell = shell

    def shell(self, _: object) -> Server:
        return self

    def run(self, command: str, *, timeout: float = 60) -> Result:
        done = subprocess.run(
            [self._shell, "-c", f"(\n{command}\n) 2>&1 </dev/null"],
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(self._home)},
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout)


@pytest.fixture(params=["dash", "bash"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Means:
    (tmp_path / "it's home").mkdir()
    return Means(cast(ControlConnection, Server(tmp_path / "it's home", request.param)))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "it's home"


def test_the_account_on_the_server_gets_a_private_file_in_its_home(server: Means, home: Path) -> None:
    kept = store(Kind.SERVER, "", means=server)
    assert kept.where == f"{home}/{FILE.name} on conv.example.com"
    assert (home / FILE.name).read_bytes() == FILE.content
    assert stat.S_IMODE((home / FILE.name).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == [FILE.name]


def test_the_name_may_hold_what_a_guests_name_may(server: Means, home: Path) -> None:
    name = "p2v-tui-it's $(reboot) & é #1.conf"
    store(Kind.SERVER, name, means=server)
    assert [path.name for path in home.iterdir()] == [name]
    assert fetch(Kind.SERVER, name, server).content == FILE.content


def test_a_file_of_the_server_is_replaced_only_if_somebody_says_so(server: Means, home: Path) -> None:
    (home / FILE.name).write_text("old")
    with pytest.raises(Exists, match="in the home directory of conv"):
        store(Kind.SERVER, FILE.name, means=server)
    assert (home / FILE.name).read_text() == "old"
    store(Kind.SERVER, FILE.name, means=server, replace=True)
    assert (home / FILE.name).read_bytes() == FILE.content
    (home / "dir").mkdir()
    with pytest.raises(NotSaved, match="it is a directory"):
        store(Kind.SERVER, "dir", means=server, replace=True)
    assert {path.name for path in home.iterdir()} == {FILE.name, "dir"}


@pytest.mark.parametrize("name", ["/etc/passwd", "a/b", "..", ".bashrc", "a\nb"])
def test_nothing_but_a_file_in_the_home_is_written_or_read(server: Means, home: Path, name: str) -> None:
    said = "is not the name of a file in the home directory of conv"
    with pytest.raises(P2VError, match=said):
        store(Kind.SERVER, name, means=server)
    with pytest.raises(P2VError, match=said):
        fetch(Kind.SERVER, name, server)
    assert list(home.iterdir()) == []


def test_a_file_on_the_server_is_read_whole_up_to_the_limit(server: Means, home: Path) -> None:
    content = bytes(range(256)) * 1024
    (home / "a.conf").write_bytes(content)
    assert fetch(Kind.SERVER, "", server).content == content
    (home / "b.conf").write_bytes(bytes(MAX_SIZE + 1))
    with pytest.raises(P2VError, match=r"holds several: a\.conf, b\.conf"):
        fetch(Kind.SERVER, "", server)
    with pytest.raises(P2VError, match="more than"):
        fetch(Kind.SERVER, "b.conf", server)
    with pytest.raises(P2VError, match="it was not found there"):
        fetch(Kind.SERVER, "none.conf", server)


def test_a_server_without_base64_is_told_and_keeps_nothing(
    server: Means, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = home.parent / "tools"
    tools.mkdir()
    for name in ("mktemp", "rm", "dash", "bash"):
        (tools / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(NotSaved, match="base64"):
        store(Kind.SERVER, "", means=server)
    assert list(home.iterdir()) == []


def test_without_a_login_the_server_is_no_place() -> None:
    with pytest.raises(NotSaved, match="Nobody is logged in"):
        store(Kind.SERVER, "x")


# What was used last.


def test_the_directory_or_url_that_was_used_last_is_proposed_for_the_next_file() -> None:
    places = LastPlaces()
    assert places.to_save(Kind.HERE, "a.log") == default_directory()
    assert places.to_save(Kind.WEB, "a.log") == ""
    places.remember(Place(Kind.HERE, "/mnt/logs/a.conf"), settings=True)
    places.remember(Place(Kind.WEB, "https://host/dir/b.conf?x=/y"), settings=False)
    assert places.kind is Kind.WEB
    assert places.to_save(Kind.HERE, "a.log") == "/mnt/logs/"
    assert places.to_save(Kind.WEB, "a.log") == "https://host/dir/"
    assert places.to_save(Kind.STICK, "a.log") == "a.log"
    assert places.to_save(Kind.SERVER, "a.log") == "a.log"


def test_the_file_with_settings_that_was_used_last_is_proposed_for_loading() -> None:
    places = LastPlaces()
    places.remember(Place(Kind.HERE, "/a.conf"), settings=True)
    places.remember(Place(Kind.HERE, "/tmp/a.log"), settings=False)
    assert places.to_load(Kind.HERE) == "/a.conf"
    assert places.to_save(Kind.HERE, "x") == "/tmp/"
    assert places.to_load(Kind.SERVER) == ""


def test_a_stick_that_is_mounted_and_can_be_written_is_the_first_choice(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "30 1 11:0 / /media/cdrom ro - iso9660 /dev/sr0 ro\n31 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "32 1 8:17 / /run/media/root/MY\\040STICK rw,nosuid - vfat /dev/sdb1 rw\n"
    )
    assert default_directory(mounts) == "/run/media/root/MY STICK"
    mounts.write_text("31 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    assert Path(default_directory(mounts)).is_dir()
