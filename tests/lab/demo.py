"""The demo: a real disk, a real conversion server, a real virt-v2v, and a boot of the converted guest.

Makes or reuses the small Debian disk, starts a conversion server on loopback, lets p2v-tui convert the disk
unattended, boots the result to its login prompt, and reports what happened and how long it took. It does not touch
this machine's own disks, and leaves nothing running; the converted guest is kept.

    python -m tests.lab.demo [--output DIRECTORY] [--two-disks]
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from p2v_tui.session.words.quantities import size_text
from tests.lab.boot import BootReport, boot_until_login
from tests.lab.commands import LabFailure, end_process_group
from tests.lab.conversion_server import ConversionServer, Identity, identity
from tests.lab.debian import cache_directory
from tests.lab.guest_disk import DATA_DISK_TEXT, GuestDisk, guest_disk
from tests.lab.kvm import kvm_works

GUEST_NAME = "demo-guest"
# For the guest, and for virt-v2v's temporary files, each.
NEEDED_SPACE = 1_500_000_000

# On two cores of 2023, without KVM, a conversion takes a minute and a half. The limit allows for a busy machine.
CONVERSION_SECONDS = 1800.0
# How long p2v-tui may take to clean up when the demo is interrupted.
_CLEANUP_SECONDS = 30.0


@dataclass
class Phases:
    """How long each part of the demo took: (what, seconds), in order."""

    taken: list[tuple[str, float]] = field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, what: str) -> Iterator[None]:
        """Announce a part and, if it succeeds, record its time."""
        say(f"\n==> {what}")
        started = time.monotonic()
        yield
        self.taken.append((what, time.monotonic() - started))

    def table(self) -> str:
        """The parts and their times in two columns, with the total."""
        rows = [*self.taken, ("Altogether", sum(seconds for _, seconds in self.taken))]
        width = max(len(what) for what, _ in rows)
        return "\n".join(f"  {what:<{width}}  {seconds:7.1f} s" for what, seconds in rows)


def demo(output: Path, kinds: Sequence[GuestDisk]) -> None:
    """Convert these disks and boot the result. Raises LabFailure if any part fails."""
    phases = Phases()
    with phases.phase("Checking this machine"):
        say("KVM works here." if kvm_works() else "KVM does not work here: guests are emulated, which is slower.")
        require_free_space(output)
    with phases.phase("The disk to convert"):
        disks = [guest_disk(kind) for kind in kinds]
        for disk in disks:
            say(f"{disk} ({size_text(disk.stat().st_size)})")
        before = [checksum(disk) for disk in disks]

    with tempfile.TemporaryDirectory(prefix="p2v-tui-demo-") as scratch:
        key = identity(Path(scratch))
        with ConversionServer(authorized=[key.public_key]) as server:
            say(f"\nThe conversion server is an sshd on {server.host} port {server.port};")
            say(f"its host key is {server.fingerprint}.")
            with phases.phase("The conversion by p2v-tui and virt-v2v"):
                remote_directory = convert(server, key, disks, output)
        log = keep_log(remote_directory, output)

    after = [checksum(disk) for disk in disks]
    if after != before:
        raise LabFailure("The source disk was changed during the conversion. That must never happen.")

    guest = [output / f"{GUEST_NAME}-sd{letter}" for letter in "abcdefgh"[: len(disks)]]
    if missing := [str(disk) for disk in guest if not disk.exists()]:
        raise LabFailure(f"p2v-tui reported success, but did not make {', '.join(missing)}.")
    with phases.phase("The first boot of the converted guest, on virtio disks"):
        report = boot(guest, kinds)
        say("\n".join(line for line in report.console.rstrip().splitlines()[-3:] if line.strip()))

    say("\nIt worked: the disk was converted over ssh, and the guest that came out boots to its login prompt.")
    say("The source disk is unchanged: its SHA-256 is the same before and after.")
    for disk, digest in zip(disks, before, strict=True):
        say(f"  {digest}  {disk.name}")
    say("The converted guest is")
    for disk in guest:
        say(f"  {disk}")
    say(f"virt-v2v's log is {log}." if log else "virt-v2v's log is in the server's /tmp.")
    say("How long each part took:")
    say(phases.table())


def convert(server: ConversionServer, key: Identity, disks: Sequence[Path], output: Path) -> str:
    """Convert the disks with p2v-tui, unattended. Returns the conversion's directory on the server."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob(f"{GUEST_NAME}*"):
        old.unlink()
    settings = {
        "p2v.server": server.host,
        "p2v.port": str(server.port),
        "p2v.username": pwd.getpwuid(os.geteuid()).pw_name,
        "p2v.identity": key.url,
        "p2v.remote.hostkey": server.fingerprint,
        "p2v.name": GUEST_NAME,
        "p2v.disks": ",".join(str(disk) for disk in disks),
        "p2v.o": "local",
        "p2v.os": str(output),
        "p2v.post": "",  # Not the default, which switches the machine off.
    }
    command_line = " ".join(
        f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in settings.items()
    )
    # The console script in our interpreter's directory.
    program = Path(sys.executable).with_name("p2v-tui")
    if not program.exists():
        raise LabFailure(f"{program} was not found; `make setup` installs it.")
    say(f'{program} --cmdline="{command_line}"')
    status, printed = streamed([str(program), f"--cmdline={command_line}"], CONVERSION_SECONDS)
    if status != 0:
        raise LabFailure(f"p2v-tui ended with exit code {status}. Its output is above.")
    found = re.search(r"/tmp/virt-p2v-\d{8}-\w{8}", printed)
    return found.group() if found else ""


