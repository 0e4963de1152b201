"""What the conversion server is told of this machine for later questions: a few programs' output, no secrets."""

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
# In seconds. timeout(1) ends a tool that hangs also when p2v-tui has ended before it.
TIMEOUT: Final = 20
_LIMIT: Final = ("timeout", "--signal=KILL", str(TIMEOUT))
_KILLED: Final = -9
MAX_SIZE: Final = 1024 * 1024


def collect_system_data(secrets: Collection[Secret]) -> dict[str, bytes]:
    """File name to content. A program that is missing or fails leaves its complaint in its place.

    The kernel's log repeats the kernel command line, and with it p2v.password: the secrets are blotted out.
    """
    # All at once: each may hang until its time is over.
    outputs = {name: Answer(functools.partial(_output, command)) for name, command in PROGRAMS.items()}
    return {name: scrub(output.wait(lambda: None), secrets)[-MAX_SIZE:] for name, output in outputs.items()}


def scrub(text: bytes, secrets: Iterable[Secret]) -> bytes:
    """The text without these secrets, and without what looks like one, as in a kernel command line.

    The second for those that are not this run's: the machine may have been booted with others.
    """
    shown = hide_secrets(text.decode(errors="surrogateescape"))
    for secret in secrets:
        shown = shown.replace(secret.reveal(), HIDDEN) if secret.reveal() else shown
    return shown.encode(errors="surrogateescape")


def _output(command: tuple[str, ...]) -> bytes:
    try:
        # One that hangs in the kernel does not even die of KILL.
        done = complete([*_LIMIT, *command], seconds=TIMEOUT + 2, merged=True)
    except OSError as error:
        return f"{command[0]}: {error}\n".encode()
    if done is None:
        return f"{command[0]}: it hangs\n".encode()
    if done.returncode in (_KILLED, 128 - _KILLED):
        return done.stdout + f"{command[0]}: it did not end in {TIMEOUT} seconds\n".encode()
    return done.stdout
