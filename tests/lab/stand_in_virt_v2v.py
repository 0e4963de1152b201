"""Runs on the conversion server instead of virt-v2v: reads the disks as virt-v2v 2.2 does, but converts nothing.

    stand_in_virt_v2v.py SETTINGS_FILE (virt-v2v's arguments, physical.xml last)

`stand_in.py` starts it with the server's own Python, without packages. It prints virt-v2v's phases with real times,
holds one NBD connection per disk from the first phase to the end as virt-v2v does, copies with nbdcopy, and fails
with virt-v2v's messages. It reads the settings file again at each phase, and writes its events as JSON lines into the
events file. Commands and messages: lib/nbdkit.ml, input/input_libvirt.ml, output/output.ml and v2v/v2v.ml of
virt-v2v 2.2.0.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

# The phases between the source's and the destination's, in which virt-v2v works on the guest.
CONVERSION_PHASES = (
    "Inspecting the source",
    "Checking for sufficient free disk space in the guest",
    "Converting a stand-in for a guest to run on KVM",
    "Mapping filesystem data to avoid copying unused and blank areas",
    "Closing the overlay",
    "Assigning disks to buses",
    "Checking if the guest needs BIOS or UEFI to boot",
)
# A sample of the debugging output of virt-v2v, libguestfs, its appliance's kernel and nbdkit.
NOISE = (
    b'libguestfs: trace: v2v: internal_feature_available "inotify"\n'
    b"guestfsd: => internal_feature_available (0x1ca) took 0.00 secs\n"
    b"commandrvf: stdout=n stderr=y flags=0x0\ncommandrvf: udevadm --debug settle\n"
    b"[    1.234567] EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.\r\n"
    b"nbdkit: nbd.1: debug: cow: pread count=32768 offset=1234567 flags=0x0\n"
) * 256
# Unix sockets in the directory that virt-v2v makes for them.
SOURCE, DESTINATION = "in{}", "out{}"
_LAST_WORDS_SECONDS = 5.0
_START_SECONDS = 30.0
_POLL_SECONDS = 0.02
_ON_REQUEST = "If reporting bugs, run virt-v2v with debugging enabled and include the complete output:"
_NO_APPLIANCE = """\
libguestfs error: guestfs_launch failed.
This usually means the libguestfs appliance failed to start or crashed.
Do:
  export LIBGUESTFS_DEBUG=1 LIBGUESTFS_TRACE=1
and run the command again.  For further information, read:
  http://libguestfs.org/guestfs-faq.1.html#debugging-libguestfs
You can also run 'libguestfs-test-tool' and post the *complete* output
into a bug report or message to the libguestfs mailing list."""


class Failure(Exception):
    """The text is what virt-v2v would print after `virt-v2v: error: `."""


class StandIn:
    """One conversion."""

    def __init__(self, settings: Path, arguments: Sequence[str]) -> None:
        self._settings_file = settings
        self._arguments = arguments
        self._colours = not {"--colours", "--colors", "--colour", "--color"}.isdisjoint(arguments)
        self._started = time.monotonic()
        self._servers: list[subprocess.Popen[bytes]] = []

    def run(self) -> None:
        """Raises Failure."""
        self.note("start")
        if "?" in self._arguments:
            print("  -oo compressed      Compress the output file (used only with -of qcow2)")
            return
        description = Path(self._arguments[-1])
        self._phase(f"Setting up the source: -i libvirtxml {description}")
        name, ports = read_description(description)
        if (most := self._setting("most_disks")) is not None:
            for _ in ports[most:]:
                self.warn("<disk type='network'> with <source protocol='nbd'> was ignored")
            ports = ports[:most]
        for warning in self._setting("warnings"):
            self.warn(warning)
        with tempfile.TemporaryDirectory(prefix="v2v.") as sockets:
            try:
                self._copy(name, ports, Path(sockets))
            finally:
                self._end_servers()
        self.note("end")

    def note(self, event: str) -> None:
        """Adds a line to the events file. Its clock is the monotonic one, which all processes of a machine share."""
        line = json.dumps({"event": event, "at": time.monotonic(), "pid": os.getpid()})
        with Path(self._setting("events")).open("a") as events:
            events.write(f"{line}\n")

    def fail(self, error: Failure) -> None:
        red, normal = self._colour("1;31")
        print(f"{red}virt-v2v: error: {error}\n\n{_ON_REQUEST}\n\n  virt-v2v -v -x [...]{normal}", file=sys.stderr)

    def warn(self, text: str) -> None:
        blue, normal = self._colour("1;34")
        print(f"{blue}virt-v2v: warning: {text}{normal}", file=sys.stderr)

    def _copy(self, name: str, ports: Sequence[int], sockets: Path) -> None:
        # As in virt-v2v, wrong options are reported long before the destination is set up (parse_options).
        storage = self._storage() if self._setting("writes") else None
        rate = self._setting("rate")
        limit = ["--filter", "rate"] if rate else []
        for number, port in enumerate(ports):
            source = ["nbd", "hostname=localhost", f"port={port}", "shared=true"]
            # In bits. The default allows bursts of two seconds.
            source += [f"rate={rate * 8}", "burstiness=0.25"] if rate else []
            self._serve(sockets / SOURCE.format(number), "--filter", "cow", *limit, *source)
        self._phase("Opening the source")
        # As libguestfs does. A running nbdkit proves nothing, since it is ready before it connects to the disk.
        for number, server in enumerate(self._servers):
            try:
                self._size(sockets / SOURCE.format(number), _NO_APPLIANCE)
            except Failure:
                # An nbdkit that was refused prints an error and ends. libguestfs takes longer to give up.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(_LAST_WORDS_SECONDS)
                raise
        for phase in CONVERSION_PHASES:
            self._phase(phase)
            if error := self._setting("fails"):
                raise Failure(error)
        mode = self._option("-o") or "libvirt"
        self._phase(f"Setting up the destination: -o {mode}" + (f" -os {storage}" if storage else ""))
        destinations = []
        for number in range(len(ports)):
            destinations.append("null:")
            if storage is not None:
                size = self._size(sockets / SOURCE.format(number), "nbdinfo failed, see earlier error messages")
                file = storage / f"{name}-sd{chr(ord('a') + number)}"
                with file.open("wb") as created:
                    created.truncate(size)
                self._serve(sockets / DESTINATION.format(number), "file", f"file={file}", "cache=none")
                destinations[-1] = uri(sockets / DESTINATION.format(number))
        for number, destination in enumerate(destinations):
            self._phase(f"Copying disk {number + 1}/{len(ports)}")
            source_uri = uri(sockets / SOURCE.format(number))
            copy = ["nbdcopy", source_uri, destination, "--requests=64", "--flush", "--progress"]
            if subprocess.run(copy, stdin=subprocess.DEVNULL, check=False).returncode != 0:
                raise Failure("nbdcopy command failed, see earlier error messages")
        self._phase("Creating output metadata")
        if storage is not None:
            (storage / f"{name}.xml").write_text(f"<domain type='kvm'><name>{name}</name></domain>\n")
            for lost in self._setting("loses"):
                (storage / lost).unlink()
        self._phase("Finishing off")

    def _phase(self, text: str) -> None:
        green, normal = self._colour("0;32")
        print(f"[{time.monotonic() - self._started:6.1f}] {green}{text}{normal}", flush=True)
        self.note(text)
        if text == CONVERSION_PHASES[2]:
            self._make_noise(self._setting("noise"))
        for pause in self._setting("pauses"):
            if text.startswith(pause["phase"]):
                time.sleep(pause["seconds"])
                # The settings are read again, so that tests can end the pause by changing them.
                while pause["until"] and not Path(pause["until"]).exists() and pause in self._setting("pauses"):
                    time.sleep(_POLL_SECONDS)

    def _make_noise(self, size: int) -> None:
        """Writes so many bytes of virt-v2v -v -x's output, as fast as possible."""
        while size > 0:
            size -= os.write(sys.stderr.fileno(), NOISE[:size])

    def _serve(self, socket: Path, *plugin: str) -> None:
        """Starts an nbdkit as virt-v2v does and waits until it is ready. Raises Failure if it does not start."""
        ready = socket.with_suffix(".pid")
        command = ["nbdkit", "--exit-with-parent", "--foreground", "--pidfile", str(ready), "--unix", str(socket)]
        command += ["--threads", "16", "-D", "nbdkit.backend.datapath=0", *plugin]
        self._servers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, "LANG": "C"}))
        deadline = time.monotonic() + _START_SECONDS
        while not ready.exists():
            if self._servers[-1].poll() is not None or time.monotonic() > deadline:
                raise Failure(
                    "nbdkit did not start up.  There may be errors printed by nbdkit above.\n\nIf the messages above "
                    "are not sufficient to diagnose the problem then add the \u2018virt-v2v -v -x\u2019 options and "
                    "examine the debugging output carefully."
                )
            time.sleep(_POLL_SECONDS)

    def _end_servers(self) -> None:
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            server.wait()

    def _storage(self) -> Path:
        storage = self._option("-os")
        if storage is None:
            raise Failure("-o disk: output directory was not specified, use '-os /dir'")
        if not Path(storage).is_dir():
            raise Failure(f"-os {storage}: output directory does not exist or is not a directory")
        return Path(storage)

    def _size(self, socket: Path, failure: str) -> int:
        """The size of an nbdkit's disk in bytes. Raises Failure with the text if it cannot be opened."""
        command = ["nbdinfo", "--size", uri(socket)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Failure(failure)
        return int(done.stdout)

    def _option(self, name: str) -> str | None:
        return self._arguments[self._arguments.index(name) + 1] if name in self._arguments else None

    def _setting(self, name: str) -> Any:
        return json.loads(self._settings_file.read_text())[name]

    def _colour(self, code: str) -> tuple[str, str]:
        return (f"\033[{code}m", "\033[0m") if self._colours else ("", "")


def read_description(file: Path) -> tuple[str, list[int]]:
    """The guest's name, and each disk's NBD port in the order of physical.xml. Raises Failure."""
    try:
        domain = ET.parse(file).getroot()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    except ET.ParseError as error:
        raise Failure("internal error: invalid argument: parse_memory: unable to parse XML") from error
    hosts = domain.findall("devices/disk[@device='disk']/source[@protocol='nbd']/host[@name='localhost']")
    if not hosts:
        raise Failure("source has no hard disks!")
    return domain.findtext("name", ""), [int(host.get("port", "0")) for host in hosts]


def uri(socket: Path) -> str:
    """The URI that virt-v2v passes to nbdcopy."""
    return f"nbd+unix:///?socket={socket}"


def main(settings: str, *arguments: str) -> int:
    """Returns virt-v2v's exit code: 0 or 1, also after a signal."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        print(f"virt-v2v: Exiting on signal {signal.Signals(number).name}", file=sys.stderr)
        # As an exception, so that everything is cleaned up.
        raise SystemExit(1)

    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        # Signals that were ignored at our start stay ignored, as in virt-v2v's wrapper.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    conversion = StandIn(Path(settings), arguments)
    try:
        conversion.run()
    except Failure as error:
        conversion.fail(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
