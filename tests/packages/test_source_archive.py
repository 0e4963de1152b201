"""The source archive has what git has and passes its tests elsewhere; the wheel has the documentation, too."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from p2v_tui import __version__
from tests.packages.conftest import ROOT

# Quick ones, and those that look at files beside the package.
TESTS = ("test_version.py", "test_docs.py", "test_requirements.py", "test_manual.py", "test_config.py")


def unpacked(source_archive: Path, directory: Path) -> Path:
    with tarfile.open(source_archive) as tar:
        tar.extractall(directory, filter="data")
    return directory / f"p2v_tui-{__version__}"


def test_the_source_archive_has_all_that_git_has(source_archive: Path, tmp_path: Path) -> None:
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    source = unpacked(source_archive, tmp_path)
    # A link to nowhere would be one that the archive has lost.
    assert [name for name in listed.split("\0") if name and not (source / name).exists()] == []


def test_it_passes_its_tests_where_it_is_unpacked(source_archive: Path, tmp_path: Path) -> None:
    source = unpacked(source_archive, tmp_path)
    tests = [f"tests/unit/{name}" for name in TESTS]
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *tests,
            "tests/live_image/test_layer.py",
        ],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_wheel_has_the_manual_the_pages_the_completion_and_the_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    data = f"p2v_tui-{__version__}.data/data/share"
    pages = {f"doc/p2v-tui/docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    completion = {
        "bash-completion/completions/p2v-tui",
        "zsh/site-functions/_p2v-tui",
        "fish/vendor_completions.d/p2v-tui.fish",
    }
    installed = {"man/man1/p2v-tui.1", "doc/p2v-tui/README.md", *completion, *pages}
    assert {f"{data}/{name}" for name in installed} <= names
    assert {"p2v_tui/py.typed", f"p2v_tui-{__version__}.dist-info/licenses/COPYING"} <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "live-image/"))]
