"""What the server says of itself: the survey, run for real by the shells of servers, and how its answer is read."""

from __future__ import annotations

import dataclasses
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.session.preflight import survey_command
from p2v_tui.session.preflight.server_facts import (
    NO_POOL,
    Access,
    Directory,
    ExistingFile,
    Place,
    ServerFacts,
    Space,
    parse_facts,
)
from p2v_tui.session.preflight.survey_command import Libvirt, survey
from tests.unit.volumes import mounted_ntfs, ntfs

pytestmark = pytest.mark.integration

# What /bin/sh is on the distributions: dash, bash, and on small ones busybox.
SHELLS = (["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"])
FILES = ("db1-sda", "db1-sdb", "db1.xml")
# libvirt's own stand-in for a hypervisor: it has a domain `test` and a pool `default-pool`.
TEST_LIBVIRT = "test:///default"


def program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        pytest.fail(f"{name} is not installed; debian-packages.txt lists what the tests need.")
    return path


def answer(
    command: str, shell: Sequence[str] = ("dash",), user: str | None = None, **environment: str
) -> tuple[str, str]:
    """What the command prints and what it complains of. user: who runs it, this one by default."""
    words = [program(shell[0]), *shell[1:], "-c", command]
    if user:
        words = [
            program("setpriv"),
            f"--reuid={user}",
            f"--regid={pwd.getpwnam(user).pw_gid}",
            "--clear-groups",
            *words,
        ]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", **environment}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True, env=environment, cwd="/")
    return done.stdout, done.stderr


def facts_of(command: str, files: Sequence[str] = (), *, sudo: bool = False, user: str | None = None) -> ServerFacts:
    return parse_facts(answer(command, user=user)[0], sudo=sudo, files=files)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_shell_gives_the_whole_answer_and_complains_of_nothing(shell: list[str], tmp_path: Path) -> None:
    libvirt = Libvirt(TEST_LIBVIRT, "default-pool", "test")
    (tmp_path / FILES[0]).touch()
    for command in (survey(sudo=False, storage=str(tmp_path), files=FILES), survey(sudo=False, libvirt=libvirt)):
        said, complaints = answer(command, shell)
        assert said.endswith("\nend yes\n")
        assert not complaints
        facts = parse_facts(said, sudo=False, files=FILES)
        known = {field.name for field in dataclasses.fields(facts) if getattr(facts, field.name) is not None}
        assert known >= {"clock", "memory", "swap", "kvm", "kernel", "uefi", "virtio_win", "windows_service", "ntfs"}
        assert set(facts.space) >= {Place.OVERLAY, Place.LOGS}
        assert all(facts.programs.values())


def test_the_programs_of_virt_v2v_are_run_and_a_missing_part_is_told(tmp_path: Path) -> None:
    with_all = facts_of(survey(sudo=False)).programs
    assert with_all == dict.fromkeys(
        ["nbdkit", "nbdkit-nbd", "nbdkit-file", "nbdkit-cow", "nbdcopy", "qemu-img", "qemu-nbd", "python"], True
    )
    # An nbdkit without plugins: it says its own version and finds nothing else.
    bare = tmp_path / "nbdkit"
    bare.write_text(f'#!/bin/sh\n[ "$*" = --version ] && exec {program("nbdkit")} --version\nexit 1\n')
    bare.chmod(0o755)
    said, _ = answer(f"PATH={tmp_path}:$PATH\n{survey(sudo=False)}")
    found = parse_facts(said, sudo=False).programs
    assert [name for name, runs in found.items() if not runs] == ["nbdkit-nbd", "nbdkit-file", "nbdkit-cow"]


@pytest.mark.parametrize(("sudo", "found"), [(False, False), (True, True)])
def test_programs_are_looked_for_where_virt_v2v_finds_them(sudo: bool, found: bool, tmp_path: Path) -> None:
    for name in ("dash", "id", "date", "timeout", "sed", "stat", "df", "tr", "getent", "sort"):
        (tmp_path / name).symlink_to(program(name))
    said, _ = answer(survey(sudo=sudo), PATH=str(tmp_path))
    assert parse_facts(said, sudo=sudo).programs["nbdcopy"] is found


def test_nothing_is_asked_as_root(tmp_path: Path) -> None:
    called = tmp_path / "called"
    sudo = tmp_path / "sudo"
    sudo.write_text(f"#!/bin/sh\necho called >{called}\n")
    sudo.chmod(0o755)
    libvirt = Libvirt(TEST_LIBVIRT, "default-pool", "db1")
    answer(f"PATH={tmp_path}:$PATH\n{survey(sudo=True, storage='/root', files=FILES, libvirt=libvirt)}")
    assert not called.exists()


