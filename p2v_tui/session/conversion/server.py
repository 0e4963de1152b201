"""The conversion server as one run sees it: how to log in, and the connections to it.

Everything that this machine keeps of it (known hosts, the identity's copy, sockets) is in one private directory that
is gone when the run ends.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from p2v_tui.config import Settings, secrets_of
from p2v_tui.errors import ConnectionFailed, P2VError, Retry, SettingsError
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.kinds import AcceptedWarnings, Secret
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.conversion.machine_record import record_of
from p2v_tui.session.data.connection import DataConnection, Upkeep
from p2v_tui.session.data.nbd_server import find_program
from p2v_tui.session.data.path import DataPath
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight import find_virt_v2v
from p2v_tui.session.preflight.preflight import settle
from p2v_tui.session.preflight.server_checks import judge_server
from p2v_tui.session.preflight.server_facts import survey_server
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh import host_keys
from p2v_tui.session.ssh.fetch import Persistence
from p2v_tui.session.ssh.identity import fetch_identity, key_type
from p2v_tui.session.ssh.login import Login, PasswordSource, cipher_preference
from p2v_tui.session.ssh.login_environment import LoginEnvironment, ask_login_environment, ask_sudo
from p2v_tui.session.ssh.network import wait_for_network
from p2v_tui.session.ssh.reconnect import PASSING, open_again
from p2v_tui.session.ssh.shell import RemoteShell, cannot_store
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.checks import Verdict, of_verdict
from p2v_tui.session.words.events import (
    Checked,
    ConnectionStep,
    Event,
    HostKeyLearnt,
    Report,
    ServerVersion,
    Status,
    StepDone,
    StepStarted,
    Warned,
)
from p2v_tui.session.words.quantities import duration_text

# Of the disk that a connection test is made with, in bytes, and for how many seconds its relay waits for it.
SCRATCH_SIZE: Final = 1 << 20
SCRATCH_PATIENCE: Final = 60
# For how long, in seconds, a first connection that sshd drops is tried again by whoever has no patience else.
DROP_PATIENCE: Final = 20.0
# sshd drops logins at random from ten on that are not complete (sshd_config(5), MaxStartups).
LOGINS_AT_ONCE: Final = 4

AskPassword = Callable[[str], Secret | None]
AcceptHostKey = Callable[[str], bool]


class ConversionServer:
    """A context manager. Until it is left the host key cannot change and a typed password is remembered.

    ask_password: called once, with ssh's question, where the server wants a password and none was given.
    accept_host_key: called with the fingerprint of a key that is not pinned; without it the first one is taken.
    patience: for how many seconds what the network does not give at first is asked for again: an identity, and the
    first connection.
    workspace: of an earlier run whose conversion goes on; its host key and identity hold.
    """

    def __init__(
        self,
        settings: Settings,
        report: Report,
        cancellation: Cancellation,
        *,
        cpu_has_aes: bool,
        ask_password: AskPassword | None = None,
        accept_host_key: AcceptHostKey | None = None,
        workspace: Workspace | None = None,
        patience: float = 0.0,
    ) -> None:
        if settings.server is None:
            raise SettingsError("No conversion server is given.", "Give p2v.server=HOST.", setting="remote.server")
        self.sudo = settings.sudo and settings.username != "root"
        self._settings = settings
        self._host = settings.server.strip("[]")
        self._report = report
        self._cancellation = cancellation
        self._accept_host_key = accept_host_key
        self._ciphers = cipher_preference(cpu_has_aes)
        # The identity overrides the password, and there is no falling back.
        self._passwords = PasswordSource(
            None if settings.identity_url else settings.password, None if settings.identity_url else ask_password
        )
        self.workspace = workspace or Workspace()
        self._login: Login | None = None
        self._shell: RemoteShell | None = None
        self._patience = patience
        # A conversion that goes on has a login that worked, and its own way to wait for the server.
        self._let_in = workspace is not None
        # virt-v2v has its own by then.
        self._environment: LoginEnvironment | None = LoginEnvironment({}) if workspace else None
        self.sudo_keeps: tuple[str, ...] = ()
        self._logins = threading.Semaphore(LOGINS_AT_ONCE)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not show in anything that is written or sent."""
        return (*secrets_of(self._settings), *self._passwords.secrets)

    @property
    def persistence(self) -> Persistence:
        """For what has to be fetched."""
        return Persistence(self._patience, self._report, self._cancellation)

    def prepare(self) -> None:
        """Gets the identity, which a login needs. Raises ConnectionFailed where it cannot."""
        self._ready_login()

    def attend(self, report: Report, cancellation: Cancellation) -> None:
        """Reports there from now on, and is cancelled by that: a test and a conversion have their own."""
        self._report = report
        self._cancellation = cancellation

    def shell(self, cancelled_by: Cancellation | None = None) -> RemoteShell:
        """The control connection: the one that is open, else a new one.

        cancelled_by: in place of the session's, where something has to be done because of a cancellation. Raises
        ConnectionFailed, PreflightRefused, Cancelled; LocalFailure where this machine has no room to write.
        """
        cancellation = cancelled_by or self._cancellation
        if self._shell is not None and not self._shell.usable:
            self.drop_shell()
        if self._shell is None:
            self._shell = self._open_shell(cancellation)
            self._let_in = True
        self._shell.attend(cancellation)
        return self._shell

    def _give_environment(self, shell: RemoteShell) -> None:
        """What the account's start-up files set, to the shell that virt-v2v will be started from."""
        if self._environment is None:
            user = self._settings.username
            self._environment = ask_login_environment(shell)
            if self._environment.skipped:
                self._report(
                    Warned(
                        f"virt-v2v runs without what the profile of {user} sets: {self._environment.skipped}. To see "
                        "why, run there: $SHELL -l -c env </dev/null"
                    )
                )
        if self._environment.variables:
            shell.export(self._environment.variables)

    def _open_shell(self, cancellation: Cancellation) -> RemoteShell:
        """A new one. The first is tried again here; who loses it later knows better what to do meanwhile."""
        login = self._ready_login()

        def log_in() -> RemoteShell:
            if self._settings.hostkey and not login.known_hosts.exists():
                return host_keys.open_pinned(
                    login, self._settings.hostkey, lambda pinned: RemoteShell(pinned, cancellation)
                )
            return RemoteShell(login, cancellation)

        def open_it() -> RemoteShell:
            shell = log_in()
            try:
                host_keys.check_stored(self.workspace.known_hosts)
                self._give_environment(shell)
            except BaseException:
                shell.close()
                raise
            return shell

        if self._let_in:
            return open_it()
        patience = max(self._patience, DROP_PATIENCE)
        return open_again(
            open_it,
            patience=patience,
            wait=cancellation.wait,
            on_failure=lambda error: self._report(Warned(self._words_of_trying(error, patience))),
            # Whoever watches is told of an outage at once; that sshd drops one login of many, passes.
            worthwhile=PASSING if self._patience else {Retry.SOON},
        )

    @staticmethod
    def _words_of_trying(error: P2VError, patience: float) -> str:
        return f"{error.message} Trying again for up to {duration_text(patience)}. {error.advice}"

    @property
    def connected(self) -> bool:
        """Whether the control connection is open, as far as this end knows."""
        return self._shell is not None and self._shell.usable

    def drop_shell(self) -> None:
        """Closes the control connection: the next one is a new one."""
        if self._shell is not None:
            self._shell.close()
            self._shell = None

    def data_connection(
        self,
        program: str,
        disk: Disk,
        number: int,
        *,
        directory: RemoteDirectory | None,
        tell: Callable[[Event], None],
        generation: int,
        patience: float | None = None,
    ) -> DataConnection:
        """One that is not open yet. program: the NBD server's. directory: where a relay waits for it, if one does.
        patience: in seconds, in place of the settings'.

        Raises as `prepare` does.
        """
        return DataConnection(
            disk,
            number,
            program=program,
            login=self._ready_login(),
            workspace=self.workspace,
            upkeep=Upkeep(directory, self._settings.reconnect if patience is None else patience, self._logins, tell),
            generation=generation,
        )

    def test_connection(self, *, rehearse: bool = True) -> VirtV2V:
        """Waits for the network, logs in, asks virt-v2v what it is, and checks what needs no plan.

        rehearse: also reads a scratch disk through a tunnel, as virt-v2v will read the real ones. Each step is
        reported. Raises as `shell` does.
        """
        settings = self._settings
        self._report(StepStarted(ConnectionStep.NETWORK, "Looking for a network address"))
        wait_for_network(self._host, self._report, self._cancellation)
        self._report(StepDone(ConnectionStep.NETWORK, "ready"))
        login = self._ready_login()
        self._report(StepStarted(ConnectionStep.HOST_KEY, f"Connecting to {self._host} port {settings.port}"))
        if login.known_hosts.exists():
            self._host_key_done("the known one only")
        self.shell()
        self._report(StepDone(ConnectionStep.LOGIN, f"as {settings.username}"))
        found = open_again(
            lambda: self.examine(self.shell()),
            patience=self._patience,
            wait=self._cancellation.wait,
            on_failure=lambda error: self._report(Warned(self._words_of_trying(error, self._patience))),
            let_in_before=True,
            after_success=True,
        )
        shell = self.shell()
        if rehearse:
            self._report(StepStarted(ConnectionStep.FORWARDING, "Testing a read through the tunnel"))
            self._rehearse(shell)
            self._report(StepDone(ConnectionStep.FORWARDING, "a disk can be read through it"))
            self._report(StepStarted(ConnectionStep.PREFLIGHT, "Looking at the server's programs, space and memory"))
            checks = judge_server(
                survey_server(shell, None, sudo=self.sudo, kept=self.sudo_keeps), found, None, time.time()
            )
            for check in checks:
                self._report(Checked(check))
            # Warnings are for the moment when the conversion is to start: then they are judged with its plan.
            settle(checks, AcceptedWarnings(every=True))
            warned = len(of_verdict(checks, Verdict.WARNING))
            self._report(StepDone(ConnectionStep.PREFLIGHT, f"{warned} warnings" if warned else "passed"))
        return found

    def _rehearse(self, shell: RemoteShell) -> None:
        """Serves a scratch disk through a tunnel, and has it read from the server's side.

        Raises PreflightRefused where that does not work.
        """
        scratch = self.workspace.path / "scratch.img"
        with scratch.open("wb") as file:
            file.truncate(SCRATCH_SIZE)
        directory = RemoteDirectory.new(datetime.date.today())
        disk = Disk("the scratch disk", scratch, SCRATCH_SIZE)
        record = record_of([disk], "", self.workspace.path)
        made = shell.run(remote_commands.make_directory(directory, record.text))
        if made.status != 0:
            raise cannot_store(directory.path, made)
        data = DataPath(
            [disk],
            directory,
            functools.partial(self.data_connection, find_program(self._settings.nbd), patience=DROP_PATIENCE),
            patience=SCRATCH_PATIENCE,
        )
        try:
            data.open(shell)
            data.wait_until_open(self._cancellation)
            data.check_reach(shell, self._cancellation)
        finally:
            data.close()
            with contextlib.suppress(ConnectionFailed):
                shell.run(remote_commands.stop_wrapper(directory, sudo=False), cancellable=False)
                shell.run(remote_commands.remove_directory(directory), cancellable=False)

    def examine(self, shell: RemoteShell) -> VirtV2V:
        """What virt-v2v can do there. Raises PreflightRefused where it is missing, too old or not permitted."""
        user = self._settings.username
        self._report(StepStarted(ConnectionStep.VERSION, "Logged in; asking virt-v2v for its version and features"))
        version = find_virt_v2v.ask_version(shell, sudo=self.sudo, user=user)
        self._report(StepDone(ConnectionStep.VERSION, version))
        if self.sudo:
            passed = ask_sudo(shell)
            self.sudo_keeps = passed.kept
            if passed.lost:
                self._report(
                    Warned(
                        f"sudo on the conversion server does not pass {', '.join(passed.lost)} on to virt-v2v. "
                        f"{passed.advice(user)}"
                    )
                )
        if self.sudo and (lacking := find_virt_v2v.missing_kill(shell, user)):
            self._report(Warned(lacking))
        found = find_virt_v2v.ask_features(shell, version, sudo=self.sudo, user=user)
        self._report(StepDone(ConnectionStep.FEATURES, f"output modes {', '.join(found.output_modes)}"))
        self._report(ServerVersion(found.version, found.output_modes))
        return found

    def _host_key_done(self, text: str) -> None:
        self._report(StepDone(ConnectionStep.HOST_KEY, text))
        self._report(StepStarted(ConnectionStep.LOGIN, f"Logging in as {self._settings.username}"))

    def close(self) -> None:
        self.drop_shell()
        self.workspace.close()

    def __enter__(self) -> ConversionServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ready_login(self) -> Login:
        if self._login is None:
            settings = self._settings
            if settings.identity_url is not None and not self.workspace.identity.exists():
                self._report(Status(f"Getting the SSH identity from {without_secrets(settings.identity_url)}"))
                fetch_identity(settings.identity_url, self.workspace.identity, self.persistence)
            self._cancellation.check()
            self._login = Login(
                host=self._host,
                port=settings.port,
                user=settings.username,
                known_hosts=self.workspace.known_hosts,
                ciphers=self._ciphers,
                passwords=self._passwords,
                accept_host_key=self._decide_on_host_key,
                identity=self.workspace.identity if settings.identity_url else None,
                key_type=key_type(self.workspace.identity) if settings.identity_url else "",
            )
        return self._login

    def _decide_on_host_key(self, fingerprint: str) -> bool:
        if self._settings.hostkey:
            self._host_key_done(f"{fingerprint}, the pinned one")
            return True
        accepted = self._accept_host_key is None or self._accept_host_key(fingerprint)
        if accepted:
            self._report(HostKeyLearnt(fingerprint))
            self._host_key_done(fingerprint)
        return accepted
