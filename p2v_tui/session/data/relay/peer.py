"""Who may connect to a disk's port: our own user, and root."""

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Optional, Tuple


def may_connect(user: Optional[int]) -> bool:
    """user: the user id of the other end; None if unknown."""
    return user in (0, os.getuid())


def check() -> None:
    """Raises OSError if this machine cannot tell who a client is."""
    Path("/proc/net/tcp").open().close()


def user_of_client(accepted: socket.socket) -> Optional[int]:
    """The user id of the process at the other end of a loopback connection; None if it cannot be found.

    From /proc/net/tcp (proc(5)). Only for an established connection that belongs to a process: the kernel reports all
    others as root's.
    """
    theirs, ours = accepted.getpeername()[:2], accepted.getsockname()[:2]
    wanted = {(proc_address(theirs, False), proc_address(ours, False))}
    tables = ["/proc/net/tcp"]
    if accepted.family == socket.AF_INET6:
        tables = ["/proc/net/tcp6"]
    else:
        # A client may use an IPv6 socket for an IPv4 address.
        wanted.add((proc_address(theirs, True), proc_address(ours, True)))
        tables.append("/proc/net/tcp6")
    for table in tables:
        with contextlib.suppress(OSError), Path(table).open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                fields = line.split()
                if len(fields) > 9 and (fields[1], fields[2]) in wanted and fields[3] == "01" and fields[9] != "0":
                    return int(fields[7])
    return None


def proc_address(address: Tuple[str, int], mapped: bool) -> str:
    """The address as /proc/net/tcp writes it: words of 32 bits in the byte order of the machine, then the port."""
    host, port = address
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    if mapped:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
