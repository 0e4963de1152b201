"""What outlives a screen: the settings being edited, the machine, the conversion server that was tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from p2v_tui import hwprobe
from p2v_tui.config import Settings
from p2v_tui.errors import P2VError, SettingsError
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.front.jobs import Jobs
from p2v_tui.front.last_places import LastPlaces
from p2v_tui.front.pace import Paces
from p2v_tui.front.pace_book import PaceBook
from p2v_tui.hwprobe import Machine
from p2v_tui.keyboard import Keyboard
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.checks import Check


@dataclass
class State:
    """settings: those in the fields; at first those of the kernel command line.

    image: a disk image to convert instead of the machine's disks. iso: we run from our live image. warnings: about
    the kernel command line, not yet shown. plan: what the second screen made of the settings. server, virt_v2v,
    host_key: those of the last successful test, until a field of the first screen changes. The key is set only if it
    was not pinned. checks: what that test found. run: the last conversion, whether it still runs or not. failure: the
    error that it ended with, until the screen that can correct the cause has shown it. jobs: the work that the
    screens do in threads. book: how long earlier conversions took, if that is remembered. keyboard: if its layout can
    be changed. line_rate: how fast that server read in the test, bytes a second, if it was measured. accepted: the
    keys of the checks whose warnings the operator has accepted in `run`. places: where files were kept.
    """

    settings: Settings
    image: Path | None = None
    iso: bool = False
    warnings: tuple[str, ...] = ()
    plan: Plan | None = None
    server: ControlConnection | None = None
    virt_v2v: VirtV2V | None = None
    host_key: str | None = None
    checks: tuple[Check, ...] = ()
    accepted_host_keys: set[str] = field(default_factory=set)
    run: ConversionRun | None = None
    failure: P2VError | None = None
    jobs: Jobs = field(default_factory=Jobs)
    line_rate: float | None = None
    book: PaceBook | None = None
    keyboard: Keyboard | None = None
    accepted: set[str] = field(default_factory=set)
    places: LastPlaces = field(default_factory=LastPlaces)
    _machine: Machine | None = None

    def machine(self) -> Machine:
        """The machine as it was when it was last looked at. The first call probes it: not for the screens' thread."""
        if self._machine is None:
            self._machine = hwprobe.probe()
        return self._machine

    def paces(self, plan: Plan) -> Paces:
        """What is known beforehand of how long the plan's conversion takes."""
        return self.book.paces(plan.settings.server, self.line_rate) if self.book else Paces(line=self.line_rate)

    @property
    def machine_name(self) -> str:
        """The machine's name, as far as it is known by now."""
        return self.settings.guestname or (self._machine.hostname if self._machine else "")

    def look_again(self) -> Machine:
        """Looks at the machine again. Not for the screens' thread."""
        self._machine = hwprobe.probe()
        return self._machine

    def remember_server(self, server: ControlConnection, virt_v2v: VirtV2V, host_key: str | None = None) -> None:
        """Keeps the server whose test succeeded. It is closed when another one is tested, or at the end."""
        self.forget_server()
        self.server, self.virt_v2v, self.host_key = server, virt_v2v, host_key

    def forget_server(self) -> None:
        # A running conversion needs its server to the end.
        running = self.run is not None and self.run.server is self.server and self.run.adopt_server()
        if self.server is not None and not running:
            self.server.close()
        self.server = self.virt_v2v = self.host_key = None
        self.checks = ()
        self.line_rate = None

    @property
    def open_run(self) -> ConversionRun | None:
        """The conversion that is running or whose outcome nobody has seen. Until then nothing else can be started."""
        if self.run is None or (self.run.finished and self.run.outcome_seen):
            return None
        return self.run

    @property
    def idle_server(self) -> ControlConnection | None:
        """The connection to the server, where no conversion works with it."""
        return None if self.run is not None and not self.run.finished else self.server

    def start_conversion(self) -> ConversionRun:
        """The conversion that is running or whose outcome nobody has seen; else a new one of `plan`, started.

        Raises SettingsError if the plan or the server is missing.
        """
        if self.open_run is None:
            if self.server is None or self.plan is None:
                raise SettingsError("The connection to the conversion server is not tested.", "Test it first.")
            self.accepted.clear()
            self.run = ConversionRun(self.server, self.plan, self.virt_v2v, book=self.book, line=self.line_rate)
            self.run.start()
        assert self.run is not None
        return self.run
