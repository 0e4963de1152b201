"""The remote commands, run for real by the shells that a server may have."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2v_tui.session.conversion.earlier import made_files
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.commands import (
    make_directory,
    quote,
    read_progress,
    start_shell,
    start_wrapper,
    stop_wrapper,
    wrapper_script,
    write_files,
)
from p2v_tui.session.remote.directory import RemoteDirectory

pytestmark = pytest.mark.integration

LIMIT = 1 << 20
MACHINE = '{"guest": "it\'s $(reboot) 100%s"}'
# What /bin/sh is on the distributions: dash where it is not bash.
SHELLS = ("dash", "bash")
LOGIN_SHELLS = ("sh", "bash", "dash", "zsh", "tcsh", "fish")

Done = subprocess.CompletedProcess[bytes]


def program(name: str) -> str:
    """The program's path; a missing one is a failure that names it, and no reason to skip."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed; debian-packages.txt lists what the tests need.")
    return path


def run(command: str, *, shell: str = "sh", stdin: bytes = b"") -> Done:
    # A clean environment: what the tests' own session exports must make no difference.
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        [program(shell), "-c", command], input=stdin, capture_output=True, timeout=60, check=False, env=environment
    )


@pytest.fixture
def directory(tmp_path: Path) -> RemoteDirectory:
    """A remote directory that exists, with a blank and a quote in its name: nothing may trip over them."""
    path = tmp_path / "it's a directory"
    path.mkdir()
    return RemoteDirectory(str(path))


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=5))
@example(["", " ", "'", '"', "\\", "\n", "$(reboot)", "`reboot`", "*", "~", "-n", "a=b", "#", "!", "&", ";"])
def test_every_word_is_exactly_one_argument_whatever_it_holds(words: list[str]) -> None:
    for shell in SHELLS:
        done = run(quote("printf", "%s\\0", *words) + "; echo end", shell=shell)
        assert done.stdout.decode() == "".join(f"{word}\0" for word in words) + "end\n"


@pytest.mark.parametrize("login_shell", LOGIN_SHELLS)
def test_the_remote_shell_is_sh_whatever_the_login_shell_is(login_shell: str) -> None:
    token = "0123456789abcdef"
    done = run(start_shell(token), shell=login_shell, stdin=b"LC_ALL=C; readlink /proc/$$/exe; echo $((1+1))\n")
    before, _, after = done.stdout.partition(f"\n{token}\n".encode())
    assert before == b""
    assert after.split() == [os.path.realpath(program("sh")).encode(), b"2"]


def test_a_shell_that_only_echoes_its_command_does_not_say_the_token() -> None:
    assert "0123456789abcdef" not in start_shell("0123456789abcdef")


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path, shell: str) -> None:
    directory = RemoteDirectory(str(tmp_path / "it's new"))
    assert run(f"umask 000; {make_directory(directory, MACHINE)}", shell=shell).returncode == 0
    assert stat.S_IMODE(Path(directory.path).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(directory.file("time")).stat().st_mode) == 0o600
    assert Path(directory.file("time")).read_text()


def test_a_directory_that_somebody_made_before_us_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "trap")
    for name in ("trap", "link"):
        assert run(make_directory(RemoteDirectory(str(tmp_path / name)), MACHINE)).returncode != 0
    assert list((tmp_path / "trap").iterdir()) == []


@given(st.binary(max_size=5000), st.binary(max_size=100))
@example(bytes(range(256)), b"")
@example(b"", b"P2V-END-OF-FILE\n")
def test_files_hold_exactly_the_bytes_that_were_sent(first: bytes, second: bytes) -> None:
    paths = [Path("/dev/shm") / f"p2v-tui-test-{os.getpid()}-{number}" for number in (1, 2)]
    try:
        done = run("umask 000\n" + write_files({str(paths[0]): first, str(paths[1]): second}))
        assert done.returncode == 0
        assert [path.read_bytes() for path in paths] == [first, second]
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def test_a_file_that_has_no_place_is_an_error_that_names_it(tmp_path: Path, shell: str) -> None:
    path = str(tmp_path / "missing" / "file")
    done = run(write_files({path: b"x"}), shell=shell)
    assert done.returncode != 0
    assert path in done.stdout.decode()


