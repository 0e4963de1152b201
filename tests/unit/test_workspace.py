"""The private directory: nobody else's, gone at the end, and found again where its process was killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.consoles import private_directory
from p2v_tui.session.ssh import workspace
from p2v_tui.session.ssh.workspace import Workspace, abandoned


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which all of this happens, in place of /tmp."""
    monkeypatch.setattr(workspace, "PARENT", tmp_path)
    monkeypatch.setattr(workspace, "LOOK_SECONDS", 0.02)
    return tmp_path


@pytest.fixture
def left_behind(place: Path) -> Iterator[Path]:
    """The directory of a process that was killed."""
    script = """
import os, signal, sys
from pathlib import Path
from p2v_tui.session.ssh import workspace
workspace.PARENT = Path(sys.argv[1])
print(workspace.Workspace().path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(place)], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    yield Path(done.stdout.strip())


def test_it_is_its_owners_alone_and_gone_at_the_end() -> None:
    with Workspace() as made:
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
        made.identity.write_text("key")
    assert not made.path.exists()


def test_it_is_kept_as_long_as_it_holds_the_record_of_a_conversion() -> None:
    with Workspace() as made:
        made.conversion.write_text("{}")
    assert made.path.exists()
    adopted = Workspace.adopt(made.path)
    assert adopted is not None
    adopted.forget()
    adopted.close()
    assert not made.path.exists()


def test_one_that_is_in_use_is_nobody_elses() -> None:
    with Workspace() as made:
        assert Workspace.adopt(made.path) is None
        assert list(abandoned()) == []


def test_that_of_a_killed_process_is_found_and_adopted_once(left_behind: Path) -> None:
    (found,) = abandoned()
    assert found.path == left_behind
    assert Workspace.adopt(left_behind) is None
    found.close()
    assert not left_behind.exists()


def test_what_others_can_write_to_is_not_trusted(left_behind: Path) -> None:
    left_behind.chmod(0o777)
    assert Workspace.adopt(left_behind) is None


def test_a_link_is_not_followed(left_behind: Path, place: Path) -> None:
    link = place / "p2v-tui-link"
    link.symlink_to(left_behind)
    assert Workspace.adopt(link) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a directory away needs root")
def test_another_users_directory_is_not_ours(left_behind: Path) -> None:
    os.chown(left_behind, 65534, 65534)
    assert Workspace.adopt(left_behind) is None
    assert list(abandoned()) == []


def test_a_directory_that_is_just_being_made_is_left_alone(place: Path) -> None:
    (place / "p2v-tui-new").mkdir(mode=0o700)
    assert list(abandoned()) == []
    assert (place / "p2v-tui-new").exists()


def test_closed_twice_it_leaves_the_descriptors_of_others_alone(tmp_path: Path) -> None:
    workspace = Workspace()
    workspace.close()
    # The kernel gives out the lowest number that is free: that of the lock.
    opened = [os.open(tmp_path, os.O_RDONLY) for _ in range(8)]
    workspace.close()
    for descriptor in opened:
        os.close(descriptor)


def test_the_directory_of_the_consoles_session_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX_TMPDIR", str(place))
    consoles = private_directory()
    (consoles / "tmux").touch()
    monkeypatch.setattr(workspace, "MAKING_SECONDS", -1.0)
    assert list(abandoned()) == []
    assert (consoles / "tmux").exists()
