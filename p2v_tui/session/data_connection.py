"""One disk's way to virt-v2v: a read-only NBD server here, and an `ssh -R` from a port of the server's loopback."""

from __future__ import annotations

from pathlib import Path

import pexpect

from p2v_tui.errors import ConversionFailed
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session import ssh_errors
from p2v_tui.session.cancellation import Cancellation
from p2v_tui.session.nbd_server import NbdServer
from p2v_tui.session.openssh import Login, close_connection, matched_text, open_connection
from p2v_tui.session.workspace import Workspace

# "localhost" and no address: sshd then listens on 127.0.0.1 and ::1, and virt-v2v may try either.
_ALLOCATED = rb"Allocated port (\d+) for remote forward"


def check_forwarding(login: Login, cancellation: Cancellation) -> None:
    """Opens a port on the server's loopback and closes it. Raises PreflightRefused where that is forbidden."""
    close_connection(_open_tunnel(login, Path("/nonexistent"), cancellation))


def _open_tunnel(login: Login, socket: Path, cancellation: Cancellation) -> pexpect.spawn[bytes]:
    """ssh -R from a port that the server chooses to our socket; the port is what was matched last."""
    return open_connection(login, tunnel_options(socket), None, _ALLOCATED, cancellation)


def tunnel_options(socket: Path) -> list[str]:
    """ssh's options for the tunnel from a port that the server chooses to our socket, and nothing else."""
    return ["-N", "-T", "-o", "ExitOnForwardFailure=yes", "-R", f"localhost:0:{socket}"]


class DataConnection:
    """port: on the conversion server's loopback, chosen there. `close()` ends the tunnel, then the NBD server."""

    def __init__(
        self, disk: Disk, number: int, *, program: str, login: Login, workspace: Workspace, cancellation: Cancellation
    ) -> None:
        self.disk = disk
        self._server = NbdServer(
            program, disk.device, workspace.nbd_socket(number), workspace.nbd_log(number), cancellation
        )
        try:
            self._tunnel = _open_tunnel(login, self._server.socket, cancellation)
        except BaseException:
            self._server.close()
            raise
        self.port = int(matched_text(self._tunnel))

    @property
    def bytes_served(self) -> int:
        return self._server.bytes_served

    def check(self) -> None:
        """Raises ConversionFailed once the tunnel or the NBD server has died, with its last words."""
        if not self._server.running:
            raise ConversionFailed(
                f"The NBD server of {self.disk.name} ended: {self._server.last_words}.",
                "Look for a disk error in the kernel's log (dmesg) and convert again.",
            )
        # Its complaints are read as they come: ssh would block on a terminal that is full of them.
        self._tunnel.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0)
        if not self._tunnel.isalive():
            said = (self._tunnel.before or b"").decode(errors="replace")
            words = " / ".join(ssh_errors.last_lines(said, 2)) or "ssh said nothing"
            raise ConversionFailed(
                f"The data connection of {self.disk.name} was lost: {words}.",
                "Check the network between the two machines and convert again.",
            )

    def close(self) -> None:
        close_connection(self._tunnel)
        self._server.close()