def test_a_file_that_cannot_be_stored_whole_is_not_left_behind(directory: RemoteDirectory, shell: str) -> None:
    path = Path(directory.file("file"))
    # A limit on a file's size fails in the middle of the write, as a full disk does. In 512 bytes or KiB each.
    done = run(f"trap '' XFSZ; ulimit -f 8\n{write_files({str(path): b'x' * 40_000})}", shell=shell)
    assert done.returncode != 0
    assert not path.exists()


def test_what_only_virt_v2v_may_read_is_removed_by_the_stop_too(directory: RemoteDirectory, shell: str) -> None:
    Path(directory.secrets).mkdir()
    Path(directory.output_password).write_text("Tr0ub4dor&3")
    assert run(stop_wrapper(directory, sudo=False), shell=shell).returncode == 0
    assert not Path(directory.secrets).exists()


class Conversion:
    """A wrapper that runs a stand-in for virt-v2v: a small shell script."""

    def __init__(self, directory: RemoteDirectory, shell: str) -> None:
        self.directory = directory
        self._shell = shell

    def run(self, command: str) -> Done:
        return run(command, shell=self._shell)

    def start(
        self,
        script: str,
        mask: str = "022",
        outputs: Sequence[str] = (),
        before: str = ":",
        *,
        sudo: bool = False,
    ) -> Done:
        stand_in = Path(self.directory.file("stand-in"))
        stand_in.write_text(f"#!/bin/sh\n{script}\n")
        stand_in.chmod(0o700)
        words = [str(stand_in), "an argument", "$(reboot)"]
        wrapper = wrapper_script(self.directory, words, sudo=sudo, outputs=outputs)
        Path(self.directory.wrapper).write_text(wrapper)
        return self.run(f"umask {mask}; {before}\n{start_wrapper(self.directory)}")

    def wait(self, state: str) -> bytes:
        """The log, as soon as the state is this one."""
        for _ in range(400):
            said, _, log = self.run(read_progress(self.directory, 0, LIMIT)).stdout.split(b"\n", 2)
            if said.decode() == state:
                return log
            time.sleep(0.02)
        raise AssertionError(f"the state is {said.decode()!r} and not {state!r}")

    def wait_for(self, name: str) -> None:
        """Until the stand-in has made the file of that name."""
        for _ in range(400):
            if Path(self.directory.file(name)).exists():
                return
            time.sleep(0.02)
        raise AssertionError(f"the stand-in has not made {name}")

    @property
    def group(self) -> int | None:
        path = Path(self.directory.pid)
        return int(path.read_text()) if path.exists() else None

    @property
    def members(self) -> list[int]:
        """The processes of the wrapper's group, without those that have ended and wait to be collected."""
        group = self.group
        return [
            process.pid
            for process in psutil.process_iter()
            if group is not None and _group_of(process.pid) == group and _status(process) != psutil.STATUS_ZOMBIE
        ]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


@pytest.fixture
def conversion(directory: RemoteDirectory, shell: str) -> Iterator[Conversion]:
    made = Conversion(directory, shell)
    yield made
    for pid in made.members:
        os.kill(pid, signal.SIGKILL)


def test_the_output_is_in_the_log_and_the_exit_code_in_the_status(conversion: Conversion) -> None:
    started = conversion.start('echo "out <$1> <$2>"; echo err >&2; exit 3')
    assert (started.returncode, started.stdout) == (0, b"")
    assert conversion.wait("ended 3") == b"out <an argument> <$(reboot)>\nerr\n"
    directory = conversion.directory
    assert Path(directory.status).read_text() == "3\n"
    assert Path(directory.file("environment")).read_text()
    assert Path(directory.file("v2v-version")).exists()