def test_space_is_that_of_the_file_system_and_the_same_one_is_known_by_two_paths(tmp_path: Path) -> None:
    storage = tmp_path / "it's a directory"
    storage.mkdir()
    space = facts_of(survey(sudo=False, storage=str(storage))).space
    status = os.statvfs(storage)
    assert abs(space[Place.STORAGE].free - status.f_bavail * status.f_frsize) < 1 << 30
    assert space[Place.STORAGE].path == str(storage)
    assert space[Place.OVERLAY].path == "/var/tmp"
    assert space[Place.LOGS].path == "/tmp"
    same = Path("/tmp").stat().st_dev == storage.stat().st_dev
    assert (space[Place.STORAGE].file_system == space[Place.LOGS].file_system) is same
    # /dev/shm is a tmpfs, and every tmpfs has the same source.
    elsewhere = facts_of(survey(sudo=False, storage="/dev/shm")).space
    assert elsewhere[Place.STORAGE].file_system != elsewhere[Place.LOGS].file_system


@pytest.mark.parametrize("name", ["VIRT_V2V_TMPDIR", "LIBGUESTFS_CACHEDIR", "TMPDIR"])
def test_the_overlay_is_where_virt_v2vs_environment_says_unless_sudo_drops_it(name: str, tmp_path: Path) -> None:
    for sudo, path in ((False, str(tmp_path)), (True, "/var/tmp")):
        said, _ = answer(survey(sudo=sudo), **{name: str(tmp_path)})
        assert parse_facts(said, sudo=sudo).space[Place.OVERLAY].path == path


def test_what_the_output_directory_is_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expected = {
        tmp_path: Directory.THERE,
        tmp_path / "missing" / "below": Directory.MISSING,
        tmp_path / "file": Directory.NO_DIRECTORY,
    }
    assert {path: facts_of(survey(sudo=False, storage=str(path))).storage for path in expected} == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_another_user_may_not_do_is_told_but_not_of_root_behind_sudo() -> None:
    # Not in pytest's directory, into which it lets nobody else.
    with tempfile.TemporaryDirectory() as made:
        parent = Path(made)
        parent.chmod(0o711)
        closed = parent / "closed"
        (closed / "inside").mkdir(parents=True)
        closed.chmod(0o755)
        assert facts_of(survey(sudo=False, storage=str(closed)), user="nobody").storage is Directory.READ_ONLY
        assert facts_of(survey(sudo=True, storage=str(closed)), user="nobody").storage is Directory.THERE
        closed.chmod(0o700)
        inside = str(closed / "inside")
        assert facts_of(survey(sudo=False, storage=inside), user="nobody").storage is Directory.UNREACHABLE
        assert facts_of(survey(sudo=True, storage=inside), user="nobody").storage is None


def test_the_guests_files_that_are_there_are_told_and_no_others(tmp_path: Path) -> None:
    for name in ("db1-sda", "db1.xml", "db1-sdc", "other"):
        (tmp_path / name).touch()
    facts = facts_of(survey(sudo=False, storage=str(tmp_path), files=FILES), FILES)
    assert [file.name for file in facts.existing] == ["db1-sda", "db1.xml"]


def test_a_file_that_is_there_is_told_with_its_size_and_age_whatever_it_is_called(tmp_path: Path) -> None:
    files = ("my guest-sda", "Gr\u00fc\u00dfe-sda", "$(reboot)-sda", "*-sda", "gone-sda")
    for number, name in enumerate(files[:-1]):
        (tmp_path / name).write_text("x" * number)
        os.utime(tmp_path / name, (1_000_000, 1_000_000))
    facts = facts_of(survey(sudo=False, storage=str(tmp_path), files=files), files)
    assert facts.existing == tuple(ExistingFile(name, size, 1_000_000) for size, name in enumerate(files[:-1]))


def test_a_pools_path_is_read_as_libvirt_means_it(tmp_path: Path) -> None:
    directory = tmp_path / 'R&D <"new"> it\'s'
    directory.mkdir()
    path = str(directory).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for quoted in (path, path.replace('"', "&quot;").replace("'", "&apos;")):
        virsh = tmp_path / "virsh"
        xml = f"<pool type='dir'>\n  <target>\n    <path>{quoted}</path>\n  </target>\n</pool>"
        virsh.write_text(f"#!/bin/sh\ncase \"$*\" in *pool-dumpxml*) cat <<'E'\n{xml}\nE\nesac\n")
        virsh.chmod(0o755)
        said, _ = answer(f"PATH={tmp_path}:$PATH\n{survey(sudo=False, libvirt=Libvirt(None, 'p', 'd'))}")
        facts = parse_facts(said, sudo=False)
        assert facts.pool == "dir"
        assert facts.places[Place.STORAGE] == (Directory.THERE, str(directory))


