"""The login to the conversion server, and the control connection: one shell, which may be dropped and reopened.

Everything that this machine stores about the server (known hosts, the identity's copy, sockets) is in one private
directory. Each call passes its own reporting and cancellation, as a connection outlives the job that opened it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2v_tui.config import Settings
from p2v_tui.errors import P2VError, Retry, SettingsError, WrongHostKey
from p2v_tui.kinds import Secret
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.ssh import host_keys
from p2v_tui.session.ssh.fetch import Persistence
from p2v_tui.session.ssh.identity import fetch_identity, key_type
from p2v_tui.session.ssh.login import Login, PasswordSource, cipher_preference
from p2v_tui.session.ssh.login_environment import LoginEnvironment, ask_login_environment
from p2v_tui.session.ssh.reconnect import PASSING, open_again
from p2v_tui.session.ssh.shell import RemoteShell, ShellConnection
from p2v_tui.session.ssh.workspace import Workspace
from p2v_tui.session.words.events import ConnectionStep, HostKeyLearnt, Report, Status, StepDone, StepStarted, Warned
from p2v_tui.session.words.quantities import duration_text
from p2v_tui.session.words.watch import Watch
from p2v_tui.setting_texts import secrets_of

# For how many seconds a first connection that sshd drops is retried, even if nothing else is retried.
RETRY_DROPPED_FOR: Final = 20.0

AskPassword = Callable[[str], Secret | None]
AcceptHostKey = Callable[[str, str], bool]


class ControlConnection:
    """A context manager. Inside it the host key cannot change, and a typed password is remembered.

    ask_password: called once, with ssh's question, if the server wants a password and none was given.
    accept_host_key: called with the fingerprint and type of a key if none is pinned; without it the first is taken.
    retry_for: for how many seconds fetching an identity and the first connection are retried when the network fails.
    workspace: of an earlier run whose conversion is continued, with its host key and identity.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        cpu_has_aes: bool,
        ask_password: AskPassword | None = None,
        accept_host_key: AcceptHostKey | None = None,
        workspace: Workspace | None = None,
        retry_for: float = 0.0,
    ) -> None:
        if settings.server is None:
            raise SettingsError("No conversion server is given.", "Give p2v.server=HOST.", setting="remote.server")
        self.host = settings.server.strip("[]")
        self.port = settings.port
        self.user = settings.username
        self.sudo = settings.sudo and settings.username != "root"
        self.retry_for = retry_for
        self.workspace = workspace or Workspace()
        self._settings = settings
        self._accept_host_key = accept_host_key
        self._ciphers = cipher_preference(cpu_has_aes)
        # With an identity the password is never used.
        self._passwords = PasswordSource(
            None if settings.identity_url else settings.password, None if settings.identity_url else ask_password
        )
        self._key_type: str | None = None
        self._connection: ShellConnection | None = None
        # How often it has been opened.
        self.opened = 0
        # A continued conversion had a login that worked, and waits for the server in its own way.
        self._let_in = workspace is not None
        # By then virt-v2v runs and has its environment.
        self._environment: LoginEnvironment | None = LoginEnvironment({}) if workspace else None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not appear in anything that is written or sent."""
        return (*secrets_of(self._settings), *self._passwords.secrets)

    def persistence(self, watch: Watch) -> Persistence:
        """For what has to be fetched."""
        return Persistence(self.retry_for, watch.report, watch.cancellation)

    def login(self, watch: Watch) -> Login:
        """How to log in. Fetches the identity first if one is used; raises ConnectionFailed if that fails."""
        identity = self.workspace.identity if self._settings.identity_url else None
        if self._key_type is None:
            self._key_type = self._get_identity(self._settings.identity_url, watch)
        watch.cancellation.check()
        return Login(
            host=self.host,
            port=self.port,
            user=self.user,
            known_hosts=self.workspace.known_hosts,
            ciphers=self._ciphers,
            passwords=self._passwords,
            accept_host_key=lambda fingerprint, kind: self._decide_on_host_key(fingerprint, kind, watch.report),
            identity=identity,
            key_type=self._key_type,
        )

    def _get_identity(self, url: str | None, watch: Watch) -> str:
        """Fetches the identity and returns its type; empty if none is used."""
        if url is None:
            return ""
        if not self.workspace.identity.exists():
            watch.report(Status(f"Getting the SSH identity from {without_secrets(url)}"))
            fetch_identity(url, self.workspace.identity, self.persistence(watch))
        return key_type(self.workspace.identity)

    def shell(self, watch: Watch) -> RemoteShell:
        """A shell for one job, over the open connection or a new one.

        Raises ConnectionFailed, PreflightRefused, Cancelled; LocalFailure if this machine cannot write its files.
        """
        if self._connection is not None and not self._connection.usable:
            self.drop()
        if self._connection is None:
            self._connection = self._open(watch)
            self._let_in = True
            self.opened += 1
        return self._connection.shell(watch.cancellation)

    @property
    def connected(self) -> bool:
        """Whether the control connection is open, as far as this end knows."""
        return self._connection is not None and self._connection.usable

    def drop(self) -> None:
        """Closes the control connection; the next job opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        self.drop()
        self.workspace.close()

    def __enter__(self) -> ControlConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, watch: Watch) -> ShellConnection:
        """Opens a new one. Only the first is retried here: later, the caller knows better what to do meanwhile."""
        login = self.login(watch)

        def log_in() -> ShellConnection:
            if self._settings.hostkey and not login.known_hosts.exists():
                try:
                    return host_keys.open_pinned(
                        login, self._settings.hostkey, lambda pinned: ShellConnection(pinned, watch.cancellation)
                    )
                except WrongHostKey:
                    self.connection_done(watch.report)
                    raise
            return ShellConnection(login, watch.cancellation)

        def open_it() -> ShellConnection:
            connection = log_in()
            try:
                host_keys.check_stored(self.workspace.known_hosts)
                self._give_environment(connection.shell(watch.cancellation), watch.report)
            except BaseException:
                connection.close()
                raise
            return connection

        if self._let_in:
            return open_it()
        retry_for = max(self.retry_for, RETRY_DROPPED_FOR)
        return open_again(
            open_it,
            retry_for=retry_for,
            wait=watch.cancellation.wait,
            on_failure=lambda error: watch.report(retry_warning(error, retry_for)),
            # Without retries an outage is reported at once; but sshd may drop one login of many, which passes soon.
            worthwhile=PASSING if self.retry_for else {Retry.SOON},
        )

    def _give_environment(self, shell: RemoteShell, report: Report) -> None:
        """Exports what the account's start-up files set in the shell that will start virt-v2v."""
        if self._environment is None:
            self._environment = ask_login_environment(shell)
            if self._environment.skipped:
                report(
                    Warned(
                        f"virt-v2v runs without what the profile of {self.user} sets: {self._environment.skipped}. "
                        "To see why, run there: $SHELL -l -c env </dev/null"
                    )
                )
        if self._environment.variables:
            shell.export(self._environment.variables)

    def _decide_on_host_key(self, fingerprint: str, kind: str, report: Report) -> bool:
        self.connection_done(report)
        if self._settings.hostkey:
            self.host_key_done(f"{fingerprint}, the pinned one", report)
            return True
        accepted = self._accept_host_key is None or self._accept_host_key(fingerprint, kind)
        if accepted:
            report(HostKeyLearnt(fingerprint))
            self.host_key_done(fingerprint, report)
        return accepted

    def connection_done(self, report: Report) -> None:
        """The server answers; its host key comes next."""
        report(StepDone(ConnectionStep.NETWORK, f"{self.host} port {self.port} answers"))
        report(StepStarted(ConnectionStep.HOST_KEY, "Checking the host key"))

    def host_key_done(self, text: str, report: Report) -> None:
        """One step of the connection test has succeeded, and the next begins."""
        report(StepDone(ConnectionStep.HOST_KEY, text))
        report(StepStarted(ConnectionStep.LOGIN, f"Logging in as {self.user}"))


def retry_warning(error: P2VError, retry_for: float) -> Warned:
    """The warning after a failed first try. retry_for: seconds."""
    return Warned(f"{error.message} Trying again for up to {duration_text(retry_for)}. {error.advice}")
