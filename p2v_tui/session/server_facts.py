"""What the conversion server says of itself before a conversion: programs, space, memory, names that are taken.

The server is not trusted: an answer that cannot be read is an unknown one, and no text of it can drive a terminal.
What the facts mean is not known here: `server_checks.py` judges them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from p2v_tui.session.plan import Plan
from p2v_tui.session.remote_shell import RemoteShell


class Place(enum.Enum):
    """The directories whose space matters. The value is the survey's word."""

    STORAGE = "storage"
    OVERLAY = "overlay"
    LOGS = "logs"


@dataclass(frozen=True)
class Space:
    """The free space of one directory. free: bytes for virt-v2v's user. inodes: None where there is no limit.

    file_system: the same for directories that share their space.
    """

    path: str
    file_system: str
    free: int
    inodes: int | None = None


class Directory(enum.Enum):
    """What -os is on the server."""

    WRITABLE = "writable"
    READ_ONLY = "read-only"
    MISSING = "missing"
    NO_DIRECTORY = "no-directory"
    UNREACHABLE = "unreachable"


class Access(enum.Enum):
    """Whether something is there and can be used by the user who runs virt-v2v."""

    USABLE = "usable"
    DENIED = "denied"
    MISSING = "missing"


@dataclass(frozen=True)
class ServerFacts:
    """None: not known, which speaks neither for nor against anything.

    as_root: virt-v2v runs as root there. clock: seconds since the epoch. memory, swap: bytes that are free for use.
    programs: by name, whether it is there and runs (`nbdkit-nbd`: nbdkit with that plugin). python: of python3.
    uefi: a firmware for UEFI guests that virt-v2v would find. virtio_win: a file or directory that is there.
    windows_service: rhsrvany.exe or pvvxsvc.exe is there. ntfs: the appliance can mount NTFS, as far as one can see.
    storage: what -os is, where it is a directory. existing: the guest's files that are there already.
    domains_known, domain: whether libvirt answered, and has a domain of the guest's name. pool likewise; pool_path:
    its directory. tmout: the login shell's TMOUT. client_alive: sshd's ClientAliveInterval and ClientAliveCountMax.
    """

    as_root: bool
    clock: int | None = None
    memory: int | None = None
    swap: int | None = None
    programs: Mapping[str, bool] = field(default_factory=dict)
    python: tuple[int, int] | None = None
    kvm: Access | None = None
    kernel: Access | None = None
    uefi: bool | None = None
    virtio_win: bool | None = None
    windows_service: bool | None = None
    ntfs: bool | None = None
    storage: Directory | None = None
    space: Mapping[Place, Space] = field(default_factory=dict)
    existing: tuple[str, ...] = ()
    domain: bool | None = None
    pool: bool | None = None
    tmout: int | None = None
    client_alive: tuple[int, int] | None = None


def survey_server(shell: RemoteShell, plan: Plan | None, *, sudo: bool) -> ServerFacts:
    """Asks the server everything in one command. plan: None while nothing is chosen yet. sudo: virt-v2v runs by it.

    Raises as `RemoteShell.run` does, never because of what the server answers.
    """
    return ServerFacts(as_root=sudo)
