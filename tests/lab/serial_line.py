"""The far end of a machine's serial line: a minimal terminal program. It connects its terminal to the Unix socket
that qemu offers for a serial port. Ending it pulls the plug; running it again plugs it in again, and what was sent
meanwhile is lost, as on a real line.

    python -m tests.lab.serial_line SOCKET
"""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import tty


def join(path: str, terminal_in: int = 0, terminal_out: int = 1) -> None:
    """Passes bytes both ways until the machine's end is closed; keys pass unchanged, even ^C."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        before = termios.tcgetattr(terminal_in)
        tty.setraw(terminal_in)
        try:
            while True:
                ready, _, _ = select.select([terminal_in, line.fileno()], [], [])
                if terminal_in in ready:
                    line.sendall(os.read(terminal_in, 4096))
                if line.fileno() in ready:
                    received = line.recv(65536)
                    if not received:
                        return
                    _write_all(terminal_out, received)
        except ConnectionError:
            return
        finally:
            termios.tcsetattr(terminal_in, termios.TCSANOW, before)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    join(sys.argv[1])