def boot(guest: Sequence[Path], kinds: Sequence[GuestDisk]) -> BootReport:
    """Boot the converted guest; with the data disk it must also print the text on that disk."""
    expect = ["login:"]
    if GuestDisk.DATA in kinds:
        expect.append(DATA_DISK_TEXT)
    return boot_until_login(guest, expect)


def streamed(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run a command and print its output as it comes. Returns its exit code and output.

    If we are interrupted, or it takes longer than so many seconds, it may clean up and is then killed.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = []
    # virt-v2v's progress bar has multi-byte characters, which a read may split.
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        while chunk := os.read(process.stdout.fileno(), 65536):
            printed.append(decoder.decode(chunk))
            print(printed[-1], end="", flush=True)
        return process.wait(), "".join(printed)
    except BaseException:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_CLEANUP_SECONDS)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        end_process_group(process)


def keep_log(remote_directory: str, output: Path) -> Path | None:
    """Move virt-v2v's log beside the converted guest and remove the rest of that conversion's directory."""
    log = Path(remote_directory) / "virt-v2v-conversion-log.txt"
    if not remote_directory or not log.exists():
        return None
    kept = output / f"{GUEST_NAME}-{log.name}"
    shutil.copy(log, kept)
    shutil.rmtree(remote_directory, ignore_errors=True)
    return kept


def require_free_space(output: Path) -> None:
    """Raise LabFailure unless there is room for the guest, and for virt-v2v's temporary files."""
    existing = next(place for place in (output, *output.parents) if place.exists())
    for place in (existing, Path("/var/tmp")):
        free = shutil.disk_usage(place).free
        if free < NEEDED_SPACE:
            raise LabFailure(f"{place} has {size_text(free)} free; the demo needs {size_text(NEEDED_SPACE)} there.")


def checksum(file: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def say(text: str) -> None:
    """Print without buffering, since p2v-tui prints to the same terminal."""
    print(text, flush=True)


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    raise LabFailure(f"p2v-tui had not ended after {CONVERSION_SECONDS / 60:.0f} minutes.")


def _ended(number: int, _frame: FrameType | None) -> None:
    # As an exception, so that everything is cleaned up.
    sys.exit(128 + number)


def main() -> int:
    """Convert a small real Debian disk with p2v-tui and boot the result."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.demo", description=main.__doc__)
    default = cache_directory() / "converted"
    parser.add_argument(
        "--output", type=Path, default=default, help=f"where the converted guest goes (default: {default}; replaced)"
    )
    parser.add_argument("--two-disks", action="store_true", help="convert a second disk with the first")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGHUP, _ended)
    kinds = [GuestDisk.SYSTEM, GuestDisk.DATA] if arguments.two_disks else [GuestDisk.SYSTEM]
    try:
        demo(arguments.output.absolute(), kinds)
    except LabFailure as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo was interrupted; nothing of it is left running.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
