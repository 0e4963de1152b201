"""The facts about the conversion server before a conversion: programs, space, memory, names in use. The server is not
trusted: an answer that cannot be parsed counts as unknown, and no text of it can control a terminal.
`server_checks.py` judges the facts.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.preflight.survey_command import PART_SECONDS, Libvirt, survey
from p2v_tui.session.remote.result import CommandRunner
from p2v_tui.session.words.terminal_text import plain

# Longer than all parts together can take, on a server where every one of them hangs.
SURVEY_TIMEOUT: Final = 20.0 * PART_SECONDS
# An honest answer has some thirty lines, but a server may send anything.
_MAX_LINES: Final = 500
_MAX_LINE: Final = 4500

E = TypeVar("E", bound=enum.Enum)


class Place(enum.Enum):
    """The directories that matter. The value is the survey's word. TEMPORARY: TMPDIR, if set."""

    STORAGE = "storage"
    OVERLAY = "overlay"
    LOGS = "logs"
    TEMPORARY = "temporary"


@dataclass(frozen=True)
class Space:
    """The free space of one directory. free: bytes for an ordinary user. inodes: None without a limit.

    file_system: the same for directories that share their space.
    """

    path: str
    file_system: str
    free: int
    inodes: int | None = None


class Directory(enum.Enum):
    """What virt-v2v's user can do with a directory on the server.

    READ_ONLY: it may not write there; READ_ONLY_FILE_SYSTEM: nobody may. UNREACHABLE: below a directory that it may
    not search.
    """

    THERE = "there"
    READ_ONLY = "read-only"
    READ_ONLY_FILE_SYSTEM = "read-only-file-system"
    MISSING = "missing"
    NO_DIRECTORY = "no-directory"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class ExistingFile:
    """One of the guest's files that exists already. size: bytes. modified: seconds since the epoch."""

    name: str
    size: int
    modified: int


class Access(enum.Enum):
    """Whether something exists and virt-v2v's user can use it."""

    USABLE = "usable"
    DENIED = "denied"
    MISSING = "missing"


# The value of `ServerFacts.pool` if the pool does not exist; otherwise the pool's type.
NO_POOL: Final = "missing"


@dataclass(frozen=True)
class ServerFacts:
    """None, or a missing entry in a mapping, means unknown, which proves nothing.

    by_sudo: virt-v2v runs as another user than the login user. as_root: it runs as root. user: the login user. clock:
    seconds since the epoch. memory, swap: free bytes.
    programs: by name, whether it exists and runs (`nbdkit-nbd`: nbdkit with that plugin; `python`: one that is new
    enough for the relay). kvm: /dev/kvm. kernel: one with which libguestfs can boot its appliance.
    uefi: firmware for UEFI guests where virt-v2v 2.2 looks for it. virtio_win: the drivers for Windows.
    windows_service: rhsrvany.exe or pvvxsvc.exe. ntfs: the appliance can probably mount NTFS.
    localhost: the addresses of that name there. places: the directories' states and paths.
    existing: the guest's files that its output directory already has.
    domain: whether libvirt has a domain of the guest's name. pool: the type of the pool, or NO_POOL.
    tmout: the shell's TMOUT in seconds. client_alive: sshd's ClientAliveInterval in seconds and ClientAliveCountMax.
    """

    by_sudo: bool = False
    as_root: bool = False
    user: str | None = None
    clock: int | None = None
    memory: int | None = None
    swap: int | None = None
    programs: Mapping[str, bool] = field(default_factory=dict)
    kvm: Access | None = None
    kernel: Access | None = None
    uefi: bool | None = None
    virtio_win: bool | None = None
    windows_service: bool | None = None
    ntfs: bool | None = None
    localhost: tuple[str, ...] | None = None
    places: Mapping[Place, tuple[Directory, str]] = field(default_factory=dict)
    space: Mapping[Place, Space] = field(default_factory=dict)
    existing: tuple[ExistingFile, ...] = ()
    domain: bool | None = None
    pool: str | None = None
    tmout: int | None = None
    client_alive: tuple[int, int] | None = None

    @property
    def storage(self) -> Directory | None:
        """The state of the output directory, if any."""
        return self.places.get(Place.STORAGE, (None, ""))[0]


def survey_server(shell: CommandRunner, plan: Plan | None, *, sudo: bool, kept: Sequence[str] = ()) -> ServerFacts:
    """Asks the server everything in one command. plan: None while nothing is chosen yet. sudo: virt-v2v runs under
    it, and it passes on the variables in `kept`.

    Raises as `CommandRunner.run` does, whatever the server answers.
    """
    storage: str | None = None
    files: tuple[str, ...] = ()
    libvirt: Libvirt | None = None
    if plan:
        files = plan.output.mode.files(plan.guest.name, len(plan.disks))
        if plan.output.mode.takes_directory:
            storage = plan.output.storage
        elif plan.output.mode.is_libvirt:
            libvirt = asked_libvirt(plan, sudo=sudo)
    command = survey(sudo=sudo, kept=kept, storage=storage, files=files, libvirt=libvirt)
    return parse_facts(shell.run(command, timeout=SURVEY_TIMEOUT).text, sudo=sudo, files=files)


