"""Which files are removed from the image."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagebuild.inside import files
from imagebuild.lists import HERE, lines_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small root file system."""
    for name in (
        "usr/share/doc/tmux/copyright",
        "usr/share/doc/tmux/examples/one",
        "usr/share/man/man1/tmux.1",
        "var/log/apt/term.log",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    (tmp_path / "usr/share/doc/link").symlink_to("/etc/passwd")
    return tmp_path


def left(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or not any(path.iterdir())}


def test_a_directory_goes_with_all_that_is_in_it(root: Path) -> None:
    files.remove(root, ["/usr/share/man", "/usr/share/doc"])
    assert left(root) == {"usr/share", "var/log/apt/term.log"}


def test_what_a_later_line_keeps_stays_and_so_do_its_directories(root: Path) -> None:
    files.remove(root, ["/usr/share/doc/**", "!/usr/share/doc/*/copyright", "/usr/share/man", "/var/log/**"])
    assert left(root) == {"usr/share/doc/tmux/copyright", "var/log"}


def test_a_symbolic_link_is_removed_and_not_what_it_points_to(root: Path) -> None:
    files.remove(root, ["/usr/share/doc/link/**", "/usr/share/doc/link"])
    assert not (root / "usr/share/doc/link").is_symlink()
    assert Path("/etc/passwd").exists()


def test_the_list_keeps_the_directory_where_apt_is_told_about_the_building_machine() -> None:
    # mmdebstrap's apt finds there that it is not to work on the building machine itself.
    assert [line for line in lines_of(HERE / "files.txt") if line.startswith(("/tmp", "/var/tmp"))] == []


def test_no_line_of_the_list_removes_a_whole_top_level_directory() -> None:
    lines = [line.lstrip("!") for line in lines_of(HERE / "files.txt")]
    assert [line for line in lines if not line.startswith("/") or len(Path(line).parts) < 3] == []


def test_licences_stay() -> None:
    assert "!/usr/share/doc/*/copyright" in lines_of(HERE / "files.txt")
