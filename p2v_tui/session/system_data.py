"""What the conversion server is told of this machine for later questions: a few programs' output, no secrets."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from typing import Final

from p2v_tui.config import BY_KEY
from p2v_tui.kinds import HIDDEN, Secret

PROGRAMS: Final = {
    "dmesg": ("dmesg",),
    "lscpu": ("lscpu",),
    "lspci": ("lspci", "-vvv"),
    "lsscsi": ("lsscsi", "-v"),
    "lsusb": ("lsusb", "-v"),
}
TIMEOUT: Final = 20.0
_SECRET_KEYS: Final = "|".join(re.escape(key) for key, setting in BY_KEY.items() if setting.kind.secret)
_ON_COMMAND_LINE: Final = re.compile(rf'((?:{_SECRET_KEYS})=)(?:"[^"]*"|\S+)'.encode())
_IN_URL: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*://[^/?#@:\s]*:)[^/?#\s]*@")
MAX_SIZE: Final = 1024 * 1024


def collect_system_data(secrets: Iterable[Secret]) -> dict[str, bytes]:
    """File name to content. A program that is missing or fails leaves its complaint in its place.

    The kernel's log repeats the kernel command line, and with it p2v.password: the secrets are blotted out.
    """
    return {name: scrub(_output(command), secrets)[-MAX_SIZE:] for name, command in PROGRAMS.items()}


def scrub(text: bytes, secrets: Iterable[Secret]) -> bytes:
    """The text without these secrets, and without what a kernel command line in it gives for a secret setting.

    The second for those that are not this run's: the machine may have been booted with others.
    """
    text = _ON_COMMAND_LINE.sub(rb"\1" + HIDDEN.encode(), text)
    text = _IN_URL.sub(rb"\1" + HIDDEN.encode() + b"@", text)
    for secret in secrets:
        if secret.reveal():
            text = text.replace(secret.encode(), HIDDEN.encode())
    return text


def _output(command: tuple[str, ...]) -> bytes:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}\n".encode()
    return done.stdout
