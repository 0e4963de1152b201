"""Puts a stand-in for virt-v2v on a conversion server of the lab, controls it and reports what it has done.

    with StandIn() as stand_in, ConversionServer(replace={VIRT_V2V: stand_in.program}) as server: ...

`stand_in_virt_v2v.py` reads the disks exactly as virt-v2v does and converts nothing, so that a copy takes seconds and
can be held, slowed down and compared. The real virt-v2v answers everything else (its version, its features).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.lab import stand_in_virt_v2v
from tests.lab.commands import LabFailure, program

# Where conversion servers and the lab find virt-v2v.
VIRT_V2V: Final = "/usr/bin/virt-v2v"
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Pause:
    """In each phase whose text begins with `phase`: wait so many seconds, then until the file exists.

    until: a file that the conversion server sees; StandIn.directory is a place for it.
    """

    phase: str
    seconds: float = 0.0
    until: Path | None = None


@dataclass(frozen=True)
class Behaviour:
    """rate: bytes a second of each disk's copy; None for as fast as it goes.

    writes: the copies go into files in -os, named as virt-v2v names them, with a description; otherwise nowhere.
    warnings: extra ones to print. most_disks: ignore further disks, with a warning, and succeed. loses: files in -os
    to remove at the end. noise: bytes of debugging output, written at once. fails: the error, in virt-v2v's words,
    with which it ends while it inspects.
    """

    pauses: tuple[Pause, ...] = ()
    rate: int | None = None
    writes: bool = False
    warnings: tuple[str, ...] = ()
    most_disks: int | None = None
    loses: tuple[str, ...] = ()
    noise: int = 0
    fails: str = ""


@dataclass(frozen=True)
class Event:
    """name: `start`, a phase's text, or `end` of a success. at: by the monotonic clock, as time.monotonic() here."""

    name: str
    at: float
    pid: int


class StandIn:
    """A context manager. program: what to put in virt-v2v's place. directory: its own, readable for every account.

    says: its answers by argument (`--version`), when it does not convert; for others the real one answers.
    python: the server's.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        says: Mapping[str, str] | None = None,
        python: Path | None = None,
    ) -> None:
        self._behaviour = behaviour or Behaviour()
        self._says = says
        # The system's, as other accounts may not be able to read ours. Resolved to its real name, which no test
        # hides.
        self._python = python or Path("/usr/bin/python3").resolve()

    def __enter__(self) -> Self:
        # Not in /tmp, as a server may have another /tmp.
        self.directory = Path(tempfile.mkdtemp(prefix="p2v-tui-stand-in-", dir="/var/tmp"))
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def behave(self, behaviour: Behaviour) -> None:
        """Changes its behaviour from the next phase on."""
        pauses = [dataclasses.asdict(pause) for pause in behaviour.pauses]
        settings = {**dataclasses.asdict(behaviour), "pauses": pauses, "events": self._events_file}
        new = self._settings_file.with_suffix(".new")
        new.write_text(json.dumps(settings, default=str))
        new.chmod(0o644)
        new.rename(self._settings_file)

    def events(self) -> list[Event]:
        """What it has done since the start or the last `forget`, in all conversions."""
        lines = self._events_file.read_text().split("\n")[:-1]
        return [Event(line["event"], line["at"], line["pid"]) for line in map(json.loads, lines)]

    def forget(self) -> None:
        self._events_file.write_text("")

    def wait_for(self, name: str, seconds: float = 60.0) -> Event:
        """Waits for the first event whose name begins so. Raises LabFailure if it does not come."""
        deadline = time.monotonic() + seconds
        while True:
            over = time.monotonic() > deadline
            events = self.events()
            for event in events:
                if event.name.startswith(name):
                    return event
            if over:
                done = ", ".join(event.name for event in events) or "nothing"
                raise LabFailure(f"The stand-in for virt-v2v did not come to {name!r}; it did: {done}")
            time.sleep(_POLL_SECONDS)  # The server starts it, so it can tell us only through a file.

    @property
    def _settings_file(self) -> Path:
        return self.directory / "settings.json"

    @property
    def _events_file(self) -> Path:
        return self.directory / "events"

    def _make(self) -> None:
        self.directory.chmod(0o755)
        converter = shutil.copy(stand_in_virt_v2v.__file__, self.directory)
        self.program = self.directory / "virt-v2v"
        convert = shlex.join([str(self._python), "-IS", str(converter), str(self._settings_file)])
        answer = "".join(
            f"*{shlex.quote(f' {argument} ')}*) printf %s {shlex.quote(text)}; exit ;;\n"
            for argument, text in (self._says or {}).items()
        )
        self.program.write_text(
            f'#!/bin/sh\ncase " $* " in\n*" -i "*) exec {convert} "$@" ;;\n{answer}esac\n{self._real()}\n'
        )
        self.program.chmod(0o755)
        self._events_file.touch()
        # Whoever logs in may convert.
        self._events_file.chmod(0o666)
        self.behave(self._behaviour)

    def _real(self) -> str:
        """Shell code that runs the real one, for all other arguments."""
        if self._says is not None:
            return "exit 1"
        # virt-v2v prints the name by which it was called.
        real = self.directory / "real"
        real.mkdir(mode=0o755)
        return f'exec {shlex.quote(str(shutil.copy(program("virt-v2v"), real)))} "$@"'

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.directory)
