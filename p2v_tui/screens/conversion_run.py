"""One conversion as a screen sees it: it runs in a thread of its own, whether a screen looks or not.

The thread folds the session's events into a `Snapshot` that never changes, and the log's lines into a bounded store;
listeners are told that there is something new and fetch it when they like. No Textual in here.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from p2v_tui import session
from p2v_tui.errors import P2VError
from p2v_tui.screens.phases import Phase, first_phases, when_ended, with_started
from p2v_tui.session import Cancellation, ConversionServer, Plan, VirtV2V
from p2v_tui.session.events import (
    Converted,
    DiskProgress,
    Event,
    HostKeyLearnt,
    LogDirectory,
    OutputKind,
    PhaseStarted,
    Progress,
    RemoteOutput,
    Report,
    ServerVersion,
    Status,
    StepStarted,
    Warned,
)

# What is kept of the log here; the conversion server has all of it. With virt-v2v's debugging it is 100 000 lines.
MAX_LINES: Final = 20_000
MAX_CHARACTERS: Final = 8 << 20
MAX_WARNINGS: Final = 100

Listener = Callable[[], None]


class Convert(Protocol):
    """`session.convert`, or a stand-in."""

    def __call__(
        self,
        server: ConversionServer,
        plan: Plan,
        report: Report,
        cancellation: Cancellation,
        virt_v2v: VirtV2V | None = None,
    ) -> Converted: ...


@dataclass(frozen=True)
class LogLine:
    """number: counted from 0, over all lines of the run. kind: None for what p2v-tui itself says.

    text: may hold SGR colours where it is virt-v2v's.
    """

    number: int
    at: datetime.datetime
    text: str
    kind: OutputKind | None


@dataclass(frozen=True)
class Snapshot:
    """Where the conversion is. lines: how many there have been, kept or not. warnings: the last ones."""

    phases: tuple[Phase, ...]
    disks: tuple[DiskProgress, ...]
    status: str = ""
    log_directory: str | None = None
    warnings: tuple[str, ...] = ()
    lines: int = 0
    cancelling: bool = False
    outcome: Converted | None = None
    error: P2VError | None = None

    @property
    def finished(self) -> bool:
        return self.outcome is not None or self.error is not None


class ConversionRun:
    """Starts when `start` is called, once. All methods can be called from any thread.

    convert: what does the work. now: the time of day, for the log.
    """

    def __init__(
        self,
        server: ConversionServer,
        plan: Plan,
        virt_v2v: VirtV2V | None = None,
        *,
        convert: Convert = session.convert,
        now: Callable[[], datetime.datetime] = datetime.datetime.now,
    ) -> None:
        self.server = server
        self.plan = plan
        # Set by the screen that showed the end when the operator leaves it.
        self.outcome_seen = False
        self._virt_v2v = virt_v2v
        self._convert = convert
        self._now = now
        self._cancellation = Cancellation()
        self._lock = threading.Lock()
        self._lines: deque[LogLine] = deque()
        self._characters = 0
        self._listeners: list[Listener] = []
        self._close_server = False
        self._snapshot = Snapshot(
            phases=first_phases(), disks=tuple(DiskProgress(disk.name, disk.size, 0, 0.0) for disk in plan.disks)
        )
        # No daemon: virt-v2v must be stopped in order, and the remote side tidied, before the process ends.
        self._thread = threading.Thread(target=self._work, name="conversion", daemon=False)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Asks for the end; it comes when virt-v2v has been stopped."""
        with self._lock:
            if self._snapshot.finished:
                return
            self._snapshot = dataclasses.replace(self._snapshot, cancelling=True)
        self._cancellation.cancel()
        self._tell()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end; whether it came. Not for the screens' thread."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @property
    def finished(self) -> bool:
        return self._snapshot.finished

    def lines_from(self, number: int) -> tuple[LogLine, ...]:
        """The lines from that number on, but for those that were too many to keep."""
        with self._lock:
            count = min(len(self._lines), max(0, self._snapshot.lines - number))
            return tuple(itertools.islice(reversed(self._lines), count))[::-1]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls the listener, from the run's thread, whenever something is new. What is returned ends that."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def adopt_server(self) -> bool:
        """Makes the run close the server when it ends. False where it has ended: then the caller has to."""
        with self._lock:
            if self._snapshot.finished:
                return False
            self._close_server = True
            return True

    def _work(self) -> None:
        outcome: Converted | None = None
        error: P2VError | None = None
        try:
            outcome = self._convert(self.server, self.plan, self._report, self._cancellation, self._virt_v2v)
        except P2VError as failure:
            error = failure
        except Exception as bug:
            # Whatever goes wrong, the operator must see it, and the lines that tell why can be saved.
            error = P2VError(
                f"An error that p2v-tui does not know: {type(bug).__name__}: {bug}",
                "Save the logs and report it.",
            )
            for line in "".join(traceback.format_exception(bug)).splitlines():
                self._add_line(line, OutputKind.DEBUG)
        self._end(outcome, error)

    def _end(self, outcome: Converted | None, error: P2VError | None) -> None:
        if error is not None:
            self._add_line(f"{error.title}: {error.message}", None)
            if error.advice:
                self._add_line(error.advice, None)
        with self._lock:
            self._snapshot = dataclasses.replace(
                self._snapshot,
                phases=when_ended(self._snapshot.phases, succeeded=outcome is not None),
                outcome=outcome,
                error=error,
                cancelling=False,
            )
            close_server = self._close_server
        if close_server:
            self.server.close()
        self._tell()

    def _report(self, event: Event) -> None:
        match event:
            case Status(text) | StepStarted(_, text):
                self._add_line(text, None, status=text)
            case Warned(text):
                self._add_line(f"warning: {text}", None, warning=text)
            case LogDirectory(path):
                self._add_line(f"Log files are on the conversion server in {path}", None, log_directory=path)
            case HostKeyLearnt(fingerprint):
                self._add_line(f"The conversion server's host key is {fingerprint}", None)
            case ServerVersion(version, modes):
                self._add_line(f"virt-v2v {version}, output modes {', '.join(modes)}", None)
            case RemoteOutput(text, kind):
                self._add_line(text, kind, warning=text if kind is OutputKind.WARNING else None)
            case PhaseStarted(name):
                with self._lock:
                    self._snapshot = dataclasses.replace(
                        self._snapshot, phases=with_started(self._snapshot.phases, name)
                    )
            case Progress(disks):
                with self._lock:
                    self._snapshot = dataclasses.replace(self._snapshot, disks=disks)
            case Converted():
                self._add_line(f"Made: {event.where}", None)
        self._tell()

    def _add_line(
        self,
        text: str,
        kind: OutputKind | None,
        *,
        status: str | None = None,
        warning: str | None = None,
        log_directory: str | None = None,
    ) -> None:
        with self._lock:
            snapshot = self._snapshot
            self._lines.append(LogLine(snapshot.lines, self._now(), text, kind))
            self._characters += len(text)
            while len(self._lines) > MAX_LINES or self._characters > MAX_CHARACTERS:
                self._characters -= len(self._lines.popleft().text)
            self._snapshot = dataclasses.replace(
                snapshot,
                lines=snapshot.lines + 1,
                status=snapshot.status if status is None else status,
                warnings=snapshot.warnings if warning is None else (*snapshot.warnings, warning)[-MAX_WARNINGS:],
                log_directory=snapshot.log_directory if log_directory is None else log_directory,
            )

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()
