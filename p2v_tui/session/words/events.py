"""The events that a session reports to its front end: frozen dataclasses, passed to one callback in order.

The callback runs in the session's thread. Texts from the server may contain SGR colour sequences, but no other
control characters (see `terminal_text.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from p2v_tui.session.words.checks import Check


@dataclass(frozen=True)
class Connection:
    """A connection to the conversion server. disk: whose data it carries; None for the control connection."""

    disk: str | None = None

    def __str__(self) -> str:
        """Its name within a sentence."""
        return "the control connection" if self.disk is None else f"the data connection of {self.disk}"


CONTROL: Final = Connection()


@dataclass(frozen=True)
class Status:
    """What the session does now, a sentence."""

    text: str


@dataclass(frozen=True)
class Happened:
    """Something worth a line that the session did or found: neither its present activity nor a warning."""

    text: str


@dataclass(frozen=True)
class Warned:
    """Something that the operator should know but that does not stop the conversion."""

    text: str


class ConnectionStep(enum.Enum):
    """The steps of a connection test, in their order."""

    NETWORK = "network"
    HOST_KEY = "host key"
    LOGIN = "login"
    VERSION = "virt-v2v"
    FEATURES = "features"
    FORWARDING = "port forwarding"
    PREFLIGHT = "preflight"


@dataclass(frozen=True)
class StepStarted:
    """text: what is being done, a sentence."""

    step: ConnectionStep
    text: str


@dataclass(frozen=True)
class StepDone:
    """text: what was found, in a few words."""

    step: ConnectionStep
    text: str


@dataclass(frozen=True)
class LineMeasured:
    """How fast the conversion server reads through a tunnel. rate: bytes a second."""

    rate: float


@dataclass(frozen=True)
class ConnectionLost:
    """A connection was lost and is being reopened; the conversion waits or continues meanwhile.

    reason: a sentence. seconds: for how long it will be retried.
    """

    connection: Connection
    reason: str
    seconds: float


@dataclass(frozen=True)
class StillLost:
    """Another try to reopen it failed. reason: a new reason, a sentence."""

    connection: Connection
    reason: str


@dataclass(frozen=True)
class ConnectionRestored:
    """seconds: how long it was lost."""

    connection: Connection
    seconds: float


@dataclass(frozen=True)
class Checked:
    """One check of the preflight was made."""

    check: Check


@dataclass(frozen=True)
class HostKeyLearnt:
    """The server's host key was seen for the first time, and is now the only accepted one. fingerprint: SHA256:..."""

    fingerprint: str


@dataclass(frozen=True)
class ServerVersion:
    """virt-v2v's version on the conversion server, and the output modes that it has."""

    version: str
    output_modes: tuple[str, ...]


@dataclass(frozen=True)
class LogDirectory:
    """The directory on the conversion server where the log files are."""

    path: str


@dataclass(frozen=True)
class LogDirectoryRemoved:
    """It was removed from the conversion server: nothing ran there whose log anybody would read."""


class Stage(enum.Enum):
    """What a conversion does before virt-v2v's first phase, in words for the list of phases."""

    CONNECTING = "Connecting to the server"
    CHECKING = "Checking the server and the disks"
    STARTING = "Starting virt-v2v"


@dataclass(frozen=True)
class StageStarted:
    """The conversion enters that stage; CONNECTING is the first."""

    stage: Stage


class OutputKind(enum.Enum):
    """The kind of a line of virt-v2v's output; DEBUG: all other lines if virt-v2v was asked for debugging."""

    PHASE = "phase"
    MESSAGE = "message"
    WARNING = "warning"
    ERROR = "error"
    DEBUG = "debug"


@dataclass(frozen=True)
class RemoteOutput:
    """One line of virt-v2v's output, without its line end."""

    text: str
    kind: OutputKind


@dataclass(frozen=True)
class CanWait:
    """virt-v2v runs, and would wait for this machine's disks if p2v-tui ended now."""


@dataclass(frozen=True)
class PhaseStarted:
    """virt-v2v starts its next phase. name: in virt-v2v's words. seconds: since virt-v2v started."""

    name: str
    seconds: float


@dataclass(frozen=True)
class DiskProgress:
    """One disk's progress. size, served, copied: bytes. rate: bytes read a second, over the last seconds.

    served: every byte read for virt-v2v, also to inspect and convert the guest: less than size if it skips free
    space, more if it reads twice. It shows activity, not how far the copy is. copied: how much of the disk the copy
    has passed, including skipped parts; never more than size, and it never falls. None, like percent, before this
    disk's copy starts. percent: nbdcopy's. seconds_left: of this disk's copy; None if unknown.
    """

    name: str
    size: int
    served: int
    rate: float
    percent: int | None = None
    seconds_left: float | None = None
    copied: int | None = None


@dataclass(frozen=True)
class Progress:
    """One entry for each disk, in the order of the guest's disks."""

    disks: tuple[DiskProgress, ...]


@dataclass(frozen=True)
class Converted:
    """A conversion has succeeded. where: what was made and where, in words. seconds: in all.

    left_out: virt-v2v's warnings about what the guest lacks. warnings: how many it gave in all. next_steps: lines;
    what to do with the guest now, and the commands for it, indented. size: of its disks, bytes.
    """

    guest: str
    where: str
    log_directory: str
    seconds: float
    left_out: tuple[str, ...] = ()
    warnings: int = 0
    next_steps: tuple[str, ...] = ()
    size: int = 0


Event: TypeAlias = (
    Status
    | Happened
    | Warned
    | StepStarted
    | StepDone
    | LineMeasured
    | Checked
    | ConnectionLost
    | StillLost
    | ConnectionRestored
    | HostKeyLearnt
    | ServerVersion
    | LogDirectory
    | LogDirectoryRemoved
    | StageStarted
    | RemoteOutput
    | CanWait
    | PhaseStarted
    | Progress
    | Converted
)
Report: TypeAlias = Callable[[Event], None]