def test_a_temporary_directory_that_does_not_exist_is_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for sudo in (False, True):
        said, complaints = answer(survey(sudo=sudo), TMPDIR=missing)
        places = parse_facts(said, sudo=sudo).places
        assert not complaints
        assert places.get(Place.TEMPORARY) == (None if sudo else (Directory.MISSING, missing))
        assert places[Place.OVERLAY][0] is (Directory.THERE if sudo else Directory.MISSING)


def test_localhost_and_the_user_are_asked_for(tmp_path: Path) -> None:
    facts = facts_of(survey(sudo=False))
    assert facts.user == pwd.getpwuid(os.geteuid()).pw_name
    assert facts.localhost
    assert {"127.0.0.1", "::1"} & set(facts.localhost)
    getent = tmp_path / "getent"
    for said, addresses in (("", ()), ("10.1.2.3 STREAM localhost\n10.1.2.3 DGRAM\n", ("10.1.2.3",))):
        getent.write_text(f"#!/bin/sh\nprintf '{said}'\n")
        getent.chmod(0o755)
        text, _ = answer(f"PATH={tmp_path}:$PATH\n{survey(sudo=False)}")
        assert parse_facts(text, sudo=False).localhost == addresses


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
@pytest.mark.parametrize("sudo", [False, True])
def test_a_file_system_that_nobody_may_write_to_is_told_apart(tmp_path: Path, sudo: bool) -> None:
    point = tmp_path / "mounted"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(point)], check=True)
    try:
        facts = facts_of(survey(sudo=sudo, storage=str(point)), sudo=sudo)
    finally:
        subprocess.run(["umount", str(point)], check=True)
    assert facts.storage is Directory.READ_ONLY_FILE_SYSTEM


@pytest.mark.parametrize(("name", "taken"), [("test", True), ("tes", False), ("db1", False)])
def test_libvirt_is_asked_for_the_domain_and_the_pool(name: str, taken: bool) -> None:
    facts = facts_of(survey(sudo=False, libvirt=Libvirt(TEST_LIBVIRT, "default-pool", name)))
    assert facts.programs["virsh"]
    assert facts.domain is taken
    assert facts.pool == "dir"
    assert facts.storage is Directory.MISSING, "libvirt's own stand-in has a pool at /default-pool"
    assert facts_of(survey(sudo=False, libvirt=Libvirt(TEST_LIBVIRT, "no such pool", name))).pool == NO_POOL


def test_a_libvirt_that_does_not_answer_is_unknown() -> None:
    facts = facts_of(survey(sudo=False, libvirt=Libvirt("qemu:///nowhere", "default", "db1")))
    assert facts.programs["virsh"]
    assert (facts.domain, facts.pool) == (None, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_file_system_that_does_not_answer_is_unknown_and_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_command, "PART_SECONDS", 1)
    # As NFS does when its server is gone: whoever looks waits.
    with mounted_ntfs(ntfs(tmp_path / "image"), tmp_path / "dead") as (dead, file_server):
        file_server.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, file_server.pid, os.WSTOPPED | os.WNOWAIT)
        facts = facts_of(survey(sudo=False, storage=str(dead), files=FILES), FILES)
    assert facts.storage is None
    assert set(facts.space) == {Place.OVERLAY, Place.LOGS}


def test_a_program_that_does_not_answer_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_command, "PART_SECONDS", 1)
    hanging = tmp_path / "virsh"
    hanging.write_text("#!/bin/sh\nexec sleep 1000\n")
    hanging.chmod(0o755)
    command = survey(sudo=False, libvirt=Libvirt(None, "default", "db1"))
    said, _ = answer(f"PATH={tmp_path}:$PATH\n{command}")
    facts = parse_facts(said, sudo=False)
    assert "virsh" not in facts.programs
    assert (facts.domain, facts.pool) == (None, None)
    assert facts.programs["nbdkit"]


HONEST = """clock 1795445195
root yes
program nbdkit yes
program nbdcopy no
program python yes
memory 2000
swap 10
kvm denied
kernel usable
uefi no
virtio-win yes
windows-service no
ntfs yes
domain no
pool logical /dev/vg
user conv
localhost 127.0.0.1 ::1
directory storage there /srv/my guests
directory overlay read-only /var/tmp
directory nowhere there /x
existing 4096 1795000000 db1-sda
existing 9 9 /etc/passwd
space storage 10 4096 0 0 37 /dev/vg/a /srv/my guests
space overlay 20 1024 100 90 40 tmpfs /var/tmp
space logs x 1024 100 90 40 tmpfs /tmp
tmout 600
clientaliveinterval 1m30s
clientalivecountmax 2
end yes
"""


