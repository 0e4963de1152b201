"""Keys of encrypted volumes: which volume each one is for, and that it is tried on real volumes and shows nowhere."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.machine import Content, Disk, Partition
from p2v_tui.kinds import KeySource, Secret
from p2v_tui.session.conversion.system_data import scrub
from p2v_tui.session.plan import volume_keys
from p2v_tui.session.plan.plan import disk_image
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.plan.volume_keys import (
    BITLOCKER,
    LUKS,
    AssignedKey,
    EncryptedVolume,
    VolumeKey,
    WrongKey,
    assign_keys,
    find_encrypted,
    get_keys,
    key_arguments,
    key_files,
    need_all_keys,
    try_key,
    without_key,
)
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.words.events import Event, Status
from tests.lab.bitlocker import bitlocker_volume, recovery_password
from tests.lab.encrypted_disk import luks_disk, luks_volume, partitioned

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devices")]

GIB = 1 << 30
UUID = "1b6e1c0e-0d5f-4b5d-9b0a-0c5d5a0f3a11"
OTHER_UUID = "2b6e1c0e-0d5f-4b5d-9b0a-0c5d5a0f3a22"
PASSPHRASE = "Tr0ub4dor&3"
DIRECTORY = RemoteDirectory("/tmp/virt-p2v-20260309-abcdefgh")
V2V = VirtV2V("2.2.0", frozenset({"virt-v2v"}), ("local",))


def disk(name: str, *contents: Content | None) -> Disk:
    separator = "p" if name[-1].isdigit() else ""
    parts = (Partition(f"{name}{separator}{n}", n, GIB, content=each) for n, each in enumerate(contents, 1))
    return Disk(name, Path("/dev/null"), GIB * (len(contents) + 1), partition_table="gpt", partitions=tuple(parts))


SDA = disk("sda", Content("vfat"), Content("crypto_LUKS", UUID), None)
SDB = disk("sdb", Content("BitLocker"), Content("ntfs"))
NVME = disk("nvme0n1", Content("crypto_LUKS", OTHER_UUID))
WHOLE = Disk("sdw", Path("/dev/null"), GIB, content=Content("crypto_LUKS", OTHER_UUID.replace("2", "3")))


def source(volume: str, passphrase: str = PASSPHRASE) -> KeySource:
    return KeySource(volume, passphrase=Secret(passphrase))


def assigned(*names: str, disks: Sequence[Disk] = (SDA, SDB, NVME), others: Sequence[Disk] = ()) -> list[str | None]:
    """The names of the volumes that the keys of these names are for."""
    keys = assign_keys([source(name) for name in names], disks, others)
    return [key.volume.name if key.volume else None for key in keys]


def refusal(*names: str, disks: Sequence[Disk] = (SDA, SDB, NVME)) -> WrongKey:
    with pytest.raises(WrongKey) as raised:
        assigned(*names, disks=disks)
    assert raised.value.setting == "key"
    assert raised.value.exit_code == 2
    assert raised.value.advice
    return raised.value


# Which volume.


def test_encrypted_volumes_are_found_with_what_virt_v2v_calls_them() -> None:
    assert [(volume.name, volume.kind, volume.id) for volume in find_encrypted([SDB, NVME, SDA])] == [
        ("sdb1", BITLOCKER, "/dev/sda1"),
        ("nvme0n1p1", LUKS, OTHER_UUID),
        ("sda2", LUKS, UUID),
    ]


def test_bitlocker_is_called_by_its_place_among_the_guests_disks_even_where_blkid_knows_a_uuid() -> None:
    disks = [SDA] * 27 + [disk("sdz", None, Content("BitLocker", "F2D4F156D4F11E13"))]
    assert find_encrypted(disks)[-1].id == "/dev/sdab2"


def test_two_volumes_of_one_uuid_are_called_by_their_places() -> None:
    copy = disk("sdc", Content("crypto_LUKS", UUID))
    assert [volume.id for volume in find_encrypted([SDA, copy])] == ["/dev/sda2", "/dev/sdb1"]


def test_a_disk_that_is_encrypted_as_a_whole_is_not_a_volume_that_virt_v2v_opens() -> None:
    assert find_encrypted([WHOLE]) == ()


@pytest.mark.parametrize("name", ["sda2", "/dev/sda2", UUID, UUID.upper()])
def test_a_volume_is_meant_by_its_name_its_path_and_its_uuid_in_any_case(name: str) -> None:
    assert assigned(name) == ["sda2"]


@pytest.mark.parametrize(
    ("name", "text"), [("cciss/c0d0p2", "cciss!c0d0p2"), ("mpatha-part2", "/dev/mapper/mpatha-part2")]
)
def test_a_volume_is_meant_by_the_other_forms_of_its_name(name: str, text: str) -> None:
    odd = Disk("odd", Path("/dev/null"), GIB, partitions=(Partition(name, 2, GIB, content=Content("BitLocker")),))
    assert assigned(text, disks=[odd]) == [name]


def test_a_volume_is_meant_by_a_link_to_it(loop_device: Callable[[Path], Path], tmp_path: Path) -> None:
    device = loop_device(luks_volume(tmp_path / "volume", PASSPHRASE, uuid=UUID))
    link = Path(f"/dev/p2v-tui-test-{os.getpid()}")
    link.symlink_to(device)
    try:
        part = Partition(device.name, 1, GIB, content=Content("BitLocker"))
        assert assigned(str(link), disks=[Disk("x", Path("/dev/null"), GIB, partitions=(part,))]) == [device.name]
    finally:
        link.unlink()


def test_several_keys_keep_their_order() -> None:
    assert assigned("nvme0n1p1", "sdb1", UUID) == ["nvme0n1p1", "sdb1", "sda2"]


@pytest.mark.parametrize("name", ["sda1", "sda", "sda3", "sdq1", "vg0/root", "key", "/dev/sdq1", UUID[:-1]])
def test_a_volume_that_is_not_encrypted_is_refused_with_a_list_of_those_that_are(name: str) -> None:
    error = refusal("sda2", name)
    assert f"encrypted volume {name} was not found " in error.message
    assert f"LUKS sda2 ({UUID}), BitLocker sdb1, LUKS nvme0n1p1 ({OTHER_UUID})" in error.advice


def test_where_nothing_is_encrypted_it_says_so_and_how_to_name_a_logical_volume() -> None:
    error = refusal("sdc1", disks=[disk("sdc", Content("LVM2_member"))])
    assert "No volume on them is known to be encrypted" in error.advice
    assert "logical volume is named by its UUID" in error.advice


def test_a_uuid_that_no_partition_has_may_be_that_of_a_logical_volume() -> None:
    assert assigned(UUID, disks=[SDB]) == [None]


@pytest.mark.parametrize("names", [("sda2", "sda2"), ("sda2", UUID), (UUID.upper(), "/dev/sda2")])
def test_two_keys_for_one_volume_are_refused(names: tuple[str, str]) -> None:
    error = refusal(*names)
    assert "LUKS sda2 has two keys" in error.message
    assert error.volume == "sda2"


def test_a_uuid_that_two_volumes_have_is_refused_with_their_names() -> None:
    copy = disk("sdc", Content("crypto_LUKS", UUID))
    assert "sda2 and sdc1" in refusal(UUID, disks=[SDA, copy]).message
    assert assigned("sdc1", disks=[SDA, copy]) == ["sdc1"]


def test_a_disk_that_is_encrypted_as_a_whole_is_refused_with_the_reason() -> None:
    for name in ("sdw", "/dev/sdw"):
        assert "encrypted as a whole" in refusal(name, disks=[SDA, WHOLE]).message


def test_a_key_of_a_disk_that_is_not_converted_is_left_out() -> None:
    assert assigned("sdb1", OTHER_UUID, "sda2", disks=[SDA], others=[SDA, SDB, NVME]) == ["sda2"]


@given(st.text(), st.lists(st.sampled_from([SDA, SDB, NVME, WHOLE]), unique=True))
def test_no_name_of_a_volume_raises_anything_but_the_projects_own_error(name: str, disks: list[Disk]) -> None:
    try:
        keys = assign_keys([source(name)], disks)
    except WrongKey as error:
        assert PASSPHRASE not in str(error)
    else:
        assert len(keys) == 1


def test_volumes_without_a_key_are_reported() -> None:
    disks = [SDA, SDB, NVME, WHOLE]
    keys = assign_keys([source("sdb1")], disks)
    assert [volume.name for volume in without_key(disks, keys)] == ["sda2", "nvme0n1p1"]
    with pytest.raises(WrongKey, match="LUKS sda2 is encrypted") as raised:
        need_all_keys(disks, keys)
    assert raised.value.volume == "sda2"
    need_all_keys([SDB, WHOLE], keys[:1])


# The key itself.


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk image whose second partition is a LUKS volume with the passphrase."""
    return luks_disk(tmp_path_factory.mktemp("luks") / "disk.img", PASSPHRASE, uuid=UUID)