def test_virt_v2v_speaks_no_other_language_than_c(conversion: Conversion) -> None:
    conversion.start('echo "$LC_ALL,${LANGUAGE-unset}"')
    assert conversion.wait("ended 0") == b"C,unset\n"


@pytest.mark.parametrize(("mask", "mode"), [("022", 0o644), ("027", 0o640), ("077", 0o600), ("002", 0o664)])
def test_what_virt_v2v_makes_has_the_accounts_umask_and_the_wrappers_own_files_are_private(
    conversion: Conversion, mask: str, mode: int
) -> None:
    conversion.start("touch made", mask=mask)
    conversion.wait("ended 0")
    directory = conversion.directory
    assert stat.S_IMODE(Path(directory.file("made")).stat().st_mode) == mode
    for path in (directory.log, directory.status, directory.pid, directory.file("environment")):
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        ("umask 027; echo Welcome; echo 0777 x", 0o640),
        ("read -r answer; umask 077; exit 3", 0o644),
        ("sleep 60 & umask 002", 0o664),
        ("exec sleep 60", 0o644),
    ],
)
def test_the_umask_is_what_the_accounts_profile_sets(
    conversion: Conversion, tmp_path: Path, profile: str, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_commands, "PROFILE_SECONDS", 1)
    (tmp_path / ".profile").write_text(f"{profile}\n")
    conversion.start("touch made", before=f"HOME={quote(str(tmp_path))}; export HOME")
    conversion.wait("ended 0")
    assert stat.S_IMODE(Path(conversion.directory.file("made")).stat().st_mode) == mode


@pytest.mark.parametrize("sudo", [False, True])
@pytest.mark.parametrize("stubborn", [False, True])
def test_what_a_killed_virt_v2v_has_started_is_ended(
    conversion: Conversion, monkeypatch: pytest.MonkeyPatch, *, stubborn: bool, sudo: bool
) -> None:
    monkeypatch.setattr(remote_commands, "LEFT_SECONDS", 1)
    child = "trap '' TERM; while :; do sleep 1; done" if stubborn else "exec sleep 600"
    conversion.start(f"({child}) & kill -s KILL $$", sudo=sudo)
    conversion.wait("ended 137")
    assert [pid for pid in conversion.members if pid != conversion.group] == []


def test_what_virt_v2v_made_is_told_from_what_was_there(conversion: Conversion, tmp_path: Path) -> None:
    old, kept, new = (tmp_path / name for name in ("the old one", "kept", "a new one"))
    old.write_text("old")
    kept.write_text("kept")
    conversion.start(
        f"rm {quote(str(old))}; echo 1 >{quote(str(old))}; echo 2 >{quote(str(new))}",
        outputs=[str(old), str(kept), str(new), str(tmp_path / "never made")],
    )
    conversion.wait("ended 0")
    said = conversion.run(remote_commands.read_outputs(conversion.directory)).stdout.decode()
    made = [line.split(" ", 3)[3] for line in made_files(said)]
    # A file system may give the new file the inode of the one that was removed: then nothing is proved.
    assert set(made) - {str(old)} == {str(new)}


def test_virt_v2v_leads_no_terminal_and_reads_nothing(conversion: Conversion) -> None:
    conversion.start("cat; tty; [ -t 0 ] || echo no terminal")
    assert b"no terminal" in conversion.wait("ended 0")


@pytest.mark.parametrize("code", [0, 1])
def test_the_secret_files_are_gone_when_virt_v2v_has_ended(conversion: Conversion, code: int) -> None:
    Path(conversion.directory.secrets).mkdir()
    secret = Path(conversion.directory.output_password)
    secret.write_text("Tr0ub4dor&3")
    conversion.start(f"cat secrets/output-password >read; exit {code}")
    conversion.wait(f"ended {code}")
    assert Path(conversion.directory.file("read")).read_text() == "Tr0ub4dor&3"
    assert not Path(conversion.directory.secrets).exists()


