"""Waits until this machine has a network address: at boot DHCP is often slower than we are."""

from __future__ import annotations

import ipaddress
import socket
import time

import psutil

from p2v_tui.session.cancellation import Cancellation
from p2v_tui.session.events import Report, Status, Warned

TIMEOUT = 60.0
INTERVAL = 1.0


def wait_for_network(server: str, report: Report, cancellation: Cancellation) -> None:
    """Returns as soon as an interface is up and has an address, or after TIMEOUT seconds.

    It is no error to go on without: the connection itself fails then, and says how. For a server on this machine's
    loopback nothing is waited for. Raises Cancelled.
    """
    if _is_loopback(server) or _has_address():
        return
    report(Status(f"Waiting for the network (up to {TIMEOUT:.0f} seconds)"))
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        cancellation.wait(INTERVAL)
        if _has_address():
            return
    report(Warned("No network interface has an address. Is a cable plugged in, does DHCP answer?"))


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.strip("[]")).is_loopback
    except ValueError:
        return server == "localhost"


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
