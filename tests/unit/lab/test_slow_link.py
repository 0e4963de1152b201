"""The proxy passes everything on unchanged, and a reset, a silence and a refusal are what they are on a network."""

from __future__ import annotations

import hashlib
import random
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.slow_link import QUEUE_BYTES, Lane, SlowLink

SOME_MEBIBYTES = random.Random(1).randbytes(3 << 20)


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A server that listens; the tests accept."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def connect(link: SlowLink) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=30)


def accept(target: socket.socket) -> socket.socket:
    connection, _ = target.accept()
    connection.settimeout(30)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Up to the end of the stream."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def says_nothing(connection: socket.socket) -> bool:
    return not select.select([connection], [], [], 0.2)[0]


@pytest.mark.parametrize(("delay", "rate"), [(0.0, None), (0.005, None), (0.002, 40e6)])
def test_both_directions_arrive_whole_and_in_order(target: socket.socket, delay: float, rate: float | None) -> None:
    with SlowLink(target.getsockname()[1], delay=delay, rate=rate) as link, closing(connect(link)) as client:
        with closing(accept(target)) as server:
            sending = threading.Thread(target=client.sendall, args=(SOME_MEBIBYTES,))
            sending.start()
            server.sendall(b"hello " * 1000)
            server.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"hello " * 1000
            sending.join()
            client.shutdown(socket.SHUT_WR)
            assert hashlib.sha256(read_all(server)).digest() == hashlib.sha256(SOME_MEBIBYTES).digest()
        assert link.passed() == (len(SOME_MEBIBYTES), 6000)


def test_one_side_may_say_that_it_is_done_and_still_listen(target: socket.socket) -> None:
    with SlowLink(target.getsockname()[1]) as link, closing(connect(link)) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        with closing(accept(target)) as server:
            assert read_all(server) == b"question"
            server.sendall(b"answer")
        assert read_all(client) == b"answer"


def test_a_drop_resets_both_sides_and_a_new_connection_works(target: socket.socket) -> None:
    with SlowLink(target.getsockname()[1]) as link:
        with closing(connect(link)) as client, closing(accept(target)) as server:
            client.sendall(b"x")
            assert server.recv(1) == b"x"
            assert link.drop() == 1
            for end in (client, server):
                with pytest.raises(ConnectionResetError):
                    end.recv(1)
        assert link.connections() == 0
        with closing(connect(link)) as client, closing(accept(target)) as server:
            server.sendall(b"y")
            assert client.recv(1) == b"y"


def test_a_silence_loses_nothing_and_ends_nothing(target: socket.socket) -> None:
    with (
        SlowLink(target.getsockname()[1]) as link,
        closing(connect(link)) as client,
        closing(accept(target)) as server,
    ):
        link.hold()
        client.sendall(b"there")
        client.shutdown(socket.SHUT_WR)
        server.sendall(b"back")
        assert says_nothing(client)
        assert says_nothing(server)
        link.release()
        assert read_all(server) == b"there"
        server.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"back"


def test_in_a_silence_a_new_connection_gets_no_answer_until_it_is_over(target: socket.socket) -> None:
    with SlowLink(target.getsockname()[1]) as link:
        link.hold()
        with closing(connect(link)) as client:
            client.sendall(b"anybody there?")
            assert says_nothing(target)
            link.release()
            with closing(accept(target)) as server:
                assert server.recv(100) == b"anybody there?"


def test_who_drops_a_silent_connection_resets_it(target: socket.socket) -> None:
    with (
        SlowLink(target.getsockname()[1]) as link,
        closing(connect(link)) as client,
        closing(accept(target)) as server,
    ):
        link.hold()
        assert link.drop() == 1
        with pytest.raises(ConnectionResetError):
            server.recv(1)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_it_refuses_new_connections_and_keeps_the_old_until_it_is_told_to_accept(target: socket.socket) -> None:
    with SlowLink(target.getsockname()[1]) as link, closing(connect(link)) as old, closing(accept(target)) as server:
        port = link.port
        link.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(link)
        old.sendall(b"still here")
        assert server.recv(100) == b"still here"
        link.accept()
        assert link.port == port
        with closing(connect(link)) as new, closing(accept(target)) as another:
            new.sendall(b"new")
            assert another.recv(100) == b"new"


def test_a_reset_by_one_side_reaches_the_other(target: socket.socket) -> None:
    with SlowLink(target.getsockname()[1]) as link, closing(connect(link)) as client:
        server = accept(target)
        client.sendall(b"never read")
        assert select.select([server], [], [], 30)[0]
        server.close()  # With something unread: the kernel resets.
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_server_that_is_not_there_resets_the_client() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with SlowLink(taken.getsockname()[1]) as link:
            # The reset may come before connect() has returned.
            with pytest.raises(ConnectionResetError), closing(connect(link)) as client:
                client.recv(1)
            assert link.connections() == 0


@pytest.mark.parametrize(("rate", "most"), [(None, 2 * QUEUE_BYTES), (10e6, 8 << 20)])
def test_a_reader_that_does_not_read_makes_the_sender_wait(
    target: socket.socket, rate: float | None, most: int
) -> None:
    with SlowLink(target.getsockname()[1], rate=rate) as link, closing(connect(link)) as client:
        with closing(accept(target)), pytest.raises(TimeoutError):
            client.settimeout(0.5)
            client.sendall(bytes(3 * QUEUE_BYTES))
        # What the kernel queues comes on top of the link's own queue.
        assert link.passed()[0] < most


def test_without_a_rate_every_piece_is_only_late() -> None:
    lane = Lane(0.01, None)
    assert [lane.arrival(now, 1 << 20) for now in (5.0, 5.0, 6.0)] == [5.01, 5.01, 6.01]


def test_pieces_wait_for_each_other_and_an_idle_lane_saves_nothing_up() -> None:
    lane = Lane(0.5, 1000)
    assert [lane.arrival(now, 100) for now in (10.0, 10.0, 20.0)] == pytest.approx([10.6, 10.7, 20.6])


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 100_000)), min_size=1),
    st.floats(1e3, 1e9),
    st.floats(0, 1),
)
def test_nothing_is_faster_than_the_rate_or_overtakes(
    pieces: list[tuple[float, int]], rate: float, delay: float
) -> None:
    lane = Lane(delay, rate)
    now, arrivals = 0.0, []
    for pause, size in pieces:
        now += pause
        arrivals.append(lane.arrival(now, size))
    assert arrivals == sorted(arrivals)
    total = sum(size for _, size in pieces)
    assert arrivals[-1] - delay >= pieces[0][0] + total / rate - 1e-6
    assert lane.passed == total