def test_a_virt_v2v_that_does_not_exist_ends_with_127(directory: RemoteDirectory) -> None:
    wrapper = wrapper_script(directory, ["/nonexistent/virt-v2v"], sudo=False)
    Path(directory.wrapper).write_text(wrapper)
    run(start_wrapper(directory))
    assert b"/nonexistent/virt-v2v" in Conversion(directory, "dash").wait("ended 127")


def test_a_wrapper_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    assert run(start_wrapper(RemoteDirectory(str(tmp_path / "missing")))).returncode != 0


def test_the_state_is_running_while_it_runs_and_gone_when_all_of_it_was_killed(conversion: Conversion) -> None:
    conversion.start("echo begun; touch ready; exec sleep 60")
    conversion.wait_for("ready")
    assert conversion.wait("running") == b"begun\n"
    assert conversion.group is not None
    os.killpg(conversion.group, signal.SIGKILL)
    assert conversion.wait("gone") == b"begun\n"


def test_a_conversion_that_never_was_is_unstarted_with_an_empty_log(directory: RemoteDirectory, shell: str) -> None:
    done = run(read_progress(directory, 0, LIMIT), shell=shell)
    assert (done.stdout, done.stderr) == (b"unstarted\nnone \n", b"")


def test_a_directory_that_has_disappeared_is_missing(tmp_path: Path, shell: str) -> None:
    done = run(read_progress(RemoteDirectory(str(tmp_path / "nothing")), 0, LIMIT), shell=shell)
    assert (done.stdout, done.stderr) == (b"missing\nnone \n", b"")


@pytest.mark.parametrize(
    ("status", "state"), [(None, b"rebooted"), ("1\n", b"rebooted"), ("137\n", b"rebooted"), ("0\n", b"ended 0")]
)
def test_after_a_restart_of_the_server_only_a_success_counts(
    status: str | None, state: bytes, directory: RemoteDirectory, shell: str
) -> None:
    Path(directory.boot).write_text("00000000-0000-4000-8000-000000000001\n")
    if status is not None:
        Path(directory.status).write_text(status)
    assert run(read_progress(directory, 0, LIMIT), shell=shell).stdout.split(b"\n")[0] == state


def test_in_the_same_boot_a_failure_is_one(directory: RemoteDirectory, shell: str) -> None:
    Path(directory.boot).write_bytes(Path("/proc/sys/kernel/random/boot_id").read_bytes())
    Path(directory.status).write_text("1\n")
    assert run(read_progress(directory, 0, LIMIT), shell=shell).stdout.startswith(b"ended 1\n")


def test_the_relays_status_comes_with_whether_it_lives(directory: RemoteDirectory, shell: str) -> None:
    Path(directory.relay_status).write_text('{"disks":\n []}\n')
    for pid, word in ((str(os.getpid()), b"alive"), ("999999999", b"dead"), ("", b"none")):
        Path(directory.relay_pid).write_text(pid)
        done = run(read_progress(directory, 0, LIMIT), shell=shell)
        assert done.stdout == b"unstarted\n" + word + b' {"disks": []}\n'


def test_the_relay_is_told_that_virt_v2v_has_ended(conversion: Conversion) -> None:
    script = "trap 'exit 7' USR1; touch waiting; while :; do sleep 0.05; done"
    relay = subprocess.Popen(["sh", "-c", script], cwd=conversion.directory.path)
    try:
        Path(conversion.directory.relay_pid).write_text(str(relay.pid))
        conversion.wait_for("waiting")
        conversion.start("exit 1")
        conversion.wait("ended 1")
        assert relay.wait(20) == 7
    finally:
        relay.kill()
        relay.wait()


