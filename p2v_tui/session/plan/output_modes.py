"""virt-v2v's output modes: which options each takes and needs, and what it makes.

From virt-v2v's output/*.ml, 1.28 to 2.13. The server says which of them it has; a mode
that is not in this table is passed on with all given options.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal

from p2v_tui.config import Settings
from p2v_tui.errors import SettingsError
from p2v_tui.kinds import Secret
from p2v_tui.secrecy import is_secret_name, without_secrets
from p2v_tui.session.plan import output_options
from p2v_tui.session.plan.output_options import MiscOption, find_option
from p2v_tui.session.plan.virt_v2v import VirtV2V

# The formats that libguestfs and nbdkit can write for virt-v2v (output/output.ml; in 1.x guestfs_disk_create).
FORMATS: Final = ("raw", "qcow2")
ALLOCATIONS: Final = ("sparse", "preallocated")


class Use(enum.Enum):
    """Whether a mode takes an option."""

    NEEDED = "needed"
    TAKEN = "taken"
    NOT_TAKEN = "not taken"


@dataclass(frozen=True)
class StorageForm:
    """What -os must look like. pattern: for the whole text. words: with their article."""

    pattern: str
    words: str
    example: str


# virt-v2v would look for a relative path below its own directory in /tmp.
_PATH: Final = StorageForm("/.*", "an absolute path on the conversion server", "/srv/guests")
# output/output_rhv.ml mounts HOST:/PATH, or takes a mounted directory.
_EXPORT: Final = StorageForm(
    r"[^/]+:/.+|/.+", "an NFS export or the directory that it is mounted on", "nfs.example.com:/export"
)
# output/output_vdsm.ml looks for the UUID at the end of the path, but only after the conversion.
_DATA_DOMAIN: Final = StorageForm(
    r"/.*/[^/]{36}/*",
    "the path of a data domain, which ends in its UUID",
    "/rhev/data-center/UUID/5b8f0a5c-1111-2222-3333-444455556666",
)


@dataclass(frozen=True)
class OutputMode:
    """One mode. names: those in all versions of virt-v2v, the peer's first.

    default_storage: for -os, if it is not given. needed_misc: the -oo options that it requires.
    makes: where the guest is in the end; {storage}, {name} and {connection} are filled in. description: the suffix of
    the file beside the disks, in the modes that fill a directory. formats, allocations: the values of -of and -oa;
    empty if the mode is unknown or does not take the option. options: its -oo. storage_form: what -os must look like,
    unless `takes_directory` says so.
    """

    names: tuple[str, ...]
    makes: str
    connection: Use = Use.NOT_TAKEN
    storage: Use = Use.TAKEN
    password: Use = Use.NOT_TAKEN
    allocation: Use = Use.TAKEN
    format: Use = Use.TAKEN
    misc: Use = Use.TAKEN
    default_storage: str | None = None
    needed_misc: tuple[str, ...] = ()
    description: str | None = None
    formats: tuple[str, ...] = FORMATS
    allocations: tuple[str, ...] = ALLOCATIONS
    options: tuple[MiscOption, ...] = ()
    storage_form: StorageForm | None = None
    known: bool = True

    @property
    def storage_like(self) -> StorageForm | None:
        """What -os must look like; None if anything may be right."""
        return _PATH if self.takes_directory else self.storage_form

    @property
    def takes_directory(self) -> bool:
        """Whether -os is a directory on the server."""
        return self.description is not None

    @property
    def is_libvirt(self) -> bool:
        """Whether -os is a libvirt pool on the server."""
        return self.names[0] == "libvirt"

    def files(self, guest: str, disks: int) -> tuple[str, ...]:
        """The names of the guest's files in the directory of -os or of the pool; else empty.

        disks: how many it has. virt-v2v names them as Linux would: sda, ..., sdz, sdaa.
        """
        if not self.takes_directory and not self.is_libvirt:
            return ()
        described = (f"{guest}{self.description}",) if self.description else ()
        return (*(f"{guest}-sd{disk_letters(number)}" for number in range(disks)), *described)


def disk_letters(number: int) -> str:
    """a for 0, z for 25, aa for 26: the kernel's counting of disks."""
    before, last = divmod(number, 26)
    return (disk_letters(before - 1) if before else "") + chr(ord("a") + last)


