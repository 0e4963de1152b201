"""Waits until this machine has a route to the server: at boot DHCP is often slower than we are."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time

import psutil

from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Report, Status, Warned

TIMEOUT = 60.0
INTERVAL = 1.0


def wait_for_network(server: str, report: Report, cancellation: Cancellation) -> None:
    """Returns as soon as this machine has a route to the server, or after TIMEOUT seconds.

    A missing route is not an error here: the connection will fail and say why. Raises Cancelled.
    """
    if _is_reachable(server):
        return
    report(Status(f"Waiting for the network (up to {TIMEOUT:.0f} seconds)"))
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        cancellation.wait(INTERVAL)
        if _is_reachable(server):
            return
    report(Warned(f"This machine has no route to {server} yet. Is the cable plugged in? Does DHCP answer?"))


def _is_reachable(server: str) -> bool:
    """Whether the kernel has a route to one of the server's addresses; nothing is sent there.

    A name that does not exist counts as reachable, as waiting would not help; one that cannot be looked up now does
    not.
    """
    try:
        addresses = socket.getaddrinfo(server.strip("[]"), 22, type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        return error.errno != socket.EAI_AGAIN and _has_address()
    except UnicodeError:
        return True
    for family, kind, protocol, _, address in addresses:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as trial:
            trial.connect(address)
            return True
    return False


def _has_address() -> bool:
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    return any(
        name in up and address.family in {socket.AF_INET, socket.AF_INET6} and _routable(address.address)
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
    )


def _routable(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return not (parsed.is_loopback or parsed.is_link_local)