@pytest.fixture(scope="module")
def slow_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but that a try takes most of a second."""
    path = tmp_path_factory.mktemp("slow") / "disk.img"
    return luks_disk(path, PASSPHRASE, iterations=1_500_000)


@pytest.fixture
def loop_device() -> Iterator[Callable[[Path], Path]]:
    """Makes a loop device of an image for the time of the test."""
    made: list[str] = []

    def make(image: Path) -> Path:
        command = ["losetup", "--find", "--show", "--read-only", str(image)]
        made.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        return Path(made[-1])

    yield make
    for device in made:
        subprocess.run(["losetup", "--detach", device], check=True)


def volume_of(image: Path) -> EncryptedVolume:
    read = disk_image(image)
    assert read is not None
    (volume,) = find_encrypted([read])
    return volume


def key_of(image: Path, source: KeySource) -> VolumeKey:
    (key,) = get_keys([AssignedKey(source, volume_of(image))], lambda _: None)
    return key


def from_url(image: Path, url: str) -> VolumeKey:
    return key_of(image, KeySource("x", url=Secret(url)))


def key_file(directory: Path, content: bytes, mode: int = 0o600) -> str:
    """The URL of a file with this content."""
    path = directory / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path.as_uri()


def loop_devices_of(image: Path) -> list[str]:
    """The loop devices that still have the image."""
    backing = Path("/sys/block").glob("loop*/loop/backing_file")
    return [str(file) for file in backing if file.read_text().strip() == str(image)]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_right_key_opens_the_volume(image: Path) -> None:
    key = key_of(image, source("x"))
    assert key == VolumeKey(UUID, f"LUKS {image}2", Secret(PASSPHRASE))


def test_a_wrong_key_is_refused_by_naming_the_volume(image: Path) -> None:
    with pytest.raises(WrongKey) as raised:
        key_of(image, source("x", "swordfish"))
    assert raised.value.message == f"The key of LUKS {image}2 does not open it."
    assert raised.value.volume == f"{image}2"
    assert raised.value.setting == "key"
    assert "key slots" in raised.value.advice
    assert "swordfish" not in str(raised.value)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("passphrase", ["a b", "p\u00e4sswort \u20ac", b"p\xe4ss", "-", " ", "x" * 512])
def test_every_passphrase_that_is_a_line_opens_its_volume(
    tmp_path: Path, passphrase: str | bytes, version: int
) -> None:
    content = passphrase.encode() if isinstance(passphrase, str) else passphrase
    image = luks_disk(tmp_path / "disk.img", content, version=version)
    for ending in (b"", b"\n", b"\r\n"):
        key = from_url(image, key_file(tmp_path, content + ending))
        assert key.unchecked == ""
        assert key_files([key], DIRECTORY) == {f"{DIRECTORY.path}/secrets/key-0": content}


@pytest.fixture(scope="module")
def bitlocker_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bitlocker")
    volume = bitlocker_volume(directory / "volume", PASSPHRASE, recovery_password(1))
    return partitioned(directory / "disk.img", volume)


@pytest.mark.parametrize("right", [PASSPHRASE, recovery_password(1)])
def test_bitlocker_is_opened_by_its_password_and_by_its_recovery_password(bitlocker_image: Path, right: str) -> None:
    key = key_of(bitlocker_image, source("x", right))
    assert (key.id, key.unchecked) == ("/dev/sda2", "")


@pytest.mark.parametrize("wrong", ["swordfish", recovery_password(2), recovery_password(1)[:-1] + "1"])
def test_a_key_of_the_wrong_form_for_bitlocker_is_refused_with_the_right_forms(
    bitlocker_image: Path, wrong: str
) -> None:
    with pytest.raises(WrongKey, match="does not open it") as raised:
        key_of(bitlocker_image, source("x", wrong))
    assert "recovery password" in raised.value.advice
    assert wrong not in str(raised.value)


def test_a_bitlocker_password_that_this_cryptsetup_may_misread_is_not_called_wrong(bitlocker_image: Path) -> None:
    assert "beyond ASCII" in key_of(bitlocker_image, source("x", "p\u00e4ss")).unchecked


def test_a_volume_with_a_device_of_its_own_is_read_there(loop_device: Callable[[Path], Path], tmp_path: Path) -> None:
    device = loop_device(luks_volume(tmp_path / "volume", PASSPHRASE, uuid=UUID))
    volume = EncryptedVolume(device.name, LUKS, UUID, UUID, Path("/dev/null"), None, GIB)
    assert try_key(volume, Secret(PASSPHRASE)) == ""
    with pytest.raises(WrongKey):
        try_key(volume, Secret("swordfish"))


def test_trying_a_key_changes_nothing_and_leaves_nothing(image: Path) -> None:
    before = hashlib.sha256(image.read_bytes()).digest()
    mapped = sorted(Path("/dev/mapper").iterdir())
    for passphrase in (PASSPHRASE, "swordfish"):
        try:
            try_key(volume_of(image), Secret(passphrase))
        except WrongKey:
            assert passphrase == "swordfish"
        wait_for(lambda: not loop_devices_of(image))
    assert hashlib.sha256(image.read_bytes()).digest() == before
    assert sorted(Path("/dev/mapper").iterdir()) == mapped


def shown_by_processes(secret: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if secret.encode() in (process / name).read_bytes():
                    found.append(f"{process}/{name}")
            except OSError:
                continue
    return found


def cryptsetups() -> list[bytes]:
    """The arguments of every cryptsetup that runs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if arguments.startswith(b"cryptsetup\0"):
            found.append(arguments)
    return found