_DIRECTORY = "/var/tmp"

OUTPUT_MODES = (
    OutputMode(
        ("local", "disk"),
        "the disks {storage}/{name}-sd* and the description {storage}/{name}.xml",
        storage=Use.NEEDED,
        default_storage=_DIRECTORY,
        description=".xml",
        options=(output_options.COMPRESSED,),
    ),
    OutputMode(
        ("libvirt",),
        "the libvirt domain {name}, its disks in the pool {storage}",
        connection=Use.TAKEN,
        options=(output_options.COMPRESSED,),
    ),
    OutputMode(
        ("qemu",),
        "the disks {storage}/{name}-sd* and the script {storage}/{name}.sh that starts them",
        storage=Use.NEEDED,
        default_storage=_DIRECTORY,
        description=".sh",
        options=output_options.QEMU,
    ),
    OutputMode(
        ("null",),
        "nothing: the output mode null is a trial run",
        storage=Use.NOT_TAKEN,
        allocation=Use.NOT_TAKEN,
        format=Use.NOT_TAKEN,
        misc=Use.NOT_TAKEN,
        formats=(),
        allocations=(),
    ),
    OutputMode(("glance",), "images named {name} in Glance", storage=Use.NOT_TAKEN),
    OutputMode(
        ("openstack",),
        "volumes named {name} in OpenStack's Cinder",
        connection=Use.TAKEN,
        needed_misc=("server-id",),
        formats=("raw",),
        allocations=("sparse",),
        options=output_options.OPENSTACK,
    ),
    OutputMode(
        ("kubevirt",),
        "the disks {storage}/{name}-sd* and the KubeVirt description {storage}/{name}.yaml",
        storage=Use.NEEDED,
        default_storage=_DIRECTORY,
        description=".yaml",
        options=output_options.KUBEVIRT,
    ),
    OutputMode(
        ("rhv", "ovirt", "rhev"),
        "{name} on the export storage domain {storage}",
        storage=Use.NEEDED,
        storage_form=_EXPORT,
    ),
    OutputMode(
        ("rhv-upload", "ovirt-upload"),
        "the virtual machine {name} on {connection}, in the storage domain {storage}",
        connection=Use.NEEDED,
        storage=Use.NEEDED,
        password=Use.NEEDED,
        options=output_options.OVIRT_UPLOAD,
    ),
    OutputMode(
        ("vdsm",),
        "{name} in the data domain {storage}",
        storage=Use.NEEDED,
        needed_misc=("vdsm-image-uuid", "vdsm-vol-uuid", "vdsm-vm-uuid"),
        options=output_options.VDSM,
        storage_form=_DATA_DOMAIN,
    ),
    OutputMode(
        ("json",),
        "the disks {storage}/{name}-sd* and the description {storage}/{name}.json",
        storage=Use.NEEDED,
        default_storage=_DIRECTORY,
        description=".json",
        options=output_options.JSON,
    ),
)


def find_mode(name: str) -> OutputMode:
    """The mode that some version of virt-v2v calls `name`; if unknown, a mode that takes all options."""
    known = (mode for mode in OUTPUT_MODES if name in mode.names)
    unknown = OutputMode(
        (name,),
        "{name}, by the output mode " + name,
        connection=Use.TAKEN,
        password=Use.TAKEN,
        formats=(),
        allocations=(),
        known=False,
    )
    return next(known, unknown)


