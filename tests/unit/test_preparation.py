"""What comes before virt-v2v, begun anew: what an attempt left on the server goes first. The server is made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from p2v_tui.errors import Cancelled, ConnectionFailed, Detached, PreflightRefused
from p2v_tui.session.conversion.preparation import Preparation
from p2v_tui.session.ssh import reconnect
from p2v_tui.session.words.events import ConnectionLost, ConnectionRestored, LogDirectoryRemoved, Status, Warned
from p2v_tui.session.words.watch import Watch
from tests.unit.test_life import DIRECTORY, REMOVE, MadeUpServer

LOST = ConnectionFailed("The control connection was lost.", "")
LOST_AGAIN = ConnectionFailed("The server did not finish a command.", "")


class Server(MadeUpServer):
    """It may be asked for a shell by whatever is not cancelled."""

    def shell(self, watch: Watch) -> Any:
        watch.cancellation.check()
        self.opened += 1
        return self

    def preparation(self, retry_for: float = 60) -> Preparation:
        return Preparation(
            self,  # type: ignore[arg-type]  # All of it that a preparation needs.
            Watch(self.events.append, self.cancellation),
            retry_for=retry_for,
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(reconnect, "FIRST_DELAY", 0.001)
    yield Server()


def attempts(server: Server, preparation: Preparation, *ends: Exception | str) -> Callable[[], str]:
    """Each leaves its directory when it loses its connection."""
    remaining = iter(ends)

    def begin() -> str:
        server.done.append("begin")
        end = next(remaining)
        if isinstance(end, str):
            return end
        if isinstance(end, ConnectionFailed):
            preparation.take_over(DIRECTORY)
        raise end

    return begin


def test_what_a_lost_attempt_left_is_removed_before_the_next_begins(server: Server) -> None:
    preparation = server.preparation()
    assert preparation.whole(attempts(server, preparation, LOST, LOST_AGAIN, "virt-v2v runs")) == "virt-v2v runs"
    assert server.done == ["begin", *REMOVE, "begin", *REMOVE, "begin"]
    assert [type(event) for event in server.events] == 2 * [
        ConnectionLost,
        ConnectionRestored,
        LogDirectoryRemoved,
        Status,
    ]


def test_each_loss_is_told_also_where_it_has_the_same_words(server: Server) -> None:
    preparation = server.preparation()
    preparation.whole(attempts(server, preparation, LOST, LOST, LOST, "virt-v2v runs"))
    outages = [type(event) for event in server.events if isinstance(event, ConnectionLost | ConnectionRestored)]
    assert outages == 3 * [ConnectionLost, ConnectionRestored]


def test_without_time_to_retry_it_is_removed_and_the_loss_is_the_end(server: Server) -> None:
    preparation = server.preparation(retry_for=0)
    with pytest.raises(ConnectionFailed):
        preparation.whole(attempts(server, preparation, LOST))
    assert server.done == ["begin", *REMOVE]


def test_a_refusal_is_not_tried_again(server: Server) -> None:
    preparation = server.preparation()
    with pytest.raises(PreflightRefused):
        preparation.whole(attempts(server, preparation, LOST, PreflightRefused("No.")))
    assert server.done == ["begin", *REMOVE, "begin"]


@pytest.mark.parametrize("end", [Cancelled(), Detached()], ids=["cancelled", "detached"])
def test_before_virt_v2v_runs_whoever_ends_it_cancels_it(end: Exception, server: Server) -> None:
    preparation = server.preparation()
    with pytest.raises(Cancelled):
        preparation.whole(attempts(server, preparation, end))
    assert server.done == ["begin"]


def test_what_cannot_be_removed_is_named(server: Server) -> None:
    def away(_: int) -> None:
        raise ConnectionFailed("The server is away.", "")

    server.trouble = away
    preparation = server.preparation(retry_for=0)
    with pytest.raises(ConnectionFailed):
        preparation.whole(attempts(server, preparation, LOST))
    assert isinstance(server.events[-1], Warned)
    assert f"rm -r {DIRECTORY.path}" in server.events[-1].text
