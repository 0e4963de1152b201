"""The life of one conversion: its stages, and what is undone at each when it does not go on.

There is one table. First the disks are at rest here, even if the server cannot be reached; then the server is tidied;
last the record goes, which keeps the private directory for a later start (`saved_conversion.py`). Only a conversion
that waits for us keeps it.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol

from p2v_tui.errors import Cancelled, ConnectionFailed, ConversionFailed, Detached


class LifeStage(enum.Enum):
    """How far a conversion has come, in this order."""

    NEW = "nothing is on the server yet, as far as we know"
    MADE = "the remote directory is there"
    OPENING = "the relay is started, and the data connections log in"
    CHECKING = "the relay runs, and the checks are made"
    READING = "the disks are read from the server's side"
    STARTING = "virt-v2v is being started: it may run"
    RUNNING = "virt-v2v runs, and would wait for our disks"
    BOUND = "virt-v2v runs without a relay, and fails without us"
    ENDED = "virt-v2v has ended, and its wrapper has tidied up"


class Ending(enum.Enum):
    """How a life ends. A cancellation is a failure like others: what differs is that a second one can follow."""

    SUCCESS = enum.auto()
    FAILED = enum.auto()
    LOST = enum.auto()  # The control connection, which is not tried again where we are.
    OUT_OF_REACH = enum.auto()  # The server, for as long as the settings say.
    DETACHED = enum.auto()


class There(enum.Enum):
    """What is done on the server. Secrets are removed by all that end something."""

    NOTHING = enum.auto()
    HAND_OVER = enum.auto()  # The next attempt of the preparation removes all of it.
    REMOVE = enum.auto()  # The relay is ended, and the directory removed: nobody would read it.
    KEEP_LOG = enum.auto()  # The relay is ended; its log says what was wrong.
    STOP = enum.auto()  # virt-v2v and the relay are ended; the log stays.
    LEAVE = enum.auto()  # virt-v2v waits for the next start here.


class Effort(enum.Enum):
    """How long the server is tried where it cannot be reached."""

    WAIT = enum.auto()  # As long as the settings say, or until a second cancellation.
    ONCE = enum.auto()  # It was tried for that long already.
    AT_ONCE = enum.auto()  # Over a connection that is open, or not at all: somebody waits for our end.


@dataclass(frozen=True)
class Undoing:
    """What is undone on the server at one stage. failed: cancelled, too."""

    failed: There
    lost: There
    detached: There


UNDOING: Final[Mapping[LifeStage, Undoing]] = {
    LifeStage.NEW: Undoing(There.NOTHING, lost=There.HAND_OVER, detached=There.NOTHING),
    LifeStage.MADE: Undoing(There.REMOVE, lost=There.HAND_OVER, detached=There.REMOVE),
    LifeStage.OPENING: Undoing(There.KEEP_LOG, lost=There.HAND_OVER, detached=There.KEEP_LOG),
    LifeStage.CHECKING: Undoing(There.REMOVE, lost=There.HAND_OVER, detached=There.REMOVE),
    LifeStage.READING: Undoing(There.KEEP_LOG, lost=There.HAND_OVER, detached=There.KEEP_LOG),
    LifeStage.STARTING: Undoing(There.STOP, lost=There.HAND_OVER, detached=There.STOP),
    LifeStage.RUNNING: Undoing(There.STOP, lost=There.STOP, detached=There.LEAVE),
    LifeStage.BOUND: Undoing(There.STOP, lost=There.STOP, detached=There.STOP),
    LifeStage.ENDED: Undoing(There.NOTHING, lost=There.NOTHING, detached=There.LEAVE),
}
EFFORT: Final[Mapping[Ending, Effort]] = {
    Ending.FAILED: Effort.WAIT,
    Ending.LOST: Effort.WAIT,
    Ending.OUT_OF_REACH: Effort.ONCE,
    Ending.DETACHED: Effort.AT_ONCE,
}


class ServerOutOfReach(ConversionFailed):
    """The server could not be reached for as long as the settings say."""


class Tidying(Protocol):
    """What a life undoes outside of this process: `stopping.ServerTidying`."""

    def end(self, what: There, effort: Effort) -> None:
        """REMOVE, KEEP_LOG or STOP. Never raises: what it could not do is reported."""

    def hand_over(self) -> None:
        """Leaves the remote directory to the next attempt."""

    def forget(self) -> None:
        """Removes the record: no later start goes on with this conversion."""

    def left_waiting(self) -> Detached:
        """Whom the operator meets when the conversion waits on the server."""


class Life:
    """A context manager: when it is left, in whatever way, nothing runs any more on either side, as UNDOING says.

    A Detached goes on as a Cancelled where the conversion does not wait.
    """

    def __init__(self, tidying: Tidying, stage: LifeStage = LifeStage.NEW) -> None:
        self._tidying = tidying
        self._stage = stage
        self._here = contextlib.ExitStack()

    def reach(self, stage: LifeStage) -> None:
        self._stage = stage

    def hold(self, release: Callable[[], None]) -> None:
        """Something was acquired here. release: called at the end, the last one first."""
        self._here.callback(release)

    def __enter__(self) -> Life:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ending = _ending(error)
        there = _there(UNDOING[self._stage], ending)
        self._here.close()
        if there is There.LEAVE:
            raise self._tidying.left_waiting() from error
        if there is There.HAND_OVER:
            self._tidying.hand_over()
        elif there is not There.NOTHING:
            self._tidying.end(there, EFFORT[ending])
        self._tidying.forget()
        if ending is Ending.DETACHED:
            raise Cancelled from error


def _ending(error: BaseException | None) -> Ending:
    match error:
        case None:
            return Ending.SUCCESS
        case Detached():
            return Ending.DETACHED
        case ServerOutOfReach():
            return Ending.OUT_OF_REACH
        case ConnectionFailed():
            return Ending.LOST
        case _:
            return Ending.FAILED


def _there(undoing: Undoing, ending: Ending) -> There:
    match ending:
        case Ending.SUCCESS:
            return There.NOTHING
        case Ending.LOST:
            return undoing.lost
        case Ending.DETACHED:
            return undoing.detached
        case _:
            return undoing.failed
