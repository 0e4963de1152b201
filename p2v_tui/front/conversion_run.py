"""One conversion as a front end sees it: it runs in its own thread, whether or not anybody looks.

The thread folds the session's events into a `Snapshot` that never changes, and the log's lines into a bounded store;
listeners are told that something is new and fetch it when they like. Nothing here needs Textual.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from p2v_tui.errors import InternalError, P2VError
from p2v_tui.front.event_text import VIRT_V2V_RUNS, error_lines, lines_of
from p2v_tui.front.jobs import Job, Outcome
from p2v_tui.front.pace import Pace, Paces, Timing, first, heard, pace_of
from p2v_tui.front.pace_book import PaceBook
from p2v_tui.front.phases import Phase, first_phases, when_ended, with_stage, with_started
from p2v_tui.session.conversion import conversion
from p2v_tui.session.conversion.saved_conversion import SavedConversion
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.preflight import AcceptWarnings
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.checks import Check
from p2v_tui.session.words.events import (
    CONTROL,
    CanWait,
    Checked,
    Connection,
    ConnectionLost,
    ConnectionRestored,
    Converted,
    DiskProgress,
    Event,
    LogDirectory,
    LogDirectoryRemoved,
    OutputKind,
    PhaseStarted,
    Progress,
    RemoteOutput,
    Report,
    Stage,
    StageStarted,
    Status,
    StepStarted,
    StillLost,
    Warned,
)
from p2v_tui.session.words.watch import Watch

# How many lines of the log are kept here. The conversion server has all of them: 100 000 with virt-v2v's debugging.
MAX_LINES: Final = 20_000
MAX_CHARACTERS: Final = 8 << 20
MAX_WARNINGS: Final = 100
# How often, in seconds, a question checks whether it was cancelled.
ANSWER_INTERVAL: Final = 0.1

Listener = Callable[[], None]


class Convert(Protocol):
    """`conversion.convert`, or a stand-in."""

    def __call__(
        self,
        control: ControlConnection,
        plan: Plan,
        watch: Watch,
        virt_v2v: VirtV2V | None = None,
        *,
        accept_warnings: AcceptWarnings,
    ) -> Converted: ...


def going_on_with(saved: SavedConversion) -> Convert:
    """What continues a conversion that an earlier process left running."""

    def resume(
        control: ControlConnection,
        plan: Plan,
        watch: Watch,
        virt_v2v: VirtV2V | None = None,
        *,
        accept_warnings: AcceptWarnings,
    ) -> Converted:
        del virt_v2v, accept_warnings
        return conversion.resume(control, plan, saved, watch)

    return resume


@dataclass(frozen=True)
class LogLine:
    """number: counted from 0, over all lines of the run. kind: None for what p2v-tui itself says.

    text: virt-v2v's may hold SGR colours.
    """

    number: int
    at: datetime.datetime
    text: str
    kind: OutputKind | None


@dataclass(frozen=True)
class Outage:
    """A lost connection. since, until: when it was lost, and when p2v-tui gives it up."""

    connection: Connection
    since: datetime.datetime
    until: datetime.datetime


@dataclass(frozen=True)
class Snapshot:
    """How far the conversion is. lines: how many there have been, kept or not. warnings: the last ones.

    timing: when each phase began. checks: of the preflight, so far. to_accept: the warnings among them that wait for
    the operator's consent. outages: in the order in which they began. cancelling, detaching: it was asked for and is
    not done yet. can_wait: the conversion would wait on the server if we left.
    """

    phases: tuple[Phase, ...]
    disks: tuple[DiskProgress, ...]
    timing: Timing
    status: str = ""
    log_directory: str | None = None
    warnings: tuple[str, ...] = ()
    lines: int = 0
    checks: tuple[Check, ...] = ()
    to_accept: tuple[Check, ...] = ()
    outages: tuple[Outage, ...] = ()
    cancelling: bool = False
    detaching: bool = False
    can_wait: bool = False
    outcome: Converted | None = None
    error: P2VError | None = None

    @property
    def finished(self) -> bool:
        return self.outcome is not None or self.error is not None


class ConversionRun(Job[Converted]):
    """Starts when `start` is called, once. All methods can be called from any thread.

    convert: what does the work. left_running: another process started it, and this one continues it. attended:
    somebody is there to be asked. hear: called with each event, from the run's thread. now: the time of day, for the
    log. clock: seconds, monotonic. since: when a conversion that was left running began. book: what earlier
    conversions took; this one is added to it. line: how fast the server reads, as measured, bytes a second.
    """

    def __init__(
        self,
        server: ControlConnection,
        plan: Plan,
        virt_v2v: VirtV2V | None = None,
        *,
        convert: Convert = conversion.convert,
        left_running: bool = False,
        attended: bool = True,
        hear: Report = lambda _: None,
        now: Callable[[], datetime.datetime] = datetime.datetime.now,
        clock: Callable[[], float] = time.monotonic,
        since: datetime.datetime | None = None,
        book: PaceBook | None = None,
        line: float | None = None,
    ) -> None:
        # virt-v2v must be stopped in order, and the remote side tidied, before the process ends.
        super().__init__("conversion", self._call_convert, self._came, grace=None)
        self.server = server
        self.plan = plan
        # Set when the operator leaves the screen that showed the end.
        self.outcome_seen = False
        self.left_running = left_running
        self._virt_v2v = virt_v2v
        self._convert = convert
        self._attended = attended
        self._hear = hear
        self._now = now
        self._clock = clock
        self._book = book
        self._paces = book.paces(plan.settings.server, line) if book else Paces(line=line)
        self._percent = 0
        self._accepted: bool | None = None
        self._answered = threading.Event()
        self._lines: deque[LogLine] = deque()
        self._characters = 0
        self._listeners: list[Listener] = []
        self._close_server = False
        disks = tuple(DiskProgress(disk.name, disk.size, 0, 0.0) for disk in plan.disks)
        ago = (now() - since).total_seconds() if since else None
        self._snapshot = Snapshot(first_phases(), disks, first(clock(), disks, ago=ago))

    def cancel(self) -> None:
        """Asks for the end, which comes when virt-v2v was stopped. Calling it again changes nothing; see
        `stop_waiting`.
        """
        with self._lock:
            if self._snapshot.finished or self._snapshot.cancelling:
                return
            # Only the control connection matters now.
            outages = tuple(outage for outage in self._snapshot.outages if outage.connection == CONTROL)
            self._snapshot = dataclasses.replace(self._snapshot, cancelling=True, outages=outages)
        super().cancel()
        self._tell()

    def detach(self) -> None:
        """Soon ends everything on this machine; the conversion waits on the server. One that has not begun is
        cancelled.
        """
        with self._lock:
            if self._snapshot.finished or self._snapshot.cancelling:
                return
            self._snapshot = dataclasses.replace(self._snapshot, detaching=True, outages=())
        super().detach()
        self._tell()

    def accept(self, accepted: bool) -> None:
        """The operator's answer to the warnings that the snapshot asks to accept."""
        with self._lock:
            self._snapshot = dataclasses.replace(self._snapshot, to_accept=())
        self._accepted = accepted
        self._answered.set()

    @property
    def can_wait(self) -> bool:
        """Whether the server has a conversion that would wait for us if we left now."""
        begun = self.left_running or self._snapshot.can_wait
        return begun and not self._snapshot.finished and self.plan.settings.reconnect > 0

    @property
    def exit_code(self) -> int:
        """The program's exit code if this is its last conversion and it is over."""
        error = self._snapshot.error
        return 0 if error is None else error.exit_code

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @property
    def finished(self) -> bool:
        return self._snapshot.finished

    @property
    def pace(self) -> Pace:
        """How far the whole conversion is now. The percentage never falls."""
        pace = pace_of(self._snapshot.timing, self._paces, self._clock())
        with self._lock:
            self._percent = max(self._percent, pace.percent)
            return dataclasses.replace(pace, percent=self._percent)

    def lines_from(self, number: int) -> tuple[LogLine, ...]:
        """The lines from that number on, without those that are no longer kept."""
        with self._lock:
            count = min(len(self._lines), max(0, self._snapshot.lines - number))
            return tuple(itertools.islice(reversed(self._lines), count))[::-1]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls the listener from the run's thread whenever something is new. Returns a function that ends this."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def adopt_server(self) -> bool:
        """Makes the run close the server when it ends. Returns False if it has ended: then the caller has to close
        it.
        """
        with self._lock:
            if self._snapshot.finished:
                return False
            self._close_server = True
            return True

    def _call_convert(self, cancellation: Cancellation) -> Converted:
        return self._convert(
            self.server,
            self.plan,
            Watch(self._report, cancellation),
            self._virt_v2v,
            accept_warnings=self._accept_warnings,
        )

    def _came(self, outcome: Outcome[Converted]) -> None:
        error = outcome.error
        if error is not None:
            # Whatever went wrong, the operator must see it and be able to save the lines that say why.
            for line in error.trace if isinstance(error, InternalError) else ():
                self._add_line(line, OutputKind.DEBUG)
            for said in error_lines(error, self._snapshot.checks):
                self._add_line(said.text, None)
        elif self._book is not None:
            self._book.remember(self.plan.settings.server, self._snapshot.timing.paces(self._clock()))
        with self._lock:
            self._snapshot = dataclasses.replace(
                self._snapshot,
                phases=when_ended(self._snapshot.phases, succeeded=error is None),
                outcome=outcome.result,
                error=error,
                to_accept=(),
                outages=(),
                cancelling=False,
                detaching=False,
            )
            close_server = self._close_server
        if close_server:
            self.server.close()
        self._tell()

    def _accept_warnings(self, warnings: Sequence[Check]) -> bool:
        """Waits for the operator's answer."""
        if not self._attended:
            return False
        with self._lock:
            self._snapshot = dataclasses.replace(self._snapshot, to_accept=tuple(warnings))
        self._tell()
        while not self._answered.wait(ANSWER_INTERVAL):
            self.cancellation.check()
        self._add_line(f"The warnings were {'accepted' if self._accepted else 'not accepted'}", None)
        return bool(self._accepted)

    def _report(self, event: Event) -> None:
        self._hear(event)
        if isinstance(event, RemoteOutput):
            self._add_line(event.text, event.kind)
        for said in lines_of(event):
            self._add_line(said.text, None)
        with self._lock:
            timing = heard(self._snapshot.timing, event, self._clock())
            self._snapshot = dataclasses.replace(_after(self._snapshot, event, self._now()), timing=timing)
        self._tell()

    def _add_line(self, text: str, kind: OutputKind | None) -> None:
        with self._lock:
            self._lines.append(LogLine(self._snapshot.lines, self._now(), text, kind))
            self._characters += len(text)
            while len(self._lines) > MAX_LINES or self._characters > MAX_CHARACTERS:
                self._characters -= len(self._lines.popleft().text)
            self._snapshot = dataclasses.replace(self._snapshot, lines=self._snapshot.lines + 1)

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()


