"""A stand-in for `conversion.convert` that says what a test tells it to, when it tells it to."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from typing import cast

from p2v_tui.config import Settings
from p2v_tui.errors import Cancelled
from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.screens.state import State
from p2v_tui.session.conversion.log import ConversionLog, CopyPercent
from p2v_tui.session.plan.next_steps import next_steps
from p2v_tui.session.plan.output_modes import Output, find_mode
from p2v_tui.session.plan.plan import Plan, make_plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.preflight import AcceptWarnings, enforce
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.checks import Check
from p2v_tui.session.words.events import (
    CanWait,
    Checked,
    ConnectionLost,
    Converted,
    DiskProgress,
    Event,
    LogDirectory,
    OutputKind,
    PhaseStarted,
    Progress,
    RemoteOutput,
    Status,
)
from p2v_tui.session.words.watch import Watch
from tests.unit.machines import SERVER

GB = 1_000_000_000
MB = 1_000_000
LOG_DIRECTORY = "/tmp/virt-p2v-20261123-abcdefgh"
MADE = Converted(
    "db1",
    "the disks /var/tmp/db1-sd* and the description /var/tmp/db1.xml",
    LOG_DIRECTORY,
    3723.0,
    next_steps=next_steps(Output(find_mode("local"), storage="/var/tmp"), "db1", "conv.example.com"),
    size=750 * GB,
)


@dataclass(frozen=True)
class Preflight:
    """Reports the checks and settles them, as `convert` does: it may ask, and it may end with a refusal."""

    checks: tuple[Check, ...]


Said = Event | Preflight | BaseException


class ScriptedConversion:
    """Called like `convert`: does what it is told, and ends with the outcome or the error among that.

    heeds_cancellation: False where it does not, as `convert` does not while it tidies up. unreachable: that which it
    reports when it is cancelled, and then waits for the server until it is cancelled once more.
    """

    def __init__(self) -> None:
        self._script: queue.Queue[Said] = queue.Queue()
        self.calls = 0
        self.heeds_cancellation = True
        self.unreachable: ConnectionLost | None = None

    def say(self, *events: Said) -> None:
        for event in events:
            self._script.put(event)

    def __call__(
        self,
        control: ControlConnection,
        plan: Plan,
        watch: Watch,
        virt_v2v: VirtV2V | None = None,
        *,
        accept_warnings: AcceptWarnings,
    ) -> Converted:
        del control, virt_v2v
        report, cancellation = watch.report, watch.cancellation
        self.calls += 1
        try:
            while True:
                try:
                    event = self._script.get(timeout=0.01)
                except queue.Empty:
                    if self.heeds_cancellation:
                        cancellation.check()
                    continue
                if isinstance(event, BaseException):
                    raise event
                if isinstance(event, Preflight):
                    for check in event.checks:
                        report(Checked(check))
                    enforce(event.checks, plan.settings.accept_warnings, accept_warnings)
                    continue
                report(event)
                if isinstance(event, Converted):
                    return event
        except Cancelled:
            if self.unreachable is not None:
                report(self.unreachable)
                while not cancellation.again.requested:
                    time.sleep(0.01)  # As `Cancellation.wait`, which raises.
            raise


class NoServer:
    """Stands where a ControlConnection is only kept and closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def as_server(self) -> ControlConnection:
        return cast(ControlConnection, self)


def ran(*events: Said) -> ConversionRun:
    """A run that has said all this and ended."""
    conversion = ScriptedConversion()
    conversion.say(*events)
    run = ConversionRun(NoServer().as_server(), plan(), convert=conversion)
    run.start()
    assert run.wait(10)
    return run


def plan(*disks: str, accept_warnings: bool = False) -> Plan:
    chosen = Settings(
        guestname="db1", disks=disks or ("sda", "sdb"), accept_warnings=AcceptedWarnings(every=accept_warnings)
    )
    return make_plan(chosen, SERVER)


def state(*, iso: bool = False) -> State:
    return State(Settings(server="conv.example.com", guestname="db1"), iso=iso)


def said(text: str) -> list[Event]:
    """The events of virt-v2v's output, as the session makes them."""
    return [event for event in ConversionLog(debug=False).feed(text.encode()) if not isinstance(event, CopyPercent)]


def output(*lines: str) -> list[Event]:
    return [RemoteOutput(line, OutputKind.MESSAGE) for line in lines]


def phase(name: str, seconds: float) -> list[Event]:
    return [
        RemoteOutput(f"\x1b[0;32m[{seconds:6.1f}] {name}\x1b[0m", OutputKind.PHASE),
        PhaseStarted(name, seconds),
    ]


def copied(first: int | None, second: int | None = None, *, seconds_left: float | None = None) -> Progress:
    """The progress of sda (500 GB) and sdb (250 GB), by their percentages."""

    def disk(name: str, size: int, percent: int | None) -> DiskProgress:
        copying = percent is not None and percent < 100
        return DiskProgress(
            name,
            size * GB,
            size * GB * (percent or 0) // 100,
            112.5 * MB if copying else 0.0,
            percent,
            seconds_left if copying else None,
            None if percent is None else size * GB * percent // 100,
        )

    return Progress((disk("sda", 500, first), disk("sdb", 250, second)))


CONNECTING: list[Event] = [
    Status("Opening the data connection of sda"),
    Status("Opening the data connection of sdb"),
    Status("Opening the control connection"),
]
STARTED: list[Event] = [
    *CONNECTING,
    LogDirectory(LOG_DIRECTORY),
    Status("Sending the description of this machine"),
    Status("Starting virt-v2v; from here on the conversion takes minutes to hours"),
    CanWait(),
]
INSPECTING: list[Event] = [
    *STARTED,
    *phase(f"Setting up the source: -i libvirtxml {LOG_DIRECTORY}/physical.xml", 0.0),
    *phase("Opening the source", 1.1),
    *phase("Inspecting the source", 12.5),
]
COPYING: list[Event] = [
    *INSPECTING,
    *phase("Checking for sufficient free disk space in the guest", 20.1),
    *phase("Converting Debian GNU/Linux 12 (bookworm) to run on KVM", 20.2),
    *said("virt-v2v: warning: could not determine a way to update the configuration of Grub2\n"),
    *output("virt-v2v: This guest has virtio drivers installed."),
    *phase("Mapping filesystem data to avoid copying unused and blank areas", 71.0),
    *phase("Closing the overlay", 72.4),
    *phase("Assigning disks to buses", 73.0),
    *phase("Checking if the guest needs BIOS or UEFI to boot", 73.1),
    *phase("Setting up the destination: -o disk -os /var/tmp", 73.2),
    *phase("Copying disk 1/2", 74.0),
]
FINISHED: list[Event] = [
    *COPYING,
    *phase("Copying disk 2/2", 3000.0),
    *phase("Creating output metadata", 3721.0),
    *phase("Finishing off", 3722.5),
    MADE,
]
