"""The loop of a disk: waits for its sockets, tells `Disk` what happens, and performs its actions."""

import contextlib
import functools
import os
import select
import socket
import time
import traceback
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

from . import limits, peer
from .client import Client, Splice
from .disk import Disk
from .errors import Unrecoverable
from .links import Close, EndClient, Link, Open, Owner
from .report import DiskReport
from .sockets import CLOSED, Poller, Tunnels, connect, listen_on_loopback, reason_of

# Files with the process ids of the wrapper, once it runs, and of the shell that started us, which ends with p2v-tui.
WRAPPER_PID = "pid"
CONTROL_PID = "control.pid"


def control_lives() -> bool:
    """Whether p2v-tui is still connected, as far as the server knows. Its logins may take long."""
    try:
        os.kill(int(Path(CONTROL_PID).read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


class LinkSocket(NamedTuple):
    """The connection of a link, and what is called on its events."""

    socket: socket.socket
    callback: Callable[[int], None]


class DiskLoop:
    """Listens once it is made; `run` does the rest. Raises OSError if it cannot listen.

    Any thread may read `report` and call `finish` and `give_up`; all else belongs to the loop's thread.
    changed: called when a change of the report should be written at once.
    """

    def __init__(
        self,
        number: int,
        seconds: float,
        many_clients: bool,
        log: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.disk = Disk(number, seconds, many_clients, log, time.monotonic())
        self.splice = Splice(hasattr(os, "splice"), self.disk.log)
        self.tunnels = Tunnels(number)
        self._changed = changed
        self._poller = Poller()
        self._links: Dict[Link, LinkSocket] = {}
        self._clients: Dict[Owner, Client] = {}
        self._commands: List[Callable[[], None]] = []
        self._wakeup, self._waker = socket.socketpair()
        self._listeners = listen_on_loopback()
        self.port: int = self._listeners[0].getsockname()[1]
        self.report: DiskReport = self.disk.report(self.port)

    # For other threads

    def finish(self) -> None:
        """End in any state, as virt-v2v has ended."""
        self._queue(self.disk.finish)

    def give_up(self, reason: str) -> None:
        self._queue(functools.partial(self.disk.give_up, reason))

    def _queue(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    # The thread

    def run(self) -> None:
        """Serve until the client has gone or the disk is given up; never raises."""
        try:
            self.disk.log(f"listens on port {self.port}")
            for listener in self._listeners:
                self._poller.watch(listener, select.POLLIN, functools.partial(self._accept, listener))
            self._poller.watch(self._wakeup, select.POLLIN, self._run_commands)
            next_tick = pause = 0.0
            while not self.disk.state.ended:
                now = time.monotonic()
                if now >= next_tick:
                    self._tick(now)
                    pause = limits.TICK_SECONDS if self.disk.has_tunnel else limits.WAITING_TICK_SECONDS
                    next_tick = now + pause
                self._poller.wait(pause)
                if self.disk.state is not self.report.state:
                    self._publish()
        except Unrecoverable as error:
            self.disk.give_up(str(error), error.cause)
        except Exception:  # A bug in one disk's thread must not end the others.
            self.disk.log("internal error: " + " / ".join(traceback.format_exc().split("\n")))
            self.disk.give_up("internal error")
        finally:
            self._close()

    def _publish(self) -> None:
        state = self.report.state
        self.report = self.disk.report(self.port)
        if self.report.state is not state:
            self._changed()

    def _run_commands(self, _: int) -> None:
        self._wakeup.recv(64)
        while self._commands:
            self._commands.pop(0)()

    def _tick(self, now: float) -> None:
        disk = self.disk
        if disk.in_doubt:
            disk.started = Path(WRAPPER_PID).exists()
            disk.control_alive = disk.started or control_lives()
        try:
            disk.tick(self.tunnels.there(), now)
        finally:
            self._publish()
        for client in list(self._clients.values()):
            self._follow(client.session)
        self._follow(disk)

    def _close(self) -> None:
        self.disk.close()
        self._perform()
        self._stop_listening()
        self._poller.forget(self._wakeup)
        self._wakeup.close()
        self._waker.close()
        self._publish()

    # Events

    def _accept(self, listener: socket.socket, _: int) -> None:
        try:
            connection = listener.accept()[0]
        except OSError:
            return
        session = None
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            user = peer.user_of_client(connection)
            session = self.disk.client_came(user, peer.may_connect(user), time.monotonic())
        except OSError:
            pass
        if session is None:
            connection.close()
            return
        client = Client(session, connection, self.splice)
        client.callback = functools.partial(self._on_client, client)
        self._clients[session] = client
        self._follow(session)
        self._follow(self.disk)

    def _on_client(self, client: Client, events: int) -> None:
        if events & select.POLLOUT:
            client.send_pending(time.monotonic())
        if events & ~select.POLLOUT and not client.session.over:
            client.read_requests(events, time.monotonic())
        if events & select.POLLOUT or not self._goes_on(client):
            self._follow(client.session)

    def _on_link(self, link: Link, owner: Owner, events: int) -> None:
        entry = self._links[link]
        if events & select.POLLOUT and not self._send(link):
            self._follow(owner)
            return
        client = self._clients.get(owner)
        if client and client.session.tunnel is link:
            if client.full:
                # Unread bytes have no room and are lost; those requests are repeated.
                if events & (select.POLLHUP | select.POLLERR):
                    client.session.lost(link, CLOSED, time.monotonic())
            elif events & ~select.POLLOUT:
                client.pass_on(link, entry.socket, time.monotonic)
                if not events & select.POLLOUT and self._goes_on(client):
                    return
        elif events & ~select.POLLOUT:
            self._read(link, entry.socket)
        self._follow(owner)

    def _read(self, link: Link, connection: socket.socket) -> None:
        try:
            data = connection.recv(limits.MAX_ANSWER_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            link.owner.lost(link, reason_of(error), time.monotonic())
            return
        if data:
            link.owner.received(link, data, time.monotonic())
        else:
            link.owner.lost(link, CLOSED, time.monotonic())

    # Consequences

    def _goes_on(self, client: Client) -> bool:
        """Send the client's requests. Returns whether that is all to do, as after most events."""
        tunnel = client.session.tunnel
        if tunnel is None or not client.session.plain or not client.is_watched_right:
            return False
        return not tunnel.outgoing or (self._send(tunnel) and not tunnel.outgoing)

    def _follow(self, owner: Owner) -> None:
        """Do what the owner wants after an event, until only waiting is left."""
        client = self._clients.get(owner)
        again = True
        while again:
            if client:
                client.send_pending(time.monotonic())
            self._perform()
            lost = [link for link in owner.links if not self._send(link)]
            again = bool(lost)
        full = False
        if client and not client.session.over:
            full = client.full
            self._poller.watch(client.socket, client.mask, client.callback)
        for link in owner.links:
            mask = select.POLLIN | select.POLLOUT if link.outgoing else select.POLLIN
            if full and client and link is client.session.tunnel:
                # Read nothing that the client does not take. Its end would only wake us in vain meanwhile.
                mask &= ~select.POLLIN
            entry = self._links[link]
            self._poller.watch(entry.socket, mask, entry.callback)

    def _send(self, link: Link) -> bool:
        """Send what the tunnel takes. Returns False if it was lost; its owner then knows."""
        connection = self._links[link].socket
        try:
            while link.outgoing:
                del link.outgoing[: connection.send(link.outgoing)]
        except BlockingIOError:
            pass
        except OSError as error:
            link.owner.lost(link, reason_of(error), time.monotonic())
            return False
        return True

    def _perform(self) -> None:
        action = self.disk.next_action()
        while action is not None:
            if isinstance(action, Open):
                self._open(action.link)
            elif isinstance(action, Close):
                self._close_link(action.link)
            elif isinstance(action, EndClient):
                self._end_client(action.session)
            else:
                self._stop_listening()
            action = self.disk.next_action()

    def _open(self, link: Link) -> None:
        try:
            connection, port = connect(self.disk.number, link.generation)
        except OSError:
            link.owner.refused(link, time.monotonic())
            return
        if port:
            link.prove(port.question, port.answer)
        self._links[link] = LinkSocket(connection, functools.partial(self._on_link, link, link.owner))
        link.owner.opened(link, time.monotonic())

    def _close_link(self, link: Link) -> None:
        entry = self._links.pop(link, None)
        if entry is None:
            return
        with contextlib.suppress(OSError):
            if link.outgoing:
                entry.socket.send(link.outgoing)
        self._poller.forget(entry.socket)
        entry.socket.close()

    def _end_client(self, session: Owner) -> None:
        client = self._clients.pop(session, None)
        if client:
            self._poller.forget(client.socket)
            client.close()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            self._poller.forget(listener)
            listener.close()
        self._listeners = []
