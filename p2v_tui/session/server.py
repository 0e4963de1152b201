"""The conversion server as one run sees it: how to log in, and the connections to it.

Everything that this machine keeps of it (known hosts, the identity's copy, sockets) is in one private directory that
is gone when the run ends.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from p2v_tui.config import Settings
from p2v_tui.errors import SettingsError
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.kinds import Secret, without_password
from p2v_tui.session import host_keys, virt_v2v
from p2v_tui.session.cancellation import Cancellation
from p2v_tui.session.data_connection import DataConnection, check_forwarding
from p2v_tui.session.events import (
    ConnectionStep,
    HostKeyLearnt,
    Report,
    ServerVersion,
    Status,
    StepDone,
    StepStarted,
    Warned,
)
from p2v_tui.session.identity import fetch_identity
from p2v_tui.session.network import wait_for_network
from p2v_tui.session.openssh import Login, PasswordSource, cipher_preference
from p2v_tui.session.remote_shell import RemoteShell
from p2v_tui.session.virt_v2v import VirtV2V
from p2v_tui.session.workspace import Workspace

AskPassword = Callable[[str], Secret | None]
AcceptHostKey = Callable[[str], bool]


class ConversionServer:
    """A context manager. Until it is left the host key cannot change and a typed password is remembered.

    ask_password: called once, with ssh's question, where the server wants a password and none was given.
    accept_host_key: called with the fingerprint of a key that is not pinned; without it the first one is taken.
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
        self._workspace = Workspace()
        self._login: Login | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not show in anything that is written or sent."""
        given = (self._settings.password, self._settings.output_password, *self._passwords.secrets)
        return tuple(secret for secret in given if secret is not None)

    def prepare(self) -> None:
        """Gets what a login needs: the identity, the pinned host keys. Raises ConnectionFailed where it cannot."""
        self._ready_login()

    def attend(self, report: Report, cancellation: Cancellation) -> None:
        """Reports there from now on, and is cancelled by that: a test and a conversion have their own."""
        self._report = report
        self._cancellation = cancellation

    def open_shell(self, *, cancellable: bool = True) -> RemoteShell:
        """A new control connection. Raises ConnectionFailed, PreflightRefused or Cancelled.

        cancellable: not where something has to be stopped because of a cancellation.
        """
        return RemoteShell(self._ready_login(), self._cancellation if cancellable else Cancellation())

    def open_data_connection(self, disk: Disk, number: int, program: str) -> DataConnection:
        """program: the NBD server's. Raises as `open_shell` does."""
        return DataConnection(
            disk,
            number,
            program=program,
            login=self._ready_login(),
            workspace=self._workspace,
            cancellation=self._cancellation,
        )

    def test_connection(self) -> VirtV2V:
        """Waits for the network, logs in, asks virt-v2v what it is, opens a port there; closes it all again.

        Each step is reported. Raises as `open_shell` does.
        """
        settings = self._settings
        self._report(StepStarted(ConnectionStep.NETWORK, "Looking for a network address"))
        wait_for_network(self._host, self._report, self._cancellation)
        self._report(StepDone(ConnectionStep.NETWORK, "ready"))
        login = self._ready_login()
        self._report(StepStarted(ConnectionStep.HOST_KEY, f"Connecting to {self._host} port {settings.port}"))
        if login.known_hosts.exists():
            self._host_key_done("the known one only")
        with self.open_shell() as shell:
            self._report(StepDone(ConnectionStep.LOGIN, f"as {settings.username}"))
            found = self.examine(shell)
        self._report(StepStarted(ConnectionStep.FORWARDING, "Trying port forwarding"))
        check_forwarding(login, self._cancellation)
        self._report(StepDone(ConnectionStep.FORWARDING, "allowed"))
        return found

    def examine(self, shell: RemoteShell) -> VirtV2V:
        """What virt-v2v can do there. Raises PreflightRefused where it is missing, too old or not permitted."""
        user = self._settings.username
        self._report(StepStarted(ConnectionStep.VERSION, "Logged in; asking virt-v2v for its version and features"))
        version = virt_v2v.ask_version(shell, sudo=self.sudo, user=user)
        self._report(StepDone(ConnectionStep.VERSION, version))
        if self.sudo and (lacking := virt_v2v.missing_kill(shell, user)):
            self._report(Warned(lacking))
        found = virt_v2v.ask_features(shell, version, sudo=self.sudo, user=user)
        self._report(StepDone(ConnectionStep.FEATURES, f"output modes {', '.join(found.output_modes)}"))
        self._report(ServerVersion(found.version, found.output_modes))
        return found

    def _host_key_done(self, text: str) -> None:
        self._report(StepDone(ConnectionStep.HOST_KEY, text))
        self._report(StepStarted(ConnectionStep.LOGIN, f"Logging in as {self._settings.username}"))

    def close(self) -> None:
        self._workspace.close()

    def __enter__(self) -> ConversionServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ready_login(self) -> Login:
        if self._login is None:
            settings = self._settings
            if settings.identity_url is not None:
                self._report(Status(f"Getting the SSH identity from {without_password(settings.identity_url)}"))
                fetch_identity(settings.identity_url, self._workspace.identity)
            if settings.hostkey:
                host_keys.write_pinned(self._host, settings.port, settings.hostkey, self._workspace.known_hosts)
            self._cancellation.check()
            self._login = Login(
                host=self._host,
                port=settings.port,
                user=settings.username,
                known_hosts=self._workspace.known_hosts,
                ciphers=self._ciphers,
                passwords=self._passwords,
                accept_host_key=self._decide_on_host_key,
                identity=self._workspace.identity if settings.identity_url else None,
            )
        return self._login

    def _decide_on_host_key(self, fingerprint: str) -> bool:
        accepted = self._accept_host_key is None or self._accept_host_key(fingerprint)
        if accepted:
            self._report(HostKeyLearnt(fingerprint))
            self._host_key_done(fingerprint)
        return accepted