def test_the_status_has_room_kept_for_it_until_it_is_written(conversion: Conversion) -> None:
    conversion.start("touch ready; while [ ! -e go ]; do sleep 0.02; done")
    conversion.wait_for("ready")
    assert Path(conversion.directory.file("reserve")).stat().st_blocks * 512 >= 65536
    Path(conversion.directory.file("go")).touch()
    conversion.wait("ended 0")
    assert not Path(conversion.directory.file("reserve")).exists()


def test_a_hang_up_does_not_end_it(conversion: Conversion) -> None:
    conversion.start("touch ready; while [ ! -e go ]; do sleep 0.02; done; echo survived")
    conversion.wait_for("ready")
    assert conversion.group is not None
    os.killpg(conversion.group, signal.SIGHUP)
    Path(conversion.directory.file("go")).touch()
    assert conversion.wait("ended 0") == b"survived\n"


def test_the_log_is_read_from_the_offset_and_no_more_than_asked_for(directory: RemoteDirectory, shell: str) -> None:
    content = bytes(range(256)) * 40 + b"\n\nno newline at the end"
    Path(directory.log).write_bytes(content)
    Path(directory.status).write_text("0\n")
    for offset in (0, 1, 255, 5000, len(content) - 1, len(content), len(content) + 10):
        for limit in (1, 100, LIMIT):
            done = run(read_progress(directory, offset, limit), shell=shell)
            assert done.stdout == b"ended 0\nnone \n" + content[offset : offset + limit]


def test_stopping_ends_the_whole_group_and_its_cleaning_up_is_waited_for(conversion: Conversion) -> None:
    conversion.start(
        "trap 'sleep 0.3; echo tidied; touch tidied; exit 1' TERM\n(sleep 60 & sleep 60) &\ntouch ready; wait"
    )
    conversion.wait_for("ready")
    assert len(conversion.members) >= 3
    assert conversion.run(stop_wrapper(conversion.directory, sudo=False)).returncode == 0
    assert conversion.members == []
    assert Path(conversion.directory.file("tidied")).exists()
    assert conversion.wait("ended 1") == b"tidied\n"


def test_what_ignores_a_term_is_killed(conversion: Conversion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_commands, "STOP_SECONDS", 1)
    conversion.start("(trap '' TERM; while :; do sleep 1; done) &\ntouch ready; wait")
    conversion.wait_for("ready")
    assert conversion.run(stop_wrapper(conversion.directory, sudo=False)).returncode == 0
    assert conversion.members == []


def test_stopping_what_does_not_run_is_harmless(conversion: Conversion) -> None:
    stop = stop_wrapper(conversion.directory, sudo=False)
    assert conversion.run(stop).returncode == 0
    conversion.start("exit 0")
    conversion.wait("ended 0")
    assert conversion.run(stop).returncode == 0


@pytest.mark.parametrize("text", ["", "-1", "1 2", "x", "$$", "$(touch made)"])
def test_a_damaged_pid_file_makes_it_kill_nothing(directory: RemoteDirectory, text: str) -> None:
    Path(directory.pid).write_text(text)
    assert run(stop_wrapper(directory, sudo=False)).returncode == 0
    assert not Path(directory.file("made")).exists()


def test_sudo_never_asks_and_stands_before_virt_v2v_and_kill_alone() -> None:
    directory = RemoteDirectory("/tmp/virt-p2v-20260309-abcdefgh")
    wrapper = wrapper_script(directory, ["virt-v2v", "x"], sudo=True)
    assert "\nsudo -n virt-v2v x <" in wrapper
    # The version, the conversion, and twice the end of what it leaves.
    assert wrapper.count("sudo -n virt-v2v") == 2
    assert wrapper.count("sudo") - 2 == wrapper.count("sudo -n kill -s") == 2
    stop = stop_wrapper(directory, sudo=True)
    # What is its own (the wrapper, the relay) the account can signal itself, without a right to be given.
    assert stop.count("sudo -n kill -s") == stop.count("kill -s") - 2
    assert "sudo" not in stop.partition("kill -s 0")[0]
    assert "sudo" not in stop_wrapper(directory, sudo=False)
