"""The life of a conversion: what is undone at each stage, here and on the server, and in which order.

Only the control connection is made up: a server that is told what to do, and can be out of reach.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from p2v_tui.errors import Cancelled, ConnectionFailed, ConversionFailed, Detached, P2VError, PreflightRefused
from p2v_tui.session.conversion.life import UNDOING, Life, LifeStage, ServerOutOfReach
from p2v_tui.session.conversion.stopping import ServerTidying
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.remote.result import Result
from p2v_tui.session.ssh import reconnect
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import ConnectionLost, Event, Status, Warned
from p2v_tui.session.words.watch import Watch

DIRECTORY = RemoteDirectory("/tmp/virt-p2v-20261126-abcdefgh")
COMMANDS = {
    remote_commands.stop_wrapper(DIRECTORY, sudo=False): "stop",
    remote_commands.mark_told(DIRECTORY): "mark as told",
    remote_commands.remove_directory(DIRECTORY): "remove",
}
DISKS, STOP, REMOVE = "disks at rest", ["stop", "mark as told"], ["stop", "mark as told", "remove"]
FORGET, HAND_OVER = ["forget"], ["hand over"]
# What is done after the disks are at rest, by the stage: on a cancellation or failure, when the control connection is
# lost, and when this program is told to end.
EXPECTED: dict[LifeStage, tuple[list[str], list[str], list[str]]] = {
    LifeStage.NEW: (FORGET, HAND_OVER + FORGET, FORGET),
    LifeStage.MADE: (REMOVE + FORGET, HAND_OVER + FORGET, REMOVE + FORGET),
    LifeStage.OPENING: (STOP + FORGET, HAND_OVER + FORGET, STOP + FORGET),
    LifeStage.CHECKING: (REMOVE + FORGET, HAND_OVER + FORGET, REMOVE + FORGET),
    LifeStage.READING: (STOP + FORGET, HAND_OVER + FORGET, STOP + FORGET),
    LifeStage.STARTING: (STOP + FORGET, HAND_OVER + FORGET, STOP + FORGET),
    LifeStage.RUNNING: (STOP + FORGET, STOP + FORGET, []),
    LifeStage.BOUND: (STOP + FORGET, STOP + FORGET, STOP + FORGET),
    LifeStage.ENDED: (FORGET, FORGET, []),
}
FAILURES = [
    Cancelled(),
    ConversionFailed("It failed."),
    PreflightRefused("No."),
    RuntimeError("a bug"),
]


class MadeUpServer:
    """Stands where the control connection is. done: everything that was undone, in order."""

    sudo = False

    def __init__(self) -> None:
        self.done: list[str] = []
        self.events: list[Event] = []
        self.cancellation = Cancellation()
        self.tries = 0
        self.opened = 0
        # Called before each command with how many there were; raises what goes wrong.
        self.trouble: Callable[[int], None] = lambda _: None
        self.path = Path("/nowhere")

    @property
    def workspace(self) -> Any:
        return self

    def forget(self) -> None:
        self.done.append("forget")

    def shell(self, watch: Watch) -> Any:
        # As a connection that has to be opened: whoever wants no more of it is heard.
        assert watch.cancellation is self.cancellation.again
        return self

    def run(self, command: str, *, timeout: float = 0, cancellable: bool = True) -> Result:
        del timeout
        if cancellable:
            self.cancellation.again.check()
        self.tries += 1
        self.trouble(self.tries)
        self.done.append(COMMANDS[command])
        return Result(0, b"")

    @property
    def life(self) -> Callable[[LifeStage], Life]:
        tidying = ServerTidying(
            self,  # type: ignore[arg-type]  # All of it that tidying needs.
            DIRECTORY,
            Watch(self.events.append, self.cancellation),
            retry_for=60,
            leave_to=lambda _: self.done.append("hand over"),
        )
        return lambda stage: Life(tidying, stage)

    def end(self, stage: LifeStage, error: BaseException | None) -> BaseException | None:
        """What comes out of a life that ends there with that error."""
        try:
            with self.life(stage) as life:
                life.hold(lambda: self.done.append(DISKS))
                if error is not None:
                    raise error
        except BaseException as raised:
            return raised
        return None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeUpServer]:
    monkeypatch.setattr(reconnect, "FIRST_DELAY", 0.001)
    yield MadeUpServer()


def unreachable(server: MadeUpServer, tries: int, *, then: Callable[[], None] = lambda: None) -> None:
    """The server is out of reach for so many tries. then: called with each of them."""

    def fail(number: int) -> None:
        if number <= tries:
            then()
            raise ConnectionFailed("The server is away.", "")

    server.trouble = fail


def test_the_table_has_every_stage_and_the_test_too() -> None:
    assert list(UNDOING) == list(LifeStage) == list(EXPECTED)


@pytest.mark.parametrize("stage", LifeStage)
def test_after_a_success_only_what_is_here_ends_and_the_record_goes(stage: LifeStage, server: MadeUpServer) -> None:
    assert server.end(stage, None) is None
    assert server.done == [DISKS, "forget"]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stage", LifeStage)
def test_a_cancellation_and_a_failure(stage: LifeStage, error: BaseException, server: MadeUpServer) -> None:
    assert server.end(stage, error) is error
    assert server.done == [DISKS, *EXPECTED[stage][0]]


@pytest.mark.parametrize("stage", LifeStage)
def test_a_control_connection_that_is_lost(stage: LifeStage, server: MadeUpServer) -> None:
    error = ConnectionFailed("The control connection was lost.", "")
    assert server.end(stage, error) is error
    assert server.done == [DISKS, *EXPECTED[stage][1]]


@pytest.mark.parametrize("stage", LifeStage)
def test_told_to_end_it_waits_only_where_virt_v2v_does(stage: LifeStage, server: MadeUpServer) -> None:
    raised = server.end(stage, Detached())
    assert server.done == [DISKS, *EXPECTED[stage][2]]
    if EXPECTED[stage][2]:
        assert isinstance(raised, Cancelled)
    else:
        assert isinstance(raised, Detached)
        assert "virt-v2v waits on the conversion server for 1 min 0 s" in raised.advice


ENDED_THERE = [stage for stage in LifeStage if "stop" in EXPECTED[stage][0]]


@pytest.mark.parametrize("stage", ENDED_THERE)
def test_a_server_that_is_away_is_waited_for_and_then_tidied(stage: LifeStage, server: MadeUpServer) -> None:
    unreachable(server, 3)
    server.end(stage, Cancelled())
    assert server.done == [DISKS, *EXPECTED[stage][0]]
    assert [type(event) for event in server.events[:2]] == [Status, ConnectionLost]


@pytest.mark.parametrize("stage", ENDED_THERE)
def test_a_second_cancellation_ends_the_waiting(stage: LifeStage, server: MadeUpServer) -> None:
    server.cancellation.cancel()
    unreachable(server, 1000, then=server.cancellation.cancel)
    assert isinstance(server.end(stage, Cancelled()), Cancelled)
    assert server.done == [DISKS, "forget"]
    assert isinstance(server.events[-1], Warned)
    assert f"kill -TERM -- -$(cat {DIRECTORY.pid})" in server.events[-1].text


@pytest.mark.parametrize("stage", ENDED_THERE)
def test_two_cancellations_before_it_still_leave_what_can_be_done_at_once(
    stage: LifeStage, server: MadeUpServer
) -> None:
    server.cancellation.cancel()
    server.cancellation.cancel()
    server.end(stage, Cancelled())
    assert server.done[:3] == [DISKS, *STOP]
    assert server.done[-1] == "forget"


@pytest.mark.parametrize("stage", ENDED_THERE)
@pytest.mark.parametrize("error", [Detached(), ServerOutOfReach("It was tried for long.", "")], ids=["told", "tried"])
def test_the_server_is_not_retried_if_that_was_done_or_we_must_end_soon(
    stage: LifeStage, error: P2VError, server: MadeUpServer
) -> None:
    unreachable(server, 1000)
    raised = server.end(stage, error)
    if isinstance(raised, Detached):
        assert (stage, server.tries, server.done) == (LifeStage.RUNNING, 0, [DISKS])
    else:
        assert server.tries == 1
        assert server.done == [DISKS, "forget"]
        assert isinstance(server.events[-1], Warned)


def test_what_is_held_is_released_in_reverse_order(server: MadeUpServer) -> None:
    with contextlib.suppress(Cancelled), server.life(LifeStage.CHECKING) as life:
        for number in range(3):
            life.hold(lambda number=number: server.done.append(f"release {number}"))  # type: ignore[misc]
        life.reach(LifeStage.RUNNING)
        raise Cancelled
    assert server.done == ["release 2", "release 1", "release 0", *STOP, "forget"]