def test_while_a_key_is_tried_no_process_shows_it_and_nothing_is_mapped(slow_image: Path) -> None:
    secret = f"wrong-{os.urandom(8).hex()}"
    refused: list[WrongKey] = []

    def run() -> None:
        try:
            try_key(volume_of(slow_image), Secret(secret))
        except WrongKey as error:
            refused.append(error)

    mapped = sorted(Path("/dev/mapper").iterdir())
    thread = threading.Thread(target=run)
    thread.start()
    seen: set[bytes] = set()
    while thread.is_alive():
        seen.update(cryptsetups())
        assert shown_by_processes(secret) == []
        assert sorted(Path("/dev/mapper").iterdir()) == mapped
    thread.join()
    assert refused
    assert [arguments for arguments in seen if b"--test-passphrase\0--readonly\0" in arguments]


def test_a_key_that_takes_too_long_is_reported_untried(slow_image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_keys, "TRY_SECONDS", 0.05)
    key = key_of(slow_image, source("x"))
    assert "was not tried: cryptsetup did not end in 0 seconds" in key.unchecked
    wait_for(lambda: not loop_devices_of(slow_image))


def test_the_loop_device_goes_even_when_we_are_killed(slow_image: Path) -> None:
    script = f"""
from pathlib import Path
from p2v_tui.kinds import Secret
from p2v_tui.session.plan.plan import disk_image
from p2v_tui.session.plan.volume_keys import find_encrypted, try_key
try_key(find_encrypted([disk_image(Path({str(slow_image)!r}))])[0], Secret("swordfish"))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: cryptsetups() and loop_devices_of(slow_image))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: not loop_devices_of(slow_image))


def test_without_cryptsetup_a_key_is_reported_untried(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def complete(command: Sequence[str], **_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", command[0])

    monkeypatch.setattr(volume_keys, "complete", complete)
    assert try_key(volume_of(image), Secret(PASSPHRASE)) == "losetup is not installed on this machine"
    monkeypatch.setattr(volume_keys, "NODES", (Path("/dev"),))
    volume = EncryptedVolume("loop0", LUKS, UUID, UUID, Path("/dev/null"), None, GIB)
    assert try_key(volume, Secret(PASSPHRASE)) == "cryptsetup is not installed on this machine"


def test_only_root_can_try_a_key_on_a_disk_image(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    key = key_of(image, source("x", "swordfish"))
    assert key.unchecked == (
        f"The key of LUKS {image}2 was not tried: only root can try a key on a disk image. "
        "If it is wrong, virt-v2v fails."
    )


def test_a_key_is_reported_untried_if_the_disk_is_gone() -> None:
    (volume,) = find_encrypted([disk("nosuchdisk", Content("crypto_LUKS", UUID))])
    assert try_key(volume, Secret("x")) == "the device nosuchdisk1 was not found"


def test_a_key_is_reported_untried_with_cryptsetups_reason_if_no_volume_is_there(image: Path) -> None:
    volume = volume_of(image)
    beside = EncryptedVolume("x", LUKS, UUID, UUID, image, 1 << 20, 4 << 20)
    assert volume.start != beside.start
    reason = try_key(beside, Secret("x"))
    assert reason.startswith("cryptsetup failed (Device /dev/loop")
    assert reason.endswith("is not a valid LUKS device)")


def test_a_uuid_of_no_partition_goes_to_virt_v2v_untried_and_in_lower_case(tmp_path: Path) -> None:
    keys = assign_keys([KeySource(OTHER_UUID.upper(), url=Secret(key_file(tmp_path, b"x\n")))], [SDA])
    (key,) = get_keys(keys, lambda _: None)
    assert key.id == OTHER_UUID
    assert OTHER_UUID.upper() in key.unchecked
    assert "not tried" in key.unchecked


# Where it comes from.


@pytest.fixture
def web() -> Iterator[str]:
    """The URL of a web server that has the key."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/key":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"{PASSPHRASE}\n".encode())
            else:
                self.send_error(404, "Not Found")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the tests' output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_key_from_a_web_server_is_told_without_the_urls_password(web: str, image: Path) -> None:
    told: list[Event] = []
    url = f"http://user:swordfish@{web}/key"
    (key,) = get_keys([AssignedKey(KeySource("x", url=Secret(url)), volume_of(image))], told.append)
    assert key.passphrase == Secret(PASSPHRASE)
    assert told == [
        Status(f"Getting the key of LUKS {image}2 from http://user:***@{web}/key"),
        Status(f"Trying the key of LUKS {image}2"),
    ]


