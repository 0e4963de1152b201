"""What the build says while a step works, in a log and on a terminal."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path

import pytest
from imagebuild.progress import Progress

_PATIENCE = 60.0


class Stream(io.StringIO):
    """Standard error, as a log or a terminal."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal
        self._came = threading.Condition()
        self._writes = 0

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        written = super().write(text)
        with self._came:
            self._writes += 1
            self._came.notify_all()
        return written

    def wait_for_another(self, count: int) -> str:
        """What was written once `count` more writes have come."""
        with self._came:
            wanted = self._writes + count
            assert self._came.wait_for(lambda: self._writes >= wanted, _PATIENCE), self.getvalue()
        return self.getvalue()


def test_a_log_gets_a_line_now_and_then_while_a_step_works() -> None:
    stream = Stream()
    with Progress(2, stream, pause=0.01).step("Debian's packages") as step:
        step.note("Setting up tmux (3.3a-3) ...\n")
        lines = stream.wait_for_another(3).splitlines()
    assert re.fullmatch(r"\[1/2\] Debian's packages ... Setting up tmux \(3.3a-3\) ... \(\d+:\d\d\)", lines[-1])


def test_on_a_terminal_one_line_is_rewritten() -> None:
    stream = Stream(terminal=True)
    with Progress(1, stream, pause=0.01).step("ISO") as step:
        said = stream.wait_for_another(3)
        step.result = "124.3 MiB"
    assert "\n" not in said
    assert said.count("\r\x1b[K[1/1] ISO ... (") >= 2
    assert re.search(r"\r\x1b\[K\[1/1\] ISO: 124.3 MiB \(\d+ s\)\n$", stream.getvalue())


def test_a_file_that_grows_says_how_far_the_step_is(tmp_path: Path) -> None:
    stream, file = Stream(), tmp_path / "filesystem.squashfs"
    with Progress(1, stream, pause=0.01).step("Packing") as step:
        step.note("I: creating tarball...")
        step.watch(file)
        assert step.detail == "I: creating tarball..."
        file.write_bytes(bytes(3 << 20))
        said = stream.wait_for_another(3)
    assert "[1/1] Packing ... filesystem.squashfs, 3.0 MiB (" in said


def test_no_line_is_wider_than_a_terminal() -> None:
    stream = Stream(terminal=True)
    with Progress(1, stream, pause=0.01).step("Debian's packages") as step:
        step.note("x" * 200)
        said = stream.wait_for_another(3)
    assert max(map(len, said.split("\r\x1b[K"))) == 79


def test_a_step_that_fails_says_so() -> None:
    stream = Stream()
    with pytest.raises(ValueError, match="no mirror"), Progress(1, stream, pause=0.01).step("Packages"):
        raise ValueError("no mirror")
    assert re.search(r"^\[1/1\] Packages: failed \(\d+ s\)\n\Z", stream.getvalue(), re.MULTILINE)
