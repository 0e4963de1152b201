"""Collects data about this machine for later questions, stored on the server: a few programs' output, no secrets."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from typing import Final

from p2v_tui.cmdline import hide_secrets
from p2v_tui.hwprobe.answers import Answer
from p2v_tui.kinds import Secret
from p2v_tui.programs import complete
from p2v_tui.secrecy import HIDDEN

PROGRAMS: Final = {
    "dmesg": ("dmesg",),
    "lscpu": ("lscpu",),
    "lspci": ("lspci", "-vvv"),
    "lsscsi": ("lsscsi", "-v"),
    "lsusb": ("lsusb", "-v"),
}
# In seconds. timeout(1) ends a hanging tool even if p2v-tui has ended before.
TIMEOUT: Final = 20
_LIMIT: Final = ("timeout", "--signal=KILL", str(TIMEOUT))
_KILLED: Final = -9
MAX_SIZE: Final = 1024 * 1024


def collect_system_data(secrets: Collection[Secret]) -> dict[str, bytes]:
    """File name to content. For a program that is missing or fails, the content is its error.

    Secrets are blotted out: the kernel's log repeats the kernel command line, with p2v.password.
    """
    # All at once, as each may hang until its time-out.
    outputs = {name: Answer(functools.partial(_output, command)) for name, command in PROGRAMS.items()}
    return {name: scrub(output.wait(lambda: None), secrets)[-MAX_SIZE:] for name, output in outputs.items()}


def scrub(text: bytes, secrets: Iterable[Secret]) -> bytes:
    """The text without these secrets, and without what looks like one, as in a kernel command line: the machine may
    have been booted with secrets that this run does not know.
    """
    shown = hide_secrets(text.decode(errors="surrogateescape"))
    for secret in secrets:
        shown = shown.replace(secret.reveal(), HIDDEN) if secret.reveal() else shown
    return shown.encode(errors="surrogateescape")


def _output(command: tuple[str, ...]) -> bytes:
    try:
        # Not even KILL ends one that hangs in the kernel.
        done = complete([*_LIMIT, *command], seconds=TIMEOUT + 2, merged=True)
    except OSError as error:
        return f"{command[0]}: {error}\n".encode()
    if done is None:
        return f"{command[0]}: it hangs\n".encode()
    if done.returncode in (_KILLED, 128 - _KILLED):
        return done.stdout + f"{command[0]}: it did not end in {TIMEOUT} seconds\n".encode()
    return done.stdout
