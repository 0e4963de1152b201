"""The settings: one declarative table from which everything else derives.

A setting is one field of `Settings`, declared with its full name, aliases, kind (how it is parsed and printed), help
and default. The kernel command line (`cmdline.py`), the dump, the tables in docs/ and the form fields all read
`SETTINGS`. What a setting names on a machine (does that disk exist?) is not known here: `session/plan.py` checks it.

The names, the aliases and the meaning of a value are those of virt-p2v 1.42 (generate-p2v-config.pl, virt-p2v(1)),
except where the declaration says that a setting is new.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from p2v_tui.errors import SettingsError

T = TypeVar("T")

MIN_MEMORY: Final = 64 * 1024 * 1024
MAX_MEMORY: Final = 1 << 50
MAX_GUEST_NAME: Final = 200
NO_VALUE: Final = "(none)"
HIDDEN: Final = "***"


class Secret:
    """A text that no repr, log or message shows; `reveal()` is the one way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True)
class NetworkMap:
    """Which target network each interface is connected to.

    pairs: (interface, target). default: the target of every interface that no pair names.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    default: str = "default"

    def target(self, interface: str) -> str:
        return dict(self.pairs).get(interface, self.default)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """How values of one type are read and written.

    parse: text to value; raises ValueError with the reason. format: value to the text that `parse` takes.
    valid: what is valid, in words, for an error and for the help. metavar: for the tables.
    bare: the value of a setting that stands without `=`. dump: the printed form where it is not `format`.
    """

    metavar: str
    valid: str
    parse: Callable[[str], T | None]
    format: Callable[[T], str]
    bare: T | None = None
    dump: Callable[[T], str] | None = None
    secret: bool = False


def _printable(text: str) -> str:
    if bad := re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        raise ValueError(f"it contains the control character {bad[0]!r}")
    # Bytes that are not UTF-8 come from argv as lone surrogates: they could be neither sent nor written to XML.
    if bad := re.search(r"[\ud800-\udfff\ufffe\uffff]", text):
        raise ValueError(f"it contains {bad[0]!r}, which is no character (is it UTF-8?)")
    return text


def _optional_text(text: str) -> str | None:
    return _printable(text) or None


def _matching(pattern: str, reason: str, max_length: int | None = None) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not text:
            raise ValueError("it is empty")
        _printable(text)
        if max_length is not None and len(text) > max_length:
            raise ValueError(f"it has {len(text)} characters")
        if not compiled.fullmatch(text):
            raise ValueError(reason)
        return text

    return parse


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
            raise ValueError("it is not a whole number")
        number = int(text)
        if not low <= number <= high:
            raise ValueError(f"it is {'below' if number < low else 'above'} the limit")
        return number

    return parse


_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off"})


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE or not text:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("it is neither true nor false")


_SIZE: Final = re.compile(r"([0-9]{1,18})(?:([kKMGTP])(B|iB)?)?")


def _memory(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("it is not a size")
    number, suffix, unit = match.groups()
    # xstrtoull() in the peer: `G` and `GiB` count in 1024s, `GB` in 1000s.
    size = int(number)
    if suffix:
        size *= (1000 if unit == "B" else 1024) ** ("KMGTP".index(suffix.upper()) + 1)
    if size < MIN_MEMORY:
        raise ValueError(f"it means {size} bytes, too little for a guest")
    if size > MAX_MEMORY:
        raise ValueError(f"it means {size} bytes, more than any machine has")
    return size


def _format_memory(size: int) -> str:
    for power, suffix in ((30, "G"), (20, "M")):
        if size % (1 << power) == 0:
            return f"{size >> power}{suffix}"
    return str(size)


def _list(text: str) -> tuple[str, ...]:
    items = tuple(_printable(text).split(",")) if text else ()
    if "" in items:
        raise ValueError("an item of the list is empty")
    return items


def _network_map(text: str) -> NetworkMap:
    pairs: dict[str, str] = {}
    default: str | None = None
    for item in _list(text):
        interface, colon, target = item.partition(":")
        if not colon:
            if default is not None:
                raise ValueError(f"it has two default networks, {default!r} and {item!r}")
            default = item
        elif not interface or not target:
            raise ValueError(f"{item!r} lacks the interface or the network")
        elif interface in pairs:
            raise ValueError(f"it connects {interface!r} twice")
        else:
            pairs[interface] = target
    return NetworkMap(tuple(pairs.items()), default if default is not None else "default")


def _format_network_map(network_map: NetworkMap) -> str:
    pairs = [f"{interface}:{target}" for interface, target in network_map.pairs]
    default = [] if pairs and network_map.default == NetworkMap.default else [network_map.default]
    return ",".join(pairs + default)


def _fingerprints(text: str) -> tuple[str, ...]:
    # Not "none": an empty variable in a boot configuration must not switch the check off.
    if not text:
        raise ValueError("it is empty")
    for item in _list(text):
        if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", item):
            raise ValueError(f"{item!r} is not a SHA256 fingerprint")
    return tuple(item.rstrip("=") for item in _list(text))


def without_password(url: str) -> str:
    """The URL as it may be shown: a password in `scheme://user:password@host` is hidden."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://[^/?#@:]*):[^/?#]*@", rf"\1:{HIDDEN}@", url)


