"""A small conversion server on loopback: a private sshd with its own host key, port, configuration and log.

All its files are in one directory, which is removed at the end. All sessions end with it, also those that detached
themselves (as a conversion does). Started as root it accepts any account, otherwise only the user who started it, by
key. virt-v2v, nbdkit and the shells are this machine's real ones. sshd alone can be stopped and started again, also
with another host key, and the whole server can be rebooted.

`identity` makes a key pair. The accounts to log in to are in `accounts.py`.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tests.lab.commands import LabFailure, last_lines, program, run_command
from tests.lab.kvm import libguestfs_environment
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import end_within, kill, runs
from tests.lab.waiting import happens

_START_SECONDS = 20.0
_TOOL_SECONDS = 30.0
# virt-v2v takes a moment to remove its temporary files after SIGTERM.
_END_SECONDS = 5.0

# 36 is PR_SET_CHILD_SUBREAPER.
_BECOME_SUBREAPER = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
# From OpenSSH 9.8 on each connection has a program of its own, from 10.0 on its login, too.
_SSHD = ("sshd", "sshd-session", "sshd-auth")
# A shell that outlives sshd, and with it the mount namespace: a line starts sshd, and SIGKILL ends sshd. Orphans of
# the sessions become its children.
_HOLD = "while read -r line; do {sshd}; test $? -eq 137 || exit; done"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Authentication(enum.Enum):
    """How to log in. Authorized keys are accepted with all of them."""

    PASSWORD = "password"
    # By PAM, whose prompt is "(user@host) Password: " instead of "user@host's password: ".
    KEYBOARD_INTERACTIVE = "keyboard-interactive"
    PUBLIC_KEY = "publickey"


@dataclass(frozen=True)
class Identity:
    """The files of a key pair."""

    private_key: Path
    public_key: Path

    @property
    def url(self) -> str:
        """The private key as a file: URL."""
        return self.private_key.absolute().as_uri()


def identity(directory: Path, *, name: str = "identity", passphrase: str = "") -> Identity:
    """Make an ed25519 key pair in `directory`, encrypted if a passphrase is given."""
    private_key = directory / name
    arguments = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "p2v-tui laboratory"]
    run_command([*arguments, "-f", private_key], timeout=_TOOL_SECONDS)
    return Identity(private_key, private_key.with_name(f"{name}.pub"))


class ConversionServer:
    """A running sshd on loopback, with all that belongs to it. A context manager.

    authentication: how to log in.
    authorized: files of public keys that are accepted for every account.
    banner: shown before the login. sshd_options: more lines of sshd_config, which override ours.
    environment: set in every session, besides what libguestfs needs here.
    tmp_size: gives sessions an empty /tmp of so many bytes (root only).
    hide: files that sessions do not see, such as /usr/bin/virt-v2v (root only).
    replace: the replacements of files in sessions, by path (root only); stand_in.py has one for virt-v2v.
    root: another system's root file system instead of this machine's (root only); releases.py makes some. It is not
    written to.
    shown: directories of this machine that are also visible in that root, at the same path.

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
        """Start sshd (again) on its port. Raises LabFailure with sshd's log if it does not start."""
        if self._machine is None:
            self._machine = self._boot()
        assert self._machine.stdin
        self._machine.stdin.write(b"\n")
        machine = self._machine
        # Only systemd is notified when sshd listens.
        started = happens(lambda: machine.poll() is not None or self._greets(), _START_SECONDS)
        if not started or machine.poll() is not None:
            self.stop()
            raise LabFailure(f"sshd did not start on port {self.port}.\n{last_lines(self.log_text())}")

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
        """End sshd and all connections; detached processes keep running. `start` brings sshd back."""
        kill(self.sshd_processes())

    def reboot(self) -> None:
        """Kill everything on the server and start sshd again, with another boot id.

        A /tmp with a `tmp_size` is empty afterwards. Root only.
        """
        self.stop_sshd()
        kill(self._processes())
        self.stop()
        self._boots += 1
        self.start()

    def change_host_key(self) -> None:
        """Make another host key for the next start of sshd, as on a server that was reinstalled."""
        for old in (self.directory / "host_key", self.host_key_path):
            old.unlink(missing_ok=True)
        identity(self.directory, name="host_key")
        listed = run_command(["ssh-keygen", "-l", "-E", "sha256", "-f", self.host_key_path], timeout=_TOOL_SECONDS)
        self.fingerprint = listed.split()[1]

    def end_sessions(self) -> None:
        """End all processes of all sessions; their connections drop, sshd keeps running."""
        for send, seconds in (("terminate", _END_SECONDS), ("kill", _END_SECONDS), ("kill", _END_SECONDS)):
            processes = self.session_processes()
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(process, send)()
            end_within(seconds, processes)
        if left := self.session_processes():
            raise LabFailure(f"These processes of the conversion server cannot be ended: {left}")

    def session_processes(self) -> list[psutil.Process]:
        """The processes of all sessions, including sshd's process for each connection."""
        listener = self.directory / "sshd.pid"
        number = listener.read_text().strip() if listener.exists() else ""
        return [process for process in self._processes() if str(process.pid) != number]

    def sshd_processes(self) -> list[psutil.Process]:
        """sshd itself, and its own processes for each connection."""
        found = []
        for process in self._processes():
            # It may end while it is looked at.
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() in _SSHD:
                    found.append(process)
        return found

    def cpu_seconds(self) -> float:
        """The CPU time, user and system, of all processes of the server so far. Wrong while a process is ending."""
        assert self._machine is not None
        machine = psutil.Process(self._machine.pid)
        # Each includes its children that have ended.
        return sum(sum(process.cpu_times()[:4]) for process in (machine, *machine.children(recursive=True)))

    def _processes(self) -> list[psutil.Process]:
        """All processes of the server, including sshd."""
        if self._machine is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._machine.pid).children(recursive=True)
            return [process for process in children if runs(process)]
        return []

    def log_text(self) -> str:
        """What sshd has logged so far."""
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
                # Another process took the port first.
                if attempt == 4 or "Address already in use" not in self.log_text():
                    raise
        return None

    def _boot(self) -> subprocess.Popen[bytes]:
        """Starts the process that all others of the server descend from. sshd does not run yet."""
        # sshd needs its own absolute path and, as root, a directory that its package's service would have made.
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        sshd = [program("sshd"), "-D", "-f", str(self._write_configuration()), "-E", str(self.log_path)]
        hold = ["/bin/sh", "-c", _HOLD.format(sshd=f"{shlex.join(sshd)} </dev/null")]
        return subprocess.Popen(
            # As a subreaper it adopts detached sessions, so that we can find them. The setting survives exec. A
            # preexec_fn would be unsafe in a process with threads.
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
            *self._sshd_options,  # For sshd the first value counts.
            f"ListenAddress {self.host}:{self.port}",
            f"HostKey {self.directory / 'host_key'}",
            f"AuthorizedKeysFile {self.directory / 'authorized_keys'}",
            f"PidFile {self.directory / 'sshd.pid'}",
            # The keys are in a directory below one that everybody may write to.
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
            # For scp. The one built into sshd works on all distributions, whereas sftp-server's path differs.
            "Subsystem sftp internal-sftp",
        ]
        # Tests open many connections at once and fail to log in on purpose. For this option the last value counts.
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
        """The command, if necessary in a new mount namespace with another root or /tmp, or with replaced files."""
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
                    # In an overlay a character device 0/0 hides the file of this name in the lower layer.
                    script.append(f"test -e {shlex.quote(str(name))} || mknod {shlex.quote(str(name))} c 0 0")
            script.append(f"mount -t overlay -o lowerdir={layer}:{base}{place} overlay {base}{place}")
        if len(script) == 1:
            return list(command)
        script.append(f"exec {shlex.join([*(['chroot', base] if base else []), *command])}")
        return [program("unshare"), "--mount", "--propagation", "private", "sh", "-c", "\n".join(script)]

    def _base(self, script: list[str]) -> str:
        """The sessions' root directory, empty for this machine's own; adds the commands that mount it to `script`."""
        if self._root is None:
            return ""
        base = self.directory / "root"
        # After a reboot the server finds what was written before.
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