def test_a_key_that_cannot_be_read_is_an_error_that_names_volume_and_setting(web: str, image: Path) -> None:
    for url, reason in (
        (f"http://user:swordfish@{web}/other", "404 Not Found"),
        ("http://user:swordfish@127.0.0.1:1/key", "refused"),
        ("ftp://user:swordfish@127.0.0.1:1/key", "curl"),
        ("file:///nonexistent/key", "No such file"),
        ("file:///nonexistent%00/key", "embedded null"),
    ):
        with pytest.raises(WrongKey) as raised:
            from_url(image, url)
        assert reason in raised.value.message
        assert f"key of LUKS {image}2" in raised.value.message
        assert "p2v.key" in raised.value.advice
        assert raised.value.volume == f"{image}2"
        assert "swordfish" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\r\n", "is empty"),
        (b"swordfish\n\n", "not a line of text"),
        (b"sword\nfish", "not a line of text"),
        (b"swordfish\0", "not a line of text"),
        (b"swordfish\0\n", "not a line of text"),
        (b"swordfish" * 1000, "8192 bytes"),
    ],
)
def test_what_virt_v2v_could_not_read_whole_is_refused(
    tmp_path: Path, image: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(WrongKey) as raised:
        from_url(image, key_file(tmp_path, content))
    assert reason in raised.value.message
    assert "swordfish" not in str(raised.value)


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, image: Path, mode: int) -> None:
    with pytest.raises(WrongKey, match=f"{mode:04o}") as raised:
        from_url(image, key_file(tmp_path, PASSPHRASE.encode(), mode))
    assert "chmod 600" in raised.value.advice


