"""A real terminal for a program with screens: tmux runs it, types into it and reads its screen. Each terminal has its
own tmux server, which is ended with everything in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Self

import psutil

from tests.lab.commands import LabFailure, program

_CALL_SECONDS = 20.0
_POLL_SECONDS = 0.1


class Terminal:
    """A terminal of `columns` x `lines`, with the program in it running since it was made.

    environment: for the program, in addition to our own.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        lines: int = 24,
        term: str = "vt220",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = f"p2v-lab-{secrets.token_hex(4)}"
        self._environment = {name: value for name, value in os.environ.items() if name not in {"TMUX", "TMUX_PANE"}}
        settings = {"TERM": term, "COLORTERM": "", **(environment or {})}
        words = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
        size = ["-x", str(columns), "-y", str(lines)]
        # A first command sets the default terminal, before any program runs in it.
        self._tmux("-f", "/dev/null", "start-server", ";", "set-option", "-g", "remain-on-exit", "on", ";",
                   "set-option", "-g", "default-terminal", "screen", ";",
                   "new-session", "-d", *size, *words, "--", *command)  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the terminal; what runs in it gets a hang-up."""
        with contextlib.suppress(LabFailure):
            self._tmux("kill-server")

    def press(self, *keys: str) -> None:
        """Presses keys by tmux's names: `Enter`, `Tab`, `Down`, `F1`, `C-l`, or single characters."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", "--", text)

    def screen(self) -> str:
        """The text on the screen now."""
        return self._tmux("capture-pane", "-p")

    def wait_for(self, pattern: str, seconds: float = 60.0) -> str:
        """Waits until the pattern (a regular expression) is on the screen, and returns the screen then.

        Raises LabFailure with the screen when it does not come, or the program ended without it.
        """
        deadline = time.monotonic() + seconds
        while True:
            over = self.exit_code() is not None or time.monotonic() > deadline
            if re.search(pattern, shown := self.screen()):
                return shown
            if over:
                raise LabFailure(f"{pattern!r} did not appear on the terminal:\n{shown}")
            time.sleep(_POLL_SECONDS)  # tmux has no event for "this text is there".

    def exit_code(self) -> int | None:
        """The program's exit code, or 128 plus the signal that killed it; None while it runs."""
        said = self._tmux("display-message", "-p", "#{pane_dead} #{pane_dead_status} #{pane_dead_signal} #{pid}")
        dead, code, number, server = said.rstrip("\n").split(" ")
        if dead != "1":
            return None
        if not (code or number):
            # tmux has seen the end of the output but not yet that of the program. On a busy machine tmux 3.3a misses
            # the signal for that, and does not look again before the next one.
            os.kill(int(server), signal.SIGCHLD)
            return None
        return int(code) if code else 128 + int(number)

    def signal(self, number: signal.Signals) -> None:
        """Sends it to the program."""
        os.kill(self._pid, number)

    def hang_up(self, seconds: float = 30.0) -> None:
        """The terminal goes away. Waits until the program has ended."""
        program = psutil.Process(self._pid)
        self.close()
        program.wait(seconds)

    @property
    def _pid(self) -> int:
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def wait_for_exit(self, seconds: float = 30.0) -> int:
        deadline = time.monotonic() + seconds
        while (code := self.exit_code()) is None:
            if time.monotonic() > deadline:
                raise LabFailure(f"The program on the terminal does not end:\n{self.screen()}")
            time.sleep(_POLL_SECONDS)  # As above.
        return code

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            [program("tmux"), "-L", self._name, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=_CALL_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise LabFailure(f"tmux {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout
