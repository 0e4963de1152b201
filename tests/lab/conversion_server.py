"""A small conversion server on loopback: a private sshd with its own host key, port, configuration and log.

What it makes is in one directory that is removed at the end, and every session that it spawned is ended with it,
also one that detached itself (a conversion does). As root it lets any account in; as an ordinary user only that
user, by key. virt-v2v, nbdkit and the shells are this machine's real ones. sshd alone can be stopped and started
again, with another host key too, and the whole server can be rebooted.

`identity` makes a key pair. Not here: the accounts to log in to (`accounts.py`), and anything that p2v-tui does.
"""

from __future__ import annotations

import contextlib
import enum
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tests.lab.commands import LabFailure, last_lines, program, run_command
from tests.lab.kvm import libguestfs_environment
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import kill, runs

_START_SECONDS = 20.0
_TOOL_SECONDS = 30.0
# virt-v2v removes its temporary files when it is asked to end; that takes it a moment.
_END_SECONDS = 5.0

# 36 is PR_SET_CHILD_SUBREAPER.
_BECOME_SUBREAPER = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
# A shell that outlives sshd: a line starts sshd, KILL ends it. What sessions leave behind becomes its child, and what
# it sees of the file system outlives sshd too.
_HOLD = "while read -r line; do {sshd}; test $? -eq 137 || exit; done"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Authentication(enum.Enum):
    """How the server lets people in; a key is accepted besides a password where one was authorized."""

    PASSWORD = "password"
    # Through PAM, which asks "(user@host) Password: " instead of "user@host's password: ".
    KEYBOARD_INTERACTIVE = "keyboard-interactive"
    PUBLIC_KEY = "publickey"


@dataclass(frozen=True)
class Identity:
    """A key pair: private_key and public_key are its files."""

    private_key: Path
    public_key: Path

    @property
    def url(self) -> str:
        """The private key as a file: URL."""
        return self.private_key.absolute().as_uri()


def identity(directory: Path, *, name: str = "identity", passphrase: str = "") -> Identity:
    """Make an ed25519 key pair in `directory`; encrypted when a passphrase is given."""
    private_key = directory / name
    arguments = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "p2v-tui laboratory"]
    run_command([*arguments, "-f", private_key], timeout=_TOOL_SECONDS)
    return Identity(private_key, private_key.with_name(f"{name}.pub"))


class ConversionServer:
    """A running sshd on loopback, and everything that belongs to it. Use it as a context manager.

    authentication: how people log in.
    authorized: public key files that open every account that may log in.
    banner: shown before the login. sshd_options: further lines of sshd_config, which win over our own.
    environment: set in every session, beside what libguestfs needs here.
    tmp_size: sessions see an empty /tmp of so many bytes (root only).
    hide: files that sessions do not find, such as /usr/bin/virt-v2v (root only).
    replace: files that sessions find others in place of, by path (root only); stand_in.py has one for virt-v2v.
    root: of another system in place of this machine's (root only); releases.py makes some. Nothing is written to it.
    shown: directories of this machine that sessions see there too, at the same path.

    After the start: host, port, fingerprint ("SHA256:..."), host_key_path (the public key), log_path, directory.
    """

    def __init__(
        self,
        *,
        authentication: Authentication = Authentication.PUBLIC_KEY,
        authorized: Sequence[Path] = (),
        banner: str = "",
        sshd_options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        tmp_size: int | None = None,
        hide: Sequence[str] = (),
        replace: Mapping[str, Path] | None = None,
        root: Path | None = None,
        shown: Sequence[Path] = (),
    ) -> None:
        of_root = authentication is not Authentication.PUBLIC_KEY or tmp_size or hide or replace or root
        if os.geteuid() != 0 and of_root:
            raise LabFailure("Without root the conversion server knows only keys, and this machine's own files.")
        self.host = LOOPBACK
        self.port = 0
        self.fingerprint = ""
        self._authentication = authentication
        self._authorized = tuple(authorized)
        self._banner = banner
        self._sshd_options = tuple(sshd_options)
        self._environment = dict(environment or {})
        self._tmp_size = tmp_size
        self._hide = tuple(hide)
        self._replace = dict(replace or {})
        self._root = root
        self._shown = tuple(shown)
        self._boots = 0
        self._machine: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # Not in /tmp, which `tmp_size` replaces.
        self.directory = Path(tempfile.mkdtemp(prefix="p2v-tui-server-", dir="/var/tmp"))
        self.host_key_path = self.directory / "host_key.pub"
        self.log_path = self.directory / "sshd.log"
        try:
            # Every account must get at its authorized keys, nobody needs to list the directory.
            self.directory.chmod(0o711)
            self.change_host_key()
            keys = self.directory / "authorized_keys"
            keys.write_text("".join(key.read_text() for key in self._authorized))
            keys.chmod(0o644)
            self._start_on_a_free_port()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def start(self) -> None:
        """Start sshd (again) on the port that it has. Raises LabFailure with its log when it does not come up."""
        if self._machine is None:
            self._machine = self._boot()
        assert self._machine.stdin
        self._machine.stdin.write(b"\n")
        deadline = time.monotonic() + _START_SECONDS
        while not self._greets():
            if self._machine.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise LabFailure(f"sshd did not start on port {self.port}.\n{last_lines(self.log_text())}")
            time.sleep(0.02)  # sshd has no event for "I listen now" that does not need systemd.

    def stop(self) -> None:
        """End sshd and every process of every session. `start` brings sshd back on the same port."""
        if self._machine is None:
            return
        if self._machine.poll() is None:
            self.stop_sshd()
            self.end_sessions()
            self._machine.kill()
        self._machine.communicate()
        self._machine = None

    def stop_sshd(self) -> None:
        """End sshd and all connections; what detached itself from its session goes on. `start` brings sshd back."""
        kill([process for process in self._processes() if process.name() == "sshd"])

    def reboot(self) -> None:
        """Everything that runs there ends at once; sshd is back when this returns, in another boot of the machine.

        A /tmp with a `tmp_size` is empty then. Root only.
        """
        self.stop_sshd()
        kill(self._processes())
        self.stop()
        self._boots += 1
        self.start()

    def change_host_key(self) -> None:
        """From the next start of sshd on it has another host key, as a server that was reinstalled."""
        for old in (self.directory / "host_key", self.host_key_path):
            old.unlink(missing_ok=True)
        identity(self.directory, name="host_key")
        listed = run_command(["ssh-keygen", "-l", "-E", "sha256", "-f", self.host_key_path], timeout=_TOOL_SECONDS)
        self.fingerprint = listed.split()[1]

    def end_sessions(self) -> None:
        """End every process that anybody who logged in has started; connections drop, sshd stays."""
        for send, seconds in (("terminate", _END_SECONDS), ("kill", _END_SECONDS), ("kill", _END_SECONDS)):
            processes = self.session_processes()
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(process, send)()
            deadline = time.monotonic() + seconds
            while any(map(runs, processes)) and time.monotonic() < deadline:
                time.sleep(0.02)  # They are not our children: there is nothing to wait for.
        if left := self.session_processes():
            raise LabFailure(f"These processes of the conversion server cannot be ended: {left}")

    def session_processes(self) -> list[psutil.Process]:
        """The processes of all sessions, sshd's own process for each connection included."""
        listener = self.directory / "sshd.pid"
        number = listener.read_text().strip() if listener.exists() else ""
        return [process for process in self._processes() if str(process.pid) != number]

    def cpu_seconds(self) -> float:
        """The CPU time, user and system, of all that has run on the server so far; not for while something ends."""
        assert self._machine is not None
        machine = psutil.Process(self._machine.pid)
        # Each with those of its children that have ended.
        return sum(sum(process.cpu_times()[:4]) for process in (machine, *machine.children(recursive=True)))

    def _processes(self) -> list[psutil.Process]:
        """All that runs on the server, sshd included."""
        if self._machine is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._machine.pid).children(recursive=True)
            return [process for process in children if runs(process)]
        return []

    def log_text(self) -> str:
        """What sshd has logged so far; empty when it has not."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def known_hosts_line(self) -> str:
        """The server's host key as a line for known_hosts."""
        return f"[{self.host}]:{self.port} {self.host_key_path.read_text()}"

    def _start_on_a_free_port(self) -> None:
        for attempt in range(5):
            self.port = free_port()
            try:
                return self.start()
            except LabFailure:
                # Somebody was quicker to take the port.
                if attempt == 4 or "Address already in use" not in self.log_text():
                    raise
        return None

    def _boot(self) -> subprocess.Popen[bytes]:
        """What every process of the server descends from; sshd is not among them yet."""
        # sshd wants its own absolute path, and as root a directory that a package's service would have made.
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        sshd = [program("sshd"), "-D", "-f", str(self._write_configuration()), "-E", str(self.log_path)]
        hold = ["/bin/sh", "-c", _HOLD.format(sshd=f"{shlex.join(sshd)} </dev/null")]
        return subprocess.Popen(
            # A session that detaches itself then becomes this one's child instead of init's, where we find it. Kept
            # across exec, and not a preexec_fn, which is unsafe in a process with threads.
            [sys.executable, "-c", _BECOME_SUBREAPER, *self._in_own_view(hold)],
            stdin=subprocess.PIPE,
            bufsize=0,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def _greets(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self.port), timeout=_START_SECONDS) as connection,
        ):
            return connection.recv(4) == b"SSH-"
        return False

    def _write_configuration(self) -> Path:
        root = os.geteuid() == 0
        methods = self._authentication
        environment = {**libguestfs_environment(), **self._environment}
        lines = [
            *self._sshd_options,  # sshd takes the first value that it meets.
            f"ListenAddress {self.host}:{self.port}",
            f"HostKey {self.directory / 'host_key'}",
            f"AuthorizedKeysFile {self.directory / 'authorized_keys'}",
            f"PidFile {self.directory / 'sshd.pid'}",
            # The keys are in a temporary directory, whose parent everybody may write to.
            "StrictModes no",
            "LogLevel VERBOSE",
            f"UsePAM {_yes(root)}",
            f"PermitRootLogin {_yes(root)}",
            "PubkeyAuthentication yes",
            f"PasswordAuthentication {_yes(methods is Authentication.PASSWORD)}",
            f"KbdInteractiveAuthentication {_yes(methods is Authentication.KEYBOARD_INTERACTIVE)}",
            "AllowTcpForwarding yes",
            "AllowStreamLocalForwarding yes",
            "UseDNS no",
            "SetEnv " + " ".join(f'{name}="{value}"' for name, value in environment.items()),
            # scp needs it; the one built into sshd has no path that differs between distributions.
            "Subsystem sftp internal-sftp",
        ]
        # A test opens many connections at once, and fails on purpose to log in. Here sshd takes the last value.
        if not any(line.startswith("MaxStartups") for line in self._sshd_options):
            lines.append("MaxStartups 100")
        if not root:
            lines.append(f"AllowUsers {pwd.getpwuid(os.geteuid()).pw_name}")
        if self._banner:
            banner = self.directory / "banner"
            banner.write_text(self._banner)
            banner.chmod(0o644)
            lines.append(f"Banner {banner}")
        configuration = self.directory / "sshd_config"
        configuration.write_text("\n".join(lines) + "\n")
        return configuration

    def _in_own_view(self, command: Sequence[str]) -> list[str]:
        """The command, where asked for in a mount namespace of its own with another /tmp and some files changed."""
        script = ["set -e"]
        base = self._base(script)
        if self._tmp_size is not None:
            script.append(f"mount -t tmpfs -o size={self._tmp_size},mode=1777 tmpfs {base}/tmp")
        if self._boots:
            boot_id = self.directory / "boot_id"
            boot_id.write_text(f"00000000-0000-4000-8000-{self._boots:012}\n")
            script.append(f"mount --bind {boot_id} {base}{_BOOT_ID}")
        changed = (*self._hide, *self._replace)
        for place in sorted({str(Path(file).parent.resolve()) for file in changed}):
            layer = self.directory / f"layer{place.replace('/', '-')}"
            layer.mkdir(exist_ok=True)
            layer.chmod(0o755)
            for file in changed:
                if str(Path(file).parent.resolve()) != place:
                    continue
                name = layer / Path(file).name
                if file in self._replace:
                    shutil.copy(self._replace[file], name)
                else:
                    # In an overlay a character device 0/0 says that the file of this name below it is not there.
                    script.append(f"test -e {shlex.quote(str(name))} || mknod {shlex.quote(str(name))} c 0 0")
            script.append(f"mount -t overlay -o lowerdir={layer}:{base}{place} overlay {base}{place}")
        if len(script) == 1:
            return list(command)
        script.append(f"exec {shlex.join([*(['chroot', base] if base else []), *command])}")
        return [program("unshare"), "--mount", "--propagation", "private", "sh", "-c", "\n".join(script)]

    def _base(self, script: list[str]) -> str:
        """Where sessions have their root, empty for this machine's own; adds what makes it to the script."""
        if self._root is None:
            return ""
        base = self.directory / "root"
        # Another boot of the same server finds what the earlier one wrote.
        layers = [self.directory / name for name in ("root", "root.new", "root.work")]
        for layer in layers:
            layer.mkdir(exist_ok=True)
        script.append(
            f"mount -t overlay -o lowerdir={self._root},upperdir={layers[1]},workdir={layers[2]} overlay {base}"
        )
        script.append(f"mkdir -p {base}/run/sshd")
        for place in ("/proc", "/sys", "/dev", self.directory, *self._shown):
            script.append(f"mkdir -p {base}{place}; mount --rbind {place} {base}{place}")
        return str(base)

    def _remove(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