def test_an_honest_answer_is_read_as_it_was_meant() -> None:
    assert parse_facts(HONEST, sudo=False, files=FILES) == ServerFacts(
        by_sudo=False,
        as_root=True,
        clock=1795445195,
        memory=2000 * 1024,
        swap=10 * 1024,
        programs={"nbdkit": True, "nbdcopy": False, "python": True},
        kvm=Access.DENIED,
        kernel=Access.USABLE,
        uefi=False,
        virtio_win=True,
        windows_service=False,
        ntfs=True,
        user="conv",
        localhost=("127.0.0.1", "::1"),
        places={
            Place.STORAGE: (Directory.THERE, "/srv/my guests"),
            Place.OVERLAY: (Directory.READ_ONLY, "/var/tmp"),
        },
        space={
            Place.STORAGE: Space("/srv/my guests", "/dev/vg/a", 40960, None),
            Place.OVERLAY: Space("/var/tmp", "40", 20480, 90),
        },
        existing=(ExistingFile("db1-sda", 4096, 1795000000),),
        domain=False,
        pool="logical",
        tmout=600,
        client_alive=(90, 2),
    )


@pytest.mark.parametrize(
    ("lines", "client_alive"),
    [
        ("clientaliveinterval 300", (300, 3)),
        ("clientaliveinterval 5m\nclientalivecountmax 0", (300, 0)),
        ("clientaliveinterval 0\nclientalivecountmax 3", None),
        ("clientaliveinterval 10\nclientaliveinterval 20", (10, 3)),
        ("clientalivecountmax 3", None),
        ("clientaliveinterval soon", None),
    ],
)
def test_sshds_time_limits_are_read_as_sshd_reads_them(lines: str, client_alive: tuple[int, int] | None) -> None:
    assert parse_facts(lines, sudo=False).client_alive == client_alive


def test_sshds_settings_are_found_where_it_has_them() -> None:
    """The script's part that reads them, on files of our own: what is in this machine's may be anything."""
    command = survey(sudo=False)
    assert "/etc/ssh/sshd_config.d/*.conf" in command
    part = command[command.index("for file in /etc/ssh") : command.index("echo end")]
    part = part.replace("/etc/ssh/sshd_config.d/*.conf", "$directory/*.conf").replace("/etc/ssh/", "$directory/")
    script = f"""directory=$(mktemp -d); trap 'rm -r "$directory"' EXIT
printf '%s\\n' 'ClientAliveInterval 30' 'Match User x' 'ClientAliveCountMax 9' >$directory/a.conf
printf '%s\\n' '# ClientAliveInterval 7' ' clientalivecountmax = 4' 'ClientAliveInterval=5' >$directory/sshd_config
{part}"""
    for shell in SHELLS:
        assert parse_facts(answer(script, shell)[0], sudo=False).client_alive == (30, 4)


def test_nothing_that_the_server_says_drives_the_terminal() -> None:
    space = parse_facts("space logs 1 1 1 1 1 - /tmp\x1b[2J\x1b]0;x\x07\u202e", sudo=False).space[Place.LOGS]
    assert space.path == "/tmp"


_WORDS = st.sampled_from([line.partition(" ")[0] for line in HONEST.splitlines()])
_VALUES = st.one_of(
    st.text(max_size=30),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(["yes", "no", "storage 1 1 1 1 1 / /", "logs 9 9 9 9 9", "dir", "1w" * 9, "٣"]),
)
_LINES = st.one_of(
    st.builds(lambda word, value: f"{word} {value}", _WORDS, _VALUES), st.text(max_size=50), st.sampled_from(HONEST)
)


@given(st.lists(_LINES, max_size=60).map("\n".join), st.booleans())
def test_whatever_the_server_says_the_answer_is_facts_that_can_be_shown(text: str, sudo: bool) -> None:
    facts = parse_facts(text, sudo=sudo, files=FILES)
    assert {file.name for file in facts.existing} <= set(FILES)
    for space in facts.space.values():
        assert space.path.isprintable() or " " in space.path or "\t" in space.path
        assert space.free >= 0
    assert all(0 <= number < 10**22 for number in (facts.memory, facts.clock, facts.swap) if number is not None)


def test_a_flood_is_read_to_a_limit() -> None:
    flood = "program x" + "y" * 100 + " yes\n"
    assert parse_facts(flood * 100_000 + HONEST, sudo=False) == ServerFacts()
    assert parse_facts("z" * (50 << 20), sudo=False) == ServerFacts()