@dataclass(frozen=True)
class Output:
    """Where the guest goes, with only those settings that the mode takes. ignored: the names of the others."""

    mode: OutputMode
    connection: str | None = None
    storage: str | None = None
    format: str | None = None
    allocation: str | None = None
    misc: tuple[str, ...] = ()
    password: Secret | None = None
    root: str = "first"
    ignored: tuple[str, ...] = ()

    def mode_on(self, virt_v2v: VirtV2V) -> str:
        """The server's name for the mode. Raises SettingsError, with a list of its modes, if it lacks this one."""
        for name in self.mode.names:
            if name in virt_v2v.output_modes:
                return name
        raise SettingsError(
            f"virt-v2v {virt_v2v.version} on the server has no output mode {self.mode.names[0]!r} (p2v.o).",
            f"It has: {', '.join(virt_v2v.output_modes)}.",
            setting="output.type",
        )

    def arguments(self, virt_v2v: VirtV2V, password_file: str) -> list[str]:
        """The options for virt-v2v. Raises SettingsError as `mode_on` does."""
        options = {
            "-o": self.mode_on(virt_v2v),
            "-oa": self.allocation,
            "-oc": self.connection,
            "-of": self.format,
            "-os": self.storage,
            "-op": password_file if self.password else None,
        }
        arguments = [word for option, value in options.items() if value for word in (option, value)]
        if self.misc and "io/oo" not in virt_v2v.features:
            raise SettingsError(
                f"virt-v2v {virt_v2v.version} on the server knows no -oo (p2v.oo).",
                "Leave p2v.oo out, or install virt-v2v 1.40 or later there.",
                setting="output.misc",
            )
        for option in self.misc:
            if not self._goes_by_environment(option):
                arguments += ["-oo", option]
        return [*arguments, "--root", self.root]

    @property
    def environment(self) -> dict[str, Secret]:
        """The secret -oo options as variables for virt-v2v, because everybody there can see its arguments.

        `-oo os-password=X` and OS_PASSWORD=X are the same (virt-v2v-output-openstack(1)).
        """
        secrets = (option.partition("=") for option in self.misc if self._goes_by_environment(option))
        return {name.upper().replace("-", "_"): Secret(value) for name, _, value in secrets}

    def _goes_by_environment(self, option: str) -> bool:
        name, equals, _ = option.partition("=")
        is_openstacks = "openstack" in self.mode.names and name.startswith("os-")
        return bool(equals) and is_openstacks and is_secret_name(name)

    @property
    def pool(self) -> str:
        """The libvirt pool, for the modes that use one."""
        return self.storage or "default"

    @property
    def place(self) -> str:
        """Where the guest goes, in a word or two."""
        if self.mode.takes_directory and self.storage:
            return self.storage
        where = f"pool {self.pool}" if self.mode.is_libvirt else self.storage or self.connection or ""
        return f"{self.mode.names[0]} {without_secrets(where)}".rstrip()

    def made(self, guest: str) -> str:
        """Says what a successful conversion made, and where."""
        return self.mode.makes.format(
            name=guest, storage=self.pool, connection=without_secrets(self.connection or "")
        )


