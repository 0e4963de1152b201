"""The file of --config: what is in it, who may read it, and that its secrets show nowhere."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from p2v_tui import cmdline
from p2v_tui.config import Settings
from p2v_tui.config_file import MAX_SIZE, read_words
from p2v_tui.errors import SettingsError
from p2v_tui.kinds import Secret

PROGRAM = str(Path(sys.executable).with_name("p2v-tui"))
TEXT = """
# The server.
p2v.server=conv.example.com p2v.port=2222

  # Who we are there; a # inside a line is a character as any other.
p2v.username=conv
p2v.password="a # b"
p2v.name=open p2v.os="/no closing quote
p2v.o=qemu
"""


def write(directory: Path, text: str | bytes, mode: int = 0o600) -> str:
    path = directory / "p2v.conf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return str(path)


def dump(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, *arguments, "--cmdline=p2v.dump_config_and_exit"]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def test_it_holds_words_on_any_number_of_lines_and_comments(tmp_path: Path) -> None:
    parsed = cmdline.parse_words(read_words(write(tmp_path, TEXT)))
    assert parsed.settings == Settings(
        server="conv.example.com",
        port=2222,
        username="conv",
        password=Secret("a # b"),
        guestname="open",
        output_storage="/no closing quote",
        output_type="qemu",
    )
    (warning,) = parsed.warnings
    assert "p2v.os" in warning


@pytest.mark.parametrize("text", [b"p2v.name=x\r\np2v.o=qemu\r\n", b"\xef\xbb\xbfp2v.name=x p2v.o=qemu"])
def test_line_ends_and_marks_of_other_systems_do_no_harm(tmp_path: Path, text: bytes) -> None:
    parsed = cmdline.parse_words(read_words(write(tmp_path, text)))
    assert parsed.settings == Settings(guestname="x", output_type="qemu")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
def test_one_that_others_can_read_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    name = write(tmp_path, "p2v.password=swordfish", mode)
    with pytest.raises(SettingsError) as caught:
        read_words(name)
    assert f"mode {mode:04o}" in caught.value.message
    assert f"chmod 600 {name}" in caught.value.advice
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# p2v.server=x", "server=x\n", "root:x:0:0::/root:/bin/sh"])
def test_a_file_without_settings_is_refused_without_a_word_about_its_mode(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="no settings") as caught:
        read_words(write(tmp_path, text, 0o644))
    assert "chmod" not in str(caught.value)


def test_a_path_that_is_missing_or_not_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_words(str(tmp_path / "missing"))
    with pytest.raises(SettingsError, match="Is a directory"):
        read_words(str(tmp_path))
    with pytest.raises(SettingsError, match="cannot be read"):
        read_words("a\0b")
    with pytest.raises(SettingsError, match=str(MAX_SIZE)):
        read_words(write(tmp_path, "p2v.name=x " * MAX_SIZE))


def test_bytes_that_are_no_text_are_refused_where_they_are_used(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"p2v\.name"):
        cmdline.parse_words(read_words(write(tmp_path, b"p2v.name=\xff\xfe")))


def test_standard_input_can_stand_in_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"p2v.password=x\n")))
    assert cmdline.parse_words(read_words("-")).settings == Settings(password=Secret("x"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(SettingsError, match="standard input"):
        read_words("-")


@pytest.mark.integration
def test_the_program_takes_it_beside_the_command_line_which_decides(tmp_path: Path) -> None:
    name = write(tmp_path, "p2v.server=file.example.com p2v.o=null p2v.password=swordfish p2v.op=swordfish")
    done = subprocess.run(
        [PROGRAM, "--config", name, "--cmdline=p2v.dump_config_and_exit p2v.server=line.example.com"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert "remote.server        line.example.com" in lines
    assert "output.type          null" in lines
    assert "auth.password        ***" in lines
    assert "p2v.remote.server is given more than once; the first one is used" in done.stderr
    assert "swordfish" not in done.stdout + done.stderr


@pytest.mark.integration
def test_the_program_reads_standard_input_and_a_pipe() -> None:
    assert "output.type          qemu" in dump("--config", "-", given="p2v.o=qemu").stdout
    script = f'"{PROGRAM}" --config <(echo p2v.o=qemu) --cmdline=p2v.dump_config_and_exit'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "output.type          qemu" in done.stdout


@pytest.mark.integration
def test_the_program_refuses_a_bad_one_with_its_code_and_words(tmp_path: Path) -> None:
    done = dump("--config", write(tmp_path, "p2v.o=qemu", 0o644))
    assert done.returncode == 2
    assert "can be read by other users" in done.stderr
    assert not done.stdout
    # A fleet hears of it.
    command = [PROGRAM, "--config", str(tmp_path / "missing"), "--cmdline=p2v.fail='echo it failed'"]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert failed.returncode == 2
