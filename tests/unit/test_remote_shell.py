"""The remote shell over a stand-in for ssh that runs the command here: framing, files, cancellation, loss."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from p2v_tui.errors import Cancelled, ConnectionFailed, PreflightRefused
from p2v_tui.session.remote.result import Result
from p2v_tui.session.ssh.login import Login, PasswordSource
from p2v_tui.session.ssh.shell import RemoteShell, ShellConnection, cannot_store
from p2v_tui.session.words.cancellation import Cancellation

pytestmark = pytest.mark.integration

# ssh without a network: everything up to `--` and the host are options, what follows goes to the login shell.
STAND_IN = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
echo 'Welcome. Your password: is not asked for here.'
# As sshd does for `ssh -T`: the login shell has pipes and no terminal.
exec 3<&0
mkfifo "$0.pipe"
cat <&3 >"$0.pipe" &
$LOGIN_SHELL -c "$1" <"$0.pipe" 2>&1
code=$?
kill $!
exit $code
"""


@pytest.fixture
def cancellation() -> Cancellation:
    return Cancellation()


@pytest.fixture(params=["sh", "bash", "tcsh"])
def shell(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancellation: Cancellation
) -> Iterator[RemoteShell]:
    """A remote shell, behind each of these login shells."""
    stand_in = tmp_path / "bin" / "ssh"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LOGIN_SHELL", str(request.param))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    login = Login(
        host="conv",
        port=22,
        user="conv",
        known_hosts=tmp_path / "known_hosts",
        ciphers=("aes128-ctr",),
        passwords=PasswordSource(None, None),
        accept_host_key=lambda *_: False,
    )
    with ShellConnection(login, cancellation) as opened:
        yield opened.shell(cancellation)


def stand_ins() -> list[psutil.Process]:
    """All processes of the connection."""
    return psutil.Process().children(recursive=True)


def test_a_command_gives_its_status_and_both_of_its_outputs(shell: RemoteShell) -> None:
    result = shell.run("echo out; echo err >&2; exit 3")
    assert (result.status, result.output) == (3, b"out\nerr\n")
    assert shell.run("true").output == b""


def test_messages_are_not_translated(shell: RemoteShell) -> None:
    assert shell.run('echo "$LC_ALL"').text == "C\n"


def test_every_byte_of_an_output_comes_as_it_was_written(shell: RemoteShell) -> None:
    script = 'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i + 1)); done'
    assert shell.run(script).output == bytes(range(256))


def test_a_great_output_comes_whole(shell: RemoteShell) -> None:
    assert shell.run("head -c 300000 /dev/zero | tr '\\0' x").output == b"x" * 300_000


def test_a_command_reads_nothing_of_the_next_one(shell: RemoteShell) -> None:
    assert shell.run("cat").output == b""
    assert shell.run("echo next").output == b"next\n"


def test_nothing_that_a_command_sets_lasts(shell: RemoteShell) -> None:
    shell.run("cd /; umask 0; x=1; exit 7")
    assert shell.run('echo "$x"').output == b"\n"


def test_a_file_is_stored_byte_by_byte_however_long_its_line_would_be(shell: RemoteShell, tmp_path: Path) -> None:
    content = os.urandom(200_000) + b"P2V-END-OF-FILE\n"
    shell.write_files({str(tmp_path / "it's a file"): content})
    assert (tmp_path / "it's a file").read_bytes() == content


def test_a_file_that_cannot_be_stored_is_refused_with_the_reason(shell: RemoteShell, tmp_path: Path) -> None:
    with pytest.raises(PreflightRefused) as raised:
        shell.write_files({str(tmp_path / "missing" / "file"): b"x"})
    assert f"{tmp_path}/missing/file" in raised.value.message
    assert shell.run("echo alive").output == b"alive\n"


FILE = "/tmp/virt-p2v-x/relay"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (f"/bin/sh: 2: cannot create {FILE}: No space left on device\n{FILE}\n", ("no free inodes", "df -i /tmp")),
        (f"base64: write error: Disk quota exceeded\n{FILE}\n", ("no space", "df -h /tmp")),
        (f"/bin/sh: 2: base64: not found\n{FILE}\n", ("has no base64", "install coreutils")),
        (f"/bin/sh: line 2: base64: command not found\n{FILE}\n", ("has no base64",)),
        (f"mkdir: cannot create directory: Read-only file system\n{FILE}\n", ("read-only", "findmnt")),
        (f"cannot create {FILE}: Permission denied\n{FILE}\n", ("Permission denied", "writable")),
    ],
)
def test_why_a_file_cannot_be_stored_is_said_in_words_and_never_by_its_path_alone(
    output: str, words: tuple[str, ...]
) -> None:
    error = cannot_store(FILE, Result(1, output.encode()))
    assert [word for word in words if word not in str(error)] == []
    assert f"{FILE}: {FILE}" not in error.message


def test_after_a_cancellation_the_shell_still_runs_what_may_not_be_cancelled(
    shell: RemoteShell, cancellation: Cancellation, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    threading.Timer(0.3, cancellation.cancel).start()
    with pytest.raises(Cancelled):
        shell.run(f"echo before; while [ ! -e '{go}' ]; do sleep 0.02; done; echo stale")
    go.touch()
    assert shell.run("echo tidied", cancellable=False).output == b"tidied\n"


def test_a_connection_that_is_lost_is_an_error_with_sshs_last_words(shell: RemoteShell) -> None:
    with pytest.raises(ConnectionFailed) as raised:
        shell.run("echo 'client_loop: send disconnect: Broken pipe'; kill -9 $$")
    assert "conv was lost" in raised.value.message
    assert "Broken pipe" in raised.value.message


def test_a_connection_that_ended_unseen_is_an_error_however_much_is_sent(shell: RemoteShell, tmp_path: Path) -> None:
    for process in stand_ins():
        # Some end with another one.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    while shell.connection.usable:
        time.sleep(0.01)  # Its end is noticed by looking.
    with pytest.raises(ConnectionFailed, match="was lost"):
        shell.write_files({str(tmp_path / "file"): os.urandom(200_000)})


def test_sending_to_a_silent_connection_can_be_cancelled_and_it_is_not_used_again(
    shell: RemoteShell, cancellation: Cancellation, tmp_path: Path
) -> None:
    silent = stand_ins()
    for process in silent:
        process.suspend()
    threading.Timer(0.3, cancellation.cancel).start()
    with pytest.raises(Cancelled):
        shell.write_files({str(tmp_path / "file"): os.urandom(200_000)})
    assert not shell.connection.usable
    for process in silent:
        process.kill()


def test_a_command_that_does_not_end_is_an_error(shell: RemoteShell) -> None:
    with pytest.raises(ConnectionFailed, match="did not finish"):
        shell.run("sleep 60", timeout=0.1)