def choose_output(settings: Settings) -> Output:
    """The output for these settings, as far as the mode takes them.

    A setting that the mode does not take is left out and named in `ignored`: virt-p2v never passed on -oc, so its
    command lines contain needless ones. Raises SettingsError for a missing setting that the mode needs, and for a
    value that virt-v2v would refuse, as it does so late: for some only after the whole conversion.
    """
    mode = find_mode(settings.output_type)
    allocation = None if settings.output_allocation == "none" else settings.output_allocation
    storage = settings.output_storage or mode.default_storage
    given = {
        "p2v.oc": (mode.connection, settings.output_connection),
        "p2v.os": (mode.storage, storage),
        "p2v.of": (mode.format, settings.output_format),
        "p2v.oa": (mode.allocation, allocation),
        "p2v.oo": (mode.misc, settings.output_misc),
        "p2v.op": (mode.password, settings.output_password),
    }
    missing = [name for name, (use, value) in given.items() if use is Use.NEEDED and not value]
    options = {option.partition("=")[0] for option in settings.output_misc}
    missing += [f"p2v.oo={name}=VALUE" for name in mode.needed_misc if name not in options]
    if missing:
        raise SettingsError(
            f"The output mode {settings.output_type} needs {' and '.join(missing)}.",
            "Give what is missing; virt-v2v(1) on the server says what it means.",
            setting="output.type",
        )
    ignored = tuple(name for name, (use, value) in given.items() if use is Use.NOT_TAKEN and value)
    taken = {name: value for name, (use, value) in given.items() if use is not Use.NOT_TAKEN and value}
    _check_choice(settings.output_type, "format", mode.formats, settings.output_format if "p2v.of" in taken else None)
    _check_choice(settings.output_type, "allocation", mode.allocations, allocation if "p2v.oa" in taken else None)
    if "p2v.oo" in taken:
        _check_misc(mode, settings)
    if "p2v.os" in taken and storage and (like := mode.storage_like) and not re.fullmatch(like.pattern, storage):
        raise SettingsError(
            f"p2v.os={storage} is not {like.words}, which the output mode {settings.output_type} needs.",
            f"Give it as in p2v.os={like.example}.",
            setting="output.storage",
        )
    if mode.is_libvirt and (host := _remote_host(settings)):
        raise SettingsError(
            f"p2v.oc names the libvirt of another machine, {host}: virt-v2v would leave the disks on the conversion "
            "server and define the guest where they are missing.",
            f"Convert on {host} itself (p2v.server={host}) and leave p2v.oc out; or use p2v.o=local, then copy the "
            "disks and run `virsh define` there.",
            setting="output.connection",
        )
    return Output(
        mode=mode,
        connection=None if "p2v.oc" in ignored else settings.output_connection,
        storage=None if "p2v.os" in ignored else storage,
        format=None if "p2v.of" in ignored else settings.output_format,
        allocation=None if "p2v.oa" in ignored else allocation,
        misc=() if "p2v.oo" in ignored else settings.output_misc,
        password=None if "p2v.op" in ignored else settings.output_password,
        root=settings.root,
        ignored=ignored,
    )


def _check_choice(
    mode: str, name: Literal["format", "allocation"], choices: tuple[str, ...], value: str | None
) -> None:
    """Raises SettingsError for a value that the mode does not take. choices: empty if unknown."""
    if value is None or not choices or value in choices:
        return
    raise SettingsError(
        f"The output mode {mode} cannot make the {name} {value}.",
        f"It makes {' or '.join(choices)}.",
        setting="output.format" if name == "format" else "output.allocation",
    )


def _check_misc(mode: OutputMode, settings: Settings) -> None:
    """Checks -oo as far as possible without the server. Whether its virt-v2v has each option is checked later."""
    for given in settings.output_misc:
        name = given.partition("=")[0]
        if name == "?":
            raise SettingsError(
                "p2v.oo=? makes virt-v2v list its options and end: nothing would be converted.",
                f"To see the list, run this on the conversion server: virt-v2v -i disk x -o {mode.names[0]} -oo '?'",
                setting="output.misc",
            )
        option, value = find_option(mode.options, given)
        wrong = "has no name" if not name else option.wrong_value(value) if option else None
        if wrong:
            # The value may be a password.
            raise SettingsError(
                f"p2v.oo: {name or 'an option'} {wrong}.",
                "To see what the mode takes, run this on the conversion server: "
                f"virt-v2v -i disk x -o {mode.names[0]} -oo '?'",
                setting="output.misc",
            )


# libvirt's URIs: driver[+transport]://[user@][host][:port]/path?parameters
_LIBVIRT_URI: Final = re.compile(
    r"[a-z0-9]+(?:\+[a-z0-9]+)?://(?:[^/@]*@)?(\[[^]]*\]|[^/:?]*)(?::[0-9]*)?(?:[/?]|$)", re.I
)


_LOCAL_NAMES: Final = ("localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost")


def _remote_host(settings: Settings) -> str | None:
    """The host in -oc's libvirt URI, unless it is the conversion server's name or its loopback."""
    found = _LIBVIRT_URI.match(settings.output_connection or "")
    host = found[1].strip("[]") if found else ""
    name = host.lower().rstrip(".")
    if name in ("", (settings.server or "").lower(), *_LOCAL_NAMES):
        return None
    try:
        return None if ipaddress.ip_address(host).is_loopback else host
    except ValueError:
        return host
