"""Follows virt-v2v on the server to its end: reads its log, its state and the relay's status every second.

It reopens the control connection as often as needed. `conversion` judges the outcome.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Final

from p2v_tui.errors import (
    Cancelled,
    ConnectionFailed,
    ConversionFailed,
    Detached,
    P2VError,
)
from p2v_tui.session.conversion.life import ServerOutOfReach
from p2v_tui.session.conversion.log import ConversionLog, CopyPercent
from p2v_tui.session.conversion.log_pace import LogPace
from p2v_tui.session.conversion.output_proof import ask
from p2v_tui.session.conversion.progress import ProgressTracker
from p2v_tui.session.data import relay_status
from p2v_tui.session.data.compression import WORTHWHILE
from p2v_tui.session.data.path import DataPath
from p2v_tui.session.data.relay_status import DiskRelay, RelayStatus
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.remote.job_state import JobState, JobStatus
from p2v_tui.session.remote.job_state import parse as parse_status
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.ssh.reconnect import open_again
from p2v_tui.session.words.events import CONTROL, ConnectionLost, ConnectionRestored, StillLost
from p2v_tui.session.words.watch import Watch

# How often the log and the counters are read, in seconds.
INTERVAL: Final = 1.0
# A read of the log that takes longer, in seconds, is given up and the control connection reopened: asking twice costs
# nothing, and a new connection shows whether the server can be reached.
READ_TIMEOUT: Final = 30.0
# How often it looks, after virt-v2v's end, whether the relay has ended.
FINAL_TRIES: Final = 10


@dataclass(frozen=True)
class _Reading:
    """One look at the server. whole: the log had no more than this."""

    job: JobStatus
    relay: RelayStatus | None
    log: bytes
    whole: bool

    @property
    def ended(self) -> bool:
        return self.job.state is not JobState.RUNNING and self.whole


class Following:
    """One virt-v2v, from its start, or from when it is taken over, to its end. log: its output so far."""

    def __init__(
        self,
        control: ControlConnection,
        plan: Plan,
        directory: RemoteDirectory,
        data: DataPath,
        watch: Watch,
    ) -> None:
        self.log = ConversionLog(debug=plan.debug)
        self._control = control
        self._plan = plan
        self._directory = directory
        self._data = data
        self._watch = watch
        self._report = watch.report
        self._pace = LogPace()
        self._tracker = ProgressTracker(plan.disks)

    def to_the_end(self) -> JobStatus:
        """Reports virt-v2v's output and the progress until it ends, and returns how it ended.

        Raises ServerOutOfReach if the server cannot be reached any more, ConversionFailed if a disk cannot.
        """
        offset = 0
        while True:
            reading = self._read(offset)
            offset += len(reading.log)
            self._report_log(reading)
            self._show_progress()
            self._data.report_events(self._report)
            if reading.ended:
                if reading.relay is not None:
                    self._data.status = reading.relay
                return reading.job
            self._data.check()
            self._data.admit(functools.partial(ask, self._control, self._watch))
            if reading.job.state is JobState.RUNNING:
                self._data.follow(reading.relay, copying=self._tracker.long_copies(WORTHWHILE))
            if reading.whole:
                self._watch.cancellation.wait(INTERVAL)

    def _read(self, offset: int) -> _Reading:
        """Looks at the server once, and reopens the control connection as often as needed for that."""
        while True:
            limit, asked = self._pace.limit, time.monotonic()
            command = remote_commands.read_progress(self._directory, offset, limit)
            try:
                if not self._control.connected:
                    raise ConnectionFailed("ssh has ended.", "")
                output = self._control.shell(self._watch).run(command, timeout=READ_TIMEOUT).output
            except ConnectionFailed as error:
                self._pace.less()
                self._open_control_again(error)
                continue
            state, _, rest = output.partition(b"\n")
            relay, _, log = rest.partition(b"\n")
            self._pace.came(len(log), time.monotonic() - asked)
            status = self._relay(relay.decode(errors="replace"))
            return _Reading(parse_status(state.decode(errors="replace")), status, log, len(log) < limit)

    def final_relays(self) -> tuple[DiskRelay, ...]:
        """The relay's last status of the disks, if any: virt-v2v's wrapper ends the relay last."""
        command = remote_commands.read_progress(self._directory, 0, 0)
        for _ in range(FINAL_TRIES):
            if self._data.status is None or not self._data.status.alive:
                break
            answer = ask(self._control, self._watch, command)
            self._data.status = self._relay(answer.partition("\n")[2].partition("\n")[0]) or self._data.status
            time.sleep(INTERVAL / FINAL_TRIES)
        return self._data.status.disks if self._data.status else ()

    def _relay(self, line: str) -> RelayStatus | None:
        word, _, status = line.partition(" ")
        return None if word == "none" else relay_status.parse(status, len(self._plan.disks), alive=word == "alive")

    def _open_control_again(self, error: P2VError) -> None:
        self._control.drop()
        since = time.monotonic()
        retry_for = self._plan.settings.reconnect
        self._report(ConnectionLost(CONTROL, error.message, retry_for))
        try:
            open_again(
                functools.partial(self._control.shell, self._watch),
                retry_for=retry_for,
                wait=self._let_pass,
                on_failure=lambda failure: self._report(StillLost(CONTROL, failure.message)),
                let_in_before=True,
            )
        except (Cancelled, Detached, ConversionFailed):
            raise
        except P2VError as final:
            raise ServerOutOfReach(
                f"The control connection was lost and cannot be opened again: {final.message}",
                f"{final.advice} The log so far is {self._directory.log} on the conversion server.",
            ) from final
        self._report(ConnectionRestored(CONTROL, time.monotonic() - since))

    def _let_pass(self, seconds: float) -> None:
        """Waits, and still reports the events of the data connections.

        One that was given up does not end the wait: the control connection's error will be the better one.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._data.report_events(self._report)
            self._show_progress()
            self._watch.cancellation.wait(min(left, INTERVAL))

    def _report_log(self, reading: _Reading) -> None:
        for event in self.log.feed(reading.log, final=reading.ended):
            if isinstance(event, CopyPercent):
                self._tracker.percent(event.disk, event.percent, time.monotonic())
                continue
            self._report(event)

    def _show_progress(self) -> None:
        self._report(self._tracker.sample(self._data.bytes_served, time.monotonic()))