def _after(snapshot: Snapshot, event: Event, now: datetime.datetime) -> Snapshot:
    """The snapshot after this event."""
    changes: dict[str, Any] = {}
    match event:
        case Status() | StepStarted() | StillLost():
            changes = {"status": lines_of(event)[0].text}
        case Warned(text) | RemoteOutput(text, OutputKind.WARNING):
            changes = {"warnings": (*snapshot.warnings, text)[-MAX_WARNINGS:]}
        case LogDirectory(path):
            changes = {"log_directory": path}
        case LogDirectoryRemoved():
            changes = {"log_directory": None}
        case StageStarted(stage):
            # After a lost connection the checks are made again, and the new results count.
            checks = () if stage is Stage.CHECKING else snapshot.checks
            changes = {"phases": with_stage(snapshot.phases, stage), "checks": checks}
        case CanWait():
            changes = {"can_wait": True}
        case PhaseStarted(name):
            changes = {"phases": with_started(snapshot.phases, name), "status": VIRT_V2V_RUNS}
        case Progress(disks):
            changes = {"disks": disks}
        case Checked(check):
            changes = {"checks": (*snapshot.checks, check)}
        # Once it is cancelled the disks are not served any more.
        case ConnectionLost(connection, _, seconds) if connection == CONTROL or not snapshot.cancelling:
            lost = {outage.connection: outage for outage in snapshot.outages}
            since = lost[connection].since if connection in lost else now
            lost[connection] = Outage(connection, since, now + datetime.timedelta(seconds=seconds))
            changes = {"outages": tuple(lost.values())}
        case ConnectionRestored(connection):
            left = tuple(outage for outage in snapshot.outages if outage.connection != connection)
            changes = {"outages": left, "status": lines_of(event)[0].text}
    return dataclasses.replace(snapshot, **changes)