def asked_libvirt(plan: Plan, *, sudo: bool) -> Libvirt | None:
    """What to ask libvirt there. None if it is on another host, or in a session that is not the login user's."""
    connection = plan.output.connection
    if connection and not re.match(r"[a-z+]+:///", connection):
        return None
    if connection and sudo and connection.endswith("/session"):
        return None
    return Libvirt(connection, plan.output.pool, plan.guest.name)


def parse_facts(text: str, *, sudo: bool, files: Collection[str] = ()) -> ServerFacts:
    """Parses the survey's output. If a word comes twice, the first one counts. files: that were asked for."""
    said: defaultdict[str, list[str]] = defaultdict(list)
    for line in text[: _MAX_LINES * _MAX_LINE].split("\n")[:_MAX_LINES]:
        word, _, value = plain(line[:_MAX_LINE]).partition(" ")
        said[word].append(value.strip())
    first = {word: values[0] for word, values in said.items()}
    return ServerFacts(
        by_sudo=sudo,
        as_root=sudo or first.get("root") == "yes",
        clock=_number(first.get("clock")),
        memory=_kib(first.get("memory")),
        swap=_kib(first.get("swap")),
        programs=_programs(said["program"]),
        kvm=_member(Access, first.get("kvm")),
        kernel=_member(Access, first.get("kernel")),
        uefi=_flag(first.get("uefi")),
        virtio_win=_flag(first.get("virtio-win")),
        windows_service=_flag(first.get("windows-service")),
        ntfs=_flag(first.get("ntfs")),
        user=_user(first.get("user")),
        localhost=_addresses(first.get("localhost")),
        places=_places(said["directory"]),
        space=_spaces(said["space"]),
        existing=_existing(said["existing"], files),
        domain=_flag(first.get("domain")),
        pool=_pool(first.get("pool")),
        tmout=_number(first.get("tmout")),
        client_alive=_client_alive(first),
    )


def _number(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch("[0-9]{1,18}", value) else None


def _kib(value: str | None) -> int | None:
    number = _number(value)
    return None if number is None else number * 1024


def _flag(value: str | None) -> bool | None:
    return {"yes": True, "no": False}.get(value or "")


def _member(kind: type[E], value: str | None) -> E | None:
    return next((member for member in kind if member.value == value), None)


def _programs(lines: Sequence[str]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for line in lines:
        name, _, runs = line.partition(" ")
        if re.fullmatch("[a-z0-9-]{1,32}", name) and (flag := _flag(runs)) is not None:
            found.setdefault(name, flag)
    return found


def _spaces(lines: Sequence[str]) -> dict[Place, Space]:
    found: dict[Place, Space] = {}
    for line in lines:
        words = line.split(" ", 7)
        place = _member(Place, words[0])
        numbers = [_number(word) for word in words[1:6]]
        if place is None or len(words) < 8 or None in numbers:
            continue
        blocks, block_size, all_inodes, inodes, device = (number or 0 for number in numbers)
        # btrfs has a device number for each subvolume; tmpfs has no source that identifies it.
        source = words[6] if "/" in words[6] else str(device)
        found.setdefault(place, Space(words[7], source, blocks * block_size, inodes if all_inodes else None))
    return found


def _user(value: str | None) -> str | None:
    return value if value and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,63}", value) else None


def _addresses(value: str | None) -> tuple[str, ...] | None:
    """None if the name could not be looked up."""
    return None if value is None else tuple(word for word in value.split() if re.fullmatch("[0-9a-fA-F.:]+", word))


def _places(lines: Sequence[str]) -> dict[Place, tuple[Directory, str]]:
    found: dict[Place, tuple[Directory, str]] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        kind, _, path = rest.partition(" ")
        place, what = _member(Place, word), _member(Directory, kind)
        if place is not None and what is not None:
            found.setdefault(place, (what, path))
    return found


def _existing(lines: Sequence[str], files: Collection[str]) -> tuple[ExistingFile, ...]:
    """In the order of the files."""
    found: dict[str, ExistingFile] = {}
    for line in lines:
        size, _, rest = line.partition(" ")
        modified, _, name = rest.partition(" ")
        if name in files:
            found[name] = ExistingFile(name, _number(size) or 0, _number(modified) or 0)
    return tuple(found[name] for name in files if name in found)


def _pool(value: str | None) -> str | None:
    kind = (value or "").partition(" ")[0]
    return kind if re.fullmatch("[a-z-]{1,32}", kind) else None


def _client_alive(said: Mapping[str, str]) -> tuple[int, int] | None:
    """None if sshd does not check on silent clients, which is its default. It takes times such as 1h30m."""
    interval = said.get("clientaliveinterval", "")
    count = _number(said.get("clientalivecountmax", "3"))
    if count is None or not re.fullmatch("([0-9]{1,9}[smhdw]?){1,8}", interval):
        return None
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    seconds = sum(int(number) * units[unit] for number, unit in re.findall("([0-9]+)([smhdw]?)", interval))
    return (seconds, count) if seconds else None
