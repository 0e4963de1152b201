"""The relay as one file: what is sent to the server, and that any Python from 3.6 on can run it."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.session.data import relay_program
from p2v_tui.session.data.relay_program import stripped, zipapp
from tests.unit.nbd_relay_lab import relay_file

SOURCES = sorted(Path(relay_program.__file__).with_name("relay").glob("*.py"))


def trees() -> Iterator[tuple[Path, ast.Module]]:
    assert len(SOURCES) > 10
    for source in SOURCES:
        yield source, ast.parse(source.read_text(), feature_version=(3, 6))


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules that are imported; of our own with a point before their names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f".{alias.name}" for alias in node.names if node.level and not node.module)
            if node.module:
                yield "." * node.level + node.module


def test_it_imports_only_its_own_modules_and_the_standard_library() -> None:
    allowed = {f".{source.stem}" for source in SOURCES} | sys.stdlib_module_names
    for source, tree in trees():
        assert set(imported(tree)) <= allowed, source


def test_it_is_written_in_the_python_of_rhel_8() -> None:
    """Its grammar, and what it takes of the standard library: all that was there in Python 3.6."""
    # os.splice came with 3.10; `loop.py` looks whether it is there.
    vermin = Path(sys.executable).with_name("vermin")
    options = ["--target=3.6-", "--exclude", "os.splice", "--eval-annotations", "--violations"]
    done = subprocess.run([vermin, *options, SOURCES[0].parent], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_decisions_know_no_socket_and_no_clock() -> None:
    """Nor does what they import, but for the report, which is written in the end."""
    imports = {f".{source.stem}": set(imported(tree)) for source, tree in trees()}
    seen = set()
    reached = {".disk", ".states"}
    while reached:
        found = {module for each in reached for module in imports[each]}
        assert not found & {"socket", "select", "time", "threading", "signal", "subprocess"}, reached
        seen |= reached
        reached = (found & set(imports)) - seen - {".report"}
    assert {".session", ".supply", ".liveness", ".transmission", ".handshake", ".links"} <= seen


def test_the_same_sources_make_the_same_bytes() -> None:
    assert zipapp() == zipapp()
    with zipfile.ZipFile(io.BytesIO(zipapp())) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {f"relay/{source.name}" for source in SOURCES} | {"__main__.py"} == set(names)


def test_what_is_sent_is_the_same_program_line_for_line() -> None:
    with zipfile.ZipFile(io.BytesIO(zipapp())) as archive:
        for source in SOURCES:
            sent = archive.read(f"relay/{source.name}").decode()
            here = source.read_text()
            assert len(sent.splitlines()) == len(here.splitlines())
            assert ast.dump(without_docstrings(sent), include_attributes=False) == ast.dump(
                without_docstrings(here), include_attributes=False
            )
            assert code_lines(sent) == code_lines(here)


def without_docstrings(source: str) -> ast.Module:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return tree


def code_lines(source: str) -> list[tuple[str, int]]:
    return [
        (type(node).__name__, node.lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and not isinstance(node, ast.Expr)
    ]


def test_only_comments_and_docstrings_are_left_out() -> None:
    source = '''"""A module.

Of two paragraphs.
"""
import os  # For the name.


def name() -> str:
    """A name."""
    said = """# this
    is said"""
    return said + os.name + "#"  # It is.


class Empty:
    """Nothing."""
'''
    assert (
        stripped(source)
        == '''""



import os


def name() -> str:
    ""
    said = """# this
    is said"""
    return said + os.name + "#"


class Empty:
    ""
'''
    )


def test_it_is_a_third_of_its_sources() -> None:
    assert 3 * len(zipapp()) < sum(source.stat().st_size for source in SOURCES)


def test_a_traceback_names_file_and_line() -> None:
    script = """
import sys, traceback
sys.path.insert(0, sys.argv[1])
from relay.handshake import answer_length
try:
    answer_length(7, False, None)
except TypeError:
    print(traceback.format_exc())
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(relay_file())], capture_output=True, text=True, check=True
    )
    source = next(source for source in SOURCES if source.name == "handshake.py").read_text().splitlines()
    wrong = "while len(data) >= at + ANSWER.size:"
    line = next(number for number, text in enumerate(source, 1) if text.strip() == wrong)
    assert f'nbd_relay.pyz/relay/handshake.py", line {line}, in answer_length\n    {wrong}\n' in done.stdout


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_it_runs_from_a_file_that_nobody_else_can_read_and_nobody_can_execute(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "nbd_relay.pyz"
    file.write_bytes(zipapp())
    file.chmod(mode)
    done = subprocess.run([sys.executable, "-I", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: nbd_relay.pyz DIRECTORY DISKS SECONDS" in done.stderr