def test_nobody_is_told_to_change_the_mode_of_a_file_that_is_no_passphrase(image: Path) -> None:
    with pytest.raises(WrongKey, match="not a line of text") as raised:
        from_url(image, "file:///etc/passwd")
    assert "chmod" not in str(raised.value)


# What virt-v2v gets.


def test_virt_v2v_gets_a_file_for_each_key_and_no_key_in_its_arguments() -> None:
    keys = [VolumeKey(UUID, "LUKS sda2", Secret(PASSPHRASE)), VolumeKey("/dev/sdb1", "BitLocker sdb1", Secret("a"))]
    arguments = key_arguments(keys, DIRECTORY, V2V)
    assert arguments == [
        *("--key", f"{UUID}:file:{DIRECTORY.path}/secrets/key-0"),
        *("--key", f"/dev/sdb1:file:{DIRECTORY.path}/secrets/key-1"),
    ]
    # virt-v2v splits each at its colons.
    assert all(word.count(":") == 2 for word in arguments[1::2])
    assert key_files(keys, DIRECTORY) == {
        f"{DIRECTORY.path}/secrets/key-0": PASSPHRASE.encode(),
        f"{DIRECTORY.path}/secrets/key-1": b"a",
    }
    assert PASSPHRASE not in repr(keys)


def test_without_keys_any_virt_v2v_will_do() -> None:
    assert key_arguments([], DIRECTORY, VirtV2V("1.28.1", frozenset(), ())) == []


@pytest.mark.parametrize(
    ("version", "taken"), [("1.40.2", False), ("1.42.0", True), ("1.45rhel", True), ("2.2", True)]
)
def test_a_virt_v2v_that_knows_no_keys_by_uuid_is_refused(version: str, taken: bool) -> None:
    keys = [VolumeKey(UUID, "LUKS sda2", Secret(PASSPHRASE))]
    old = VirtV2V(version, frozenset(), ())
    if taken:
        assert key_arguments(keys, DIRECTORY, old)
    else:
        with pytest.raises(SettingsError, match="cannot open encrypted volumes"):
            key_arguments(keys, DIRECTORY, old)


def test_a_key_of_any_bytes_is_removed_from_what_is_sent() -> None:
    assert scrub(b"key p\xe4ss end", [Secret.from_bytes(b"p\xe4ss")]) == b"key *** end"
    line = f"p2v.key=sda2:https://host/{PASSPHRASE} quiet".encode()
    assert scrub(line, []) == b"p2v.key=*** quiet"
