"""Where everything is on the conversion server: one object that knows the remote directory."""

from __future__ import annotations

import datetime
import secrets
import string
from dataclasses import dataclass

# /tmp whatever the server's TMPDIR says: the manual promises it, and operators look for logs there.
PARENT = "/tmp"


@dataclass(frozen=True)
class RemoteDirectory:
    """The directory of one conversion, made with mode 0700. The files are those of virt-p2v(1)."""

    path: str

    @classmethod
    def new(cls, today: datetime.date) -> RemoteDirectory:
        """A directory that does not exist yet: virt-p2v-YYYYMMDD- and 8 random characters."""
        letters = string.ascii_lowercase + string.digits
        return cls(f"{PARENT}/virt-p2v-{today:%Y%m%d}-" + "".join(secrets.choice(letters) for _ in range(8)))

    def file(self, name: str) -> str:
        return f"{self.path}/{name}"

    @property
    def log(self) -> str:
        return self.file("virt-v2v-conversion-log.txt")

    @property
    def status(self) -> str:
        """virt-v2v's exit code, once it has ended."""
        return self.file("status")

    @property
    def pid(self) -> str:
        """The process id of the wrapper and of its process group."""
        return self.file("pid")

    @property
    def wrapper(self) -> str:
        return self.file("virt-v2v-wrapper.sh")

    @property
    def machine(self) -> str:
        """The machine that is converted (`machine_record.py`)."""
        return self.file("machine")

    @property
    def told(self) -> str:
        """Exists once the end of the conversion was reported here, so that later starts ignore it."""
        return self.file("told")

    @property
    def output_before(self) -> str:
        """Lists the guest's files that existed before virt-v2v ran."""
        return self.file("output.before")

    @property
    def output_after(self) -> str:
        """Lists those that existed after it ended."""
        return self.file("output.after")

    @property
    def boot(self) -> str:
        """The boot id of the server when the conversion began."""
        return self.file("boot")

    @property
    def relay(self) -> str:
        """The program, a zipapp."""
        return self.file("nbd_relay.pyz")

    @property
    def relay_pid(self) -> str:
        return self.file("relay.pid")

    @property
    def control_pid(self) -> str:
        """The process id of the control connection's shell, which started the relay."""
        return self.file("control.pid")

    @property
    def relay_status(self) -> str:
        return self.file("relay.status")

    @property
    def relay_log(self) -> str:
        return self.file("relay.log")

    def tunnel_socket(self, disk: int, generation: int) -> str:
        """Where a tunnel of that disk (from 0) ends; every new tunnel has a higher generation, from 1 on."""
        return self.file(f"disk{disk}.{generation}.sock")

    def tunnel_port(self, disk: int, generation: int) -> str:
        """For a tunnel that ends in a port: the file with the port and its secrets."""
        return self.file(f"disk{disk}.{generation}.port")

    @property
    def physical_xml(self) -> str:
        return self.file("physical.xml")

    @property
    def secrets(self) -> str:
        """The directory for what only virt-v2v may read; it is removed as soon as virt-v2v has ended."""
        return self.file("secrets")

    @property
    def output_password(self) -> str:
        """The file for virt-v2v's -op. It is removed when virt-v2v ends."""
        return f"{self.secrets}/output-password"

    @property
    def environment(self) -> str:
        """The file with the variables that only virt-v2v gets. It is removed when virt-v2v ends."""
        return f"{self.secrets}/environment"

    def key_file(self, number: int) -> str:
        """The file for a virt-v2v --key (from 0). It is removed when virt-v2v ends."""
        return f"{self.secrets}/key-{number}"