def _choice(*choices: str) -> Kind[str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("it is none of the choices")
        return text

    return Kind("|".join(choices), "one of: " + ", ".join(choices), parse, str)


def _text(metavar: str, valid: str) -> Kind[str]:
    return Kind(metavar, valid, _optional_text, str)


def _list_kind(metavar: str, valid: str) -> Kind[tuple[str, ...]]:
    return Kind(metavar, valid, _list, ",".join, dump=lambda items: " ".join(items) or NO_VALUE)


def _number(low: int, high: int, metavar: str = "N") -> Kind[int]:
    return Kind(metavar, f"a whole number from {low} to {high}", _whole_number(low, high), str)


def _server(text: str) -> str:
    """A host name, or an IP address; an IPv6 address may stand in brackets."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host:
        try:
            ipaddress.IPv6Address(_printable(host))
        except ValueError as error:
            raise ValueError("it is neither a name nor an IPv6 address (the port belongs in p2v.port)") from error
    else:
        _matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "no host is called so")(host)
    return text


def _secret(text: str) -> Secret | None:
    return Secret(_printable(text)) if text else None


def _command(text: str) -> str:
    return _printable(text)


BOOLEAN: Final = Kind(
    "",
    "no value, or true or false (also yes/no, on/off, 1/0)",
    _boolean,
    lambda flag: "true" if flag else "false",
    bare=True,
)
SECRET: Final = Kind("TEXT", "any text without control characters", _secret, Secret.reveal, secret=True)
COMMAND: Final = Kind('"COMMAND ARG ..."', "a shell command, or nothing", _command, str)
MEMORY: Final = Kind(
    "n(M|G)",
    "a size of at least 64M with its unit, such as 1024M or 16G (a plain number is bytes)",
    _memory,
    _format_memory,
    dump=str,
)
SERVER: Final = Kind(
    "SERVER",
    "a host name or an IP address",
    _server,
    str,
)
USER_NAME: Final = Kind(
    "USERNAME",
    "a login name: letters, digits and . _ - @ \\ +, no leading '-'",
    _matching(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\+$-]*", "it has a character that no login name has"),
    str,
)
IDENTITY_URL: Final = Kind(
    "URL",
    "a URL such as https://host/id, file:///path/to/id",
    _matching(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+", "it is not a URL"),
    str,
    dump=without_password,
)
GUEST_NAME: Final = Kind(
    "GUESTNAME",
    f"letters, digits and . _ - + (at most {MAX_GUEST_NAME}), the first one a letter or a digit",
    # The name becomes file names, a libvirt domain and words in scripts on the server: nothing that any of these
    # could read as syntax is let in.
    _matching(r"[A-Za-z0-9][A-Za-z0-9._+-]*", "it has a character that a guest's name cannot have", MAX_GUEST_NAME),
    str,
)
OUTPUT_MODE: Final = Kind(
    "(local|libvirt|...)",
    "an output mode of the server's virt-v2v",
    _matching(r"[a-z0-9][a-z0-9-]*", "it is not the name of an output mode"),
    str,
)
ROOT: Final = Kind(
    "(first|single|/dev/DEVICE)",
    "first, single, or the device of the root file system such as /dev/sda2",
    # "ask" needs a terminal that virt-v2v does not have here: it would end at once.
    _matching(r"first|single|/dev/[A-Za-z0-9/_.+-]+", "it is none of these"),
    str,
)
FINGERPRINTS: Final = Kind(
    "SHA256:...,...", "fingerprints as ssh prints them: SHA256: and 43 characters", _fingerprints, ",".join
)
NETWORK_MAP: Final = Kind(
    "interface:target,...",
    "interface:network pairs and at most one default network, by commas",
    _network_map,
    _format_network_map,
    dump=lambda network_map: _format_network_map(network_map).replace(",", " "),
)


@dataclass(frozen=True)
class Setting:
    """One declared setting. name and aliases: without the `p2v.`. attribute: the field of `Settings`.

    default_words: the default as a reader sees it, where the value alone would not say it.
    peer: virt-p2v has it. dumped: `p2v.dump_config_and_exit` prints it.
    """

    name: str
    attribute: str
    kind: Kind[Any]
    default: Any
    help: str
    aliases: tuple[str, ...] = ()
    default_words: str | None = None
    peer: bool = True
    dumped: bool = True

    @property
    def short_name(self) -> str:
        """The name that users know best: the oldest alias where there is one."""
        return self.aliases[0] if self.aliases else self.name

    def parse(self, text: str) -> Any:
        """The value that `text` means. Raises SettingsError naming the setting, the reason and what is valid."""
        try:
            return self.kind.parse(text)
        except ValueError as error:
            shown = HIDDEN if self.kind.secret else without_password(text)
            raise SettingsError(
                f"p2v.{self.short_name}={shown!r} cannot be used: {error}.",
                f"Valid is {self.kind.valid}.",
                setting=self.name,
            ) from error

    def parse_bare(self) -> Any:
        """The value of the setting given without `=`. Raises SettingsError where it needs a value."""
        if self.kind.bare is None:
            raise SettingsError(
                f"p2v.{self.short_name} has no value.",
                f"Write p2v.{self.short_name}=VALUE. Valid is {self.kind.valid}.",
                setting=self.name,
            )
        return self.kind.bare

    def format(self, value: Any) -> str:
        return self.kind.format(value)

    def dump(self, value: Any) -> str:
        """The value as the dump shows it; a secret never shows."""
        if value is None:
            return NO_VALUE
        if self.kind.secret:
            return HIDDEN
        return (self.kind.dump or self.kind.format)(value)


@dataclass(frozen=True)
class _Declaration:
    name: str
    kind: Kind[Any]
    help: str
    aliases: tuple[str, ...]
    default_words: str | None
    peer: bool
    dumped: bool


def _setting(
    name: str,
    *aliases: str,
    kind: Kind[Any],
    help: str,
    default: Any = None,
    default_words: str | None = None,
    peer: bool = True,
    dumped: bool = True,
) -> Any:
    declaration = _Declaration(name, kind, help, aliases, default_words, peer, dumped)
    return dataclasses.field(default=default, metadata={"declaration": declaration})


_FROM_MACHINE: Final = "the physical machine's"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the operator asked for. None means: not said, so that the default of the machine or of the mode holds."""

    server: str | None = _setting(
        "remote.server",
        "server",
        kind=SERVER,
        help="The name or IP address of the conversion server. Without it p2v-tui is interactive.",
    )
    port: int = _setting(
        "remote.port", "port", kind=_number(1, 65535, "PORT"), default=22, help="The SSH port there."
    )
    hostkey: tuple[str, ...] | None = _setting(
        "remote.hostkey",
        "hostkey",
        kind=FINGERPRINTS,
        peer=False,
        default_words="the key of the first connection, for the whole run",
        help="The fingerprint of the conversion server's host key, or several. A server with any other key is "
        "refused.",
    )
    username: str = _setting(
        "auth.username", "username", kind=USER_NAME, default="root", help="The user to log in as there."
    )
    password: Secret | None = _setting(
        "auth.password",
        "password",
        kind=SECRET,
        default_words="asked for once, where there is a terminal",
        help="The SSH password. Ignored when p2v.identity is given.",
    )
    identity_url: str | None = _setting(
        "auth.identity.url",
        "identity",
        kind=IDENTITY_URL,
        help="The URL of an SSH private key without a passphrase: http, https, file, or whatever curl(1) knows. "
        "It overrides p2v.password.",
    )
    sudo: bool = _setting(
        "auth.sudo", "sudo", kind=BOOLEAN, default=False, help="Run virt-v2v there by sudo, which may not ask."
    )
    guestname: str | None = _setting(
        "guestname",
        "name",
        kind=GUEST_NAME,
        default_words="the machine's host name, else a random one",
        help="The name of the guest.",
    )
    phys_topo: bool = _setting(
        "vcpu.phys_topo",
        kind=BOOLEAN,
        default=False,
        help="Give the guest the machine's sockets, cores and threads; p2v.vcpu.cores is then ignored.",
    )
    vcpus: int | None = _setting(
        "vcpu.cores",
        kind=_number(1, 4096),
        default_words="the machine's online logical processors",
        help="The number of virtual CPUs of the guest.",
    )
    memory: int | None = _setting(
        "memory", kind=MEMORY, default_words="the memory installed in the machine", help="The guest's memory."
    )
    cpu_vendor: str | None = _setting(
        "cpu.vendor",
        kind=_text("VENDOR", "a CPU vendor that libvirt knows, such as Intel or AMD"),
        default_words=_FROM_MACHINE,
        help="The vendor of the virtual CPU.",
    )
    cpu_model: str | None = _setting(
        "cpu.model",
        kind=_text("MODEL", "a CPU model that libvirt knows, such as IvyBridge"),
        default_words="virt-v2v's choice",
        help="The model of the virtual CPU.",
    )
    cpu_acpi: bool | None = _setting(
        "cpu.acpi", kind=BOOLEAN, default_words=_FROM_MACHINE, help="Whether the guest has ACPI."
    )
    cpu_apic: bool | None = _setting(
        "cpu.apic", kind=BOOLEAN, default_words=_FROM_MACHINE, help="Whether the guest has an APIC."
    )
    cpu_pae: bool | None = _setting(
        "cpu.pae", kind=BOOLEAN, default_words=_FROM_MACHINE, help="Whether the guest has PAE."
    )
    rtc_basis: str | None = _setting(
        "rtc.basis",
        kind=_choice("unknown", "utc", "localtime"),
        default_words=_FROM_MACHINE,
        help="The basis of the real-time clock. No virt-v2v reads it so far: it is only shown.",
    )
    rtc_offset: int | None = _setting(
        "rtc.offset",
        kind=_number(-86400, 86400, "SECONDS"),
        default_words=_FROM_MACHINE,
        help="The real-time clock's offset from its basis, in seconds. No virt-v2v reads it so far.",
    )
    disks: tuple[str, ...] | None = _setting(
        "disks",
        kind=_list_kind("sda,sdb,...", "names of fixed disks, or absolute paths of disk images, by commas"),
        default_words="all fixed disks",
        help="The fixed disks to convert; the first one is the guest's boot disk.",
    )
    removable: tuple[str, ...] | None = _setting(
        "removable",
        kind=_list_kind("sr0,...", "names of CD, DVD and floppy drives by commas"),
        default_words="all of them",
        help="The removable drives that the guest gets, empty.",
    )
    interfaces: tuple[str, ...] | None = _setting(
        "interfaces",
        kind=_list_kind("em1,...", "names of network interfaces by commas"),
        default_words="all physical ones",
        help="The network interfaces that the guest gets.",
    )
    network_map: NetworkMap | None = _setting(
        "network_map",
        "network",
        kind=NETWORK_MAP,
        default_words="the network `default` for all",
        help="The target network of each interface: p2v.network=em1:rhevm,em2:management,other connects em1 to "
        "rhevm, em2 to management and all others to other.",
    )
    output_type: str = _setting(
        "output.type", "o", kind=OUTPUT_MODE, default="local", help="The output mode, virt-v2v's -o."
    )
    output_allocation: str = _setting(
        "output.allocation",
        "oa",
        kind=_choice("none", "sparse", "preallocated"),
        default="none",
        default_words="virt-v2v's own",
        help="The output allocation, virt-v2v's -oa.",
    )
    output_connection: str | None = _setting(
        "output.connection",
        "oc",
        kind=_text("URI", "a URI as the output mode wants it"),
        help="The output connection, virt-v2v's -oc.",
    )
    output_format: str | None = _setting(
        "output.format",
        "of",
        kind=Kind("(raw|qcow2)", "a disk format such as raw or qcow2", _matching(r"[a-z0-9]+", "it is none"), str),
        default_words="virt-v2v's own",
        help="The format of the guest's disks, virt-v2v's -of.",
    )
    output_storage: str | None = _setting(
        "output.storage",
        "os",
        kind=_text("STORAGE", "a directory, pool or storage as the output mode wants it"),
        default_words="/var/tmp where the mode takes a directory, else none",
        help="The output storage on the conversion server, virt-v2v's -os.",
    )
    output_misc: tuple[str, ...] = _setting(
        "output.misc",
        "oo",
        kind=_list_kind("OPTION=VALUE,...", "OPTION=VALUE items by commas"),
        default=(),
        default_words="none",
        help="Further options of the output mode, each one a virt-v2v -oo.",
    )
    output_password: Secret | None = _setting(
        "output.password",
        "op",
        kind=SECRET,
        peer=False,
        help="The password for the output connection. It is sent as a file that only virt-v2v's user can read, "
        "passed as -op, and removed at the end.",
    )
    root: str = _setting(
        "root",
        kind=ROOT,
        peer=False,
        default="first",
        help="Which operating system to convert where there are several, virt-v2v's --root.",
    )
    nbd: str | None = _setting(
        "nbd",
        kind=_choice("nbdkit", "qemu-nbd"),
        peer=False,
        default_words="nbdkit, else qemu-nbd",
        help="The program that serves the disks, read-only.",
    )
    target_firmware: str = _setting(
        "target.firmware",
        kind=_choice("auto", "bios", "uefi"),
        peer=False,
        default="auto",
        default_words="auto: as the machine boots, where that is sure, else virt-v2v finds out",
        help="The firmware of the guest.",
    )
    pre: str | None = _setting("pre", kind=COMMAND, dumped=False, help="A command to run before the conversion.")
    post: str | None = _setting(
        "post",
        kind=COMMAND,
        dumped=False,
        default_words="poweroff for root booted with it on /proc/cmdline, else nothing",
        help="A command to run after a successful conversion.",
    )
    fail: str | None = _setting(
        "fail", kind=COMMAND, dumped=False, help="A command to run after any failure, the connection's too."
    )
    skip_test_connection: bool = _setting(
        "skip_test_connection",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        help="Do not wait for the network and do not test the connection first.",
    )
    debug: bool = _setting(
        "debug",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        help="Full debugging of virt-v2v (-v -x) in the conversion log.",
    )
    dump_config_and_exit: bool = _setting(
        "dump_config_and_exit",
        kind=BOOLEAN,
        default=False,
        dumped=False,
        help="Print the settings with the machine's defaults filled in, secrets hidden, and exit.",
    )


def _declared(field: dataclasses.Field[Any]) -> Setting:
    declaration: _Declaration = field.metadata["declaration"]
    return Setting(
        name=declaration.name,
        attribute=field.name,
        kind=declaration.kind,
        default=field.default,
        help=declaration.help,
        aliases=declaration.aliases,
        default_words=declaration.default_words,
        peer=declaration.peer,
        dumped=declaration.dumped,
    )


SETTINGS: Final[tuple[Setting, ...]] = tuple(_declared(field) for field in dataclasses.fields(Settings))
BY_KEY: Final[dict[str, Setting]] = {
    f"p2v.{key}": setting for setting in SETTINGS for key in (setting.name, *setting.aliases)
}


def dump(settings: Settings, local_version: str, remote_version: str) -> str:
    """The settings as virt-p2v's print_config() prints them: `%-20s %s` a line, the two versions first.

    Secrets show as ***; the settings that the peer lacks come last, so that its lines keep their places.
    """
    shown = sorted((setting for setting in SETTINGS if setting.dumped), key=lambda setting: not setting.peer)
    rows: Sequence[tuple[str, str]] = [
        ("local version", local_version),
        ("remote version", remote_version),
        *((setting.name, setting.dump(getattr(settings, setting.attribute))) for setting in shown),
    ]
    return "".join(f"{name:<20} {value}\n" for name, value in rows)
