"""The life of one conversion: its stages, and what is undone when it ends at one of them.

One table, UNDOING, has all of it. First the disks are released here, even if the server cannot be reached; then the
server is cleaned up; last the record is removed, which keeps the private directory for a later start
(`saved_conversion.py`). Only a conversion that waits for us keeps it.
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
    """How a life ends. A cancellation is like other failures, except that a second one can follow."""

    SUCCESS = enum.auto()
    FAILED = enum.auto()
    LOST = enum.auto()  # The control connection was lost, and is not retried at this stage.
    OUT_OF_REACH = enum.auto()  # The server cannot be reached, for as long as the settings say.
    DETACHED = enum.auto()


class ServerAction(enum.Enum):
    """What is done on the server. Whatever ends something also removes the secrets."""

    NOTHING = enum.auto()
    HAND_OVER = enum.auto()  # Leave all of it for the next attempt of the preparation to remove.
    REMOVE = enum.auto()  # End the relay and remove the directory: nobody would read it.
    KEEP_LOG = enum.auto()  # End the relay; keep its log, which says what was wrong.
    STOP = enum.auto()  # End virt-v2v and the relay; keep the log.
    LEAVE = enum.auto()  # Let virt-v2v wait for the next start here.


class Effort(enum.Enum):
    """How long a server that cannot be reached is retried."""

    WAIT = enum.auto()  # As long as the settings say, or until a second cancellation.
    ONCE = enum.auto()  # It was tried for that long already.
    AT_ONCE = enum.auto()  # Only over an open connection: somebody waits for us to end.


@dataclass(frozen=True)
class Undoing:
    """What is undone on the server at one stage. failed: also after a cancellation."""

    failed: ServerAction
    lost: ServerAction
    detached: ServerAction


UNDOING: Final[Mapping[LifeStage, Undoing]] = {
    LifeStage.NEW: Undoing(ServerAction.NOTHING, lost=ServerAction.HAND_OVER, detached=ServerAction.NOTHING),
    LifeStage.MADE: Undoing(ServerAction.REMOVE, lost=ServerAction.HAND_OVER, detached=ServerAction.REMOVE),
    LifeStage.OPENING: Undoing(ServerAction.KEEP_LOG, lost=ServerAction.HAND_OVER, detached=ServerAction.KEEP_LOG),
    LifeStage.CHECKING: Undoing(ServerAction.REMOVE, lost=ServerAction.HAND_OVER, detached=ServerAction.REMOVE),
    LifeStage.READING: Undoing(ServerAction.KEEP_LOG, lost=ServerAction.HAND_OVER, detached=ServerAction.KEEP_LOG),
    LifeStage.STARTING: Undoing(ServerAction.STOP, lost=ServerAction.HAND_OVER, detached=ServerAction.STOP),
    LifeStage.RUNNING: Undoing(ServerAction.STOP, lost=ServerAction.STOP, detached=ServerAction.LEAVE),
    LifeStage.BOUND: Undoing(ServerAction.STOP, lost=ServerAction.STOP, detached=ServerAction.STOP),
    LifeStage.ENDED: Undoing(ServerAction.NOTHING, lost=ServerAction.NOTHING, detached=ServerAction.LEAVE),
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

    def end(self, what: ServerAction, effort: Effort) -> None:
        """REMOVE, KEEP_LOG or STOP. Never raises, but reports what it could not do."""

    def hand_over(self) -> None:
        """Leaves the remote directory to the next attempt."""

    def forget(self) -> None:
        """Removes the record, so that no later start continues this conversion."""

    def left_waiting(self) -> Detached:
        """What the operator is told when the conversion waits on the server."""


class Life:
    """A context manager: however it is left, nothing runs any more on either side, except as UNDOING says. A Detached
    becomes a Cancelled if the conversion does not wait.
    """

    def __init__(self, tidying: Tidying, stage: LifeStage = LifeStage.NEW) -> None:
        self._tidying = tidying
        self._stage = stage
        self._here = contextlib.ExitStack()

    def reach(self, stage: LifeStage) -> None:
        self._stage = stage

    def hold(self, release: Callable[[], None]) -> None:
        """Registers what was acquired here. release: called at the end, in reverse order."""
        self._here.callback(release)

    def __enter__(self) -> Life:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ending = _ending(error)
        action = _server_action(UNDOING[self._stage], ending)
        self._here.close()
        if action is ServerAction.LEAVE:
            raise self._tidying.left_waiting() from error
        if action is ServerAction.HAND_OVER:
            self._tidying.hand_over()
        elif action is not ServerAction.NOTHING:
            self._tidying.end(action, EFFORT[ending])
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


def _server_action(undoing: Undoing, ending: Ending) -> ServerAction:
    match ending:
        case Ending.SUCCESS:
            return ServerAction.NOTHING
        case Ending.LOST:
            return undoing.lost
        case Ending.DETACHED:
            return undoing.detached
        case _:
            return undoing.failed
