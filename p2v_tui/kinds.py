"""The kinds of values that settings have: how each is read, checked and written.

A kind knows nothing of settings: `config.py` declares which setting is of which kind. The forms are those of
virt-p2v 1.42 (generate-p2v-config.pl) where it has them.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from p2v_tui.secrecy import HIDDEN, is_secret_name, option_without_secret, without_secrets

T = TypeVar("T")

MIN_MEMORY: Final = 64 * 1024 * 1024
MAX_MEMORY: Final = 1 << 50
MAX_GUEST_NAME: Final = 200
NO_VALUE: Final = "(none)"


class Secret:
    """A text that no repr, log or message shows; only `reveal()` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def from_bytes(cls, content: bytes) -> Secret:
        """A secret from a file; it need not be UTF-8."""
        return cls(content.decode(errors="surrogateescape"))

    def reveal(self) -> str:
        return self._text

    def encode(self) -> bytes:
        """The text as bytes, those that `from_bytes` was given."""
        return self._text.encode(errors="surrogateescape")

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
class KeySource:
    """Where the key of one encrypted volume comes from: a URL or what the operator typed, exactly one of them.

    volume: its UUID or its device name, as the operator wrote it.
    """

    volume: str
    url: Secret | None = None
    passphrase: Secret | None = None


@dataclass(frozen=True)
class AcceptedWarnings:
    """Which checks may warn without asking anybody: all, or those with these keys, which are not validated here."""

    every: bool = False
    keys: tuple[str, ...] = ()

    def accepts(self, key: str) -> bool:
        return self.every or key in self.keys


@dataclass(frozen=True)
class Kind(Generic[T]):
    """How values of one type are read and written.

    parse: text to value; raises ValueError with the reason, to be printed after the text: `is not a size`. format:
    value to the text that `parse` takes. valid: what is valid, in words, for errors and help. metavar: for the
    tables. bare: the value of a setting without `=`. dump: the printed form, if it is not `format`; without secrets.
    words: only for a setting that adds to its value, a tuple, when it is given again: the texts that together mean
    the value, each for `parse`. hide: returns a text for such a setting, valid or not, without its secrets. kept:
    False if a value may contain a secret that cannot be separated from the rest: then it is neither stored nor sent.
    empty: whether an empty text on a command line is a value; if not, it means that nothing was given, as when a
    template's variable is not set. choices: values to offer, if they are few.
    """

    metavar: str
    valid: str
    parse: Callable[[str], T | None]
    format: Callable[[T], str]
    bare: T | None = None
    dump: Callable[[T], str] | None = None
    secret: bool = False
    words: Callable[[T], list[str]] | None = None
    hide: Callable[[str], str] = without_secrets
    kept: bool = True
    empty: bool = False
    choices: tuple[str, ...] = ()


def _printable(text: str) -> str:
    if bad := re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        raise ValueError(f"contains the control character {bad[0]!r}")
    # Bytes that are not UTF-8 come from argv as lone surrogates, which cannot be sent or written to XML.
    if bad := re.search(r"[\ud800-\udfff\ufffe\uffff]", text):
        raise ValueError(f"contains {bad[0]!r}, which is not a character (is it UTF-8?)")
    return text


def _optional_text(text: str) -> str | None:
    return _printable(text) or None


def matching(pattern: str, reason: str, max_length: int | None = None) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not text:
            raise ValueError("is empty")
        _printable(text)
        if max_length is not None and len(text) > max_length:
            raise ValueError(f"has {len(text)} characters")
        if not compiled.fullmatch(text):
            raise ValueError(reason)
        return text

    return parse


def _guest_name(text: str) -> str:
    """The name becomes file names, a libvirt domain, and arguments of nbdkit and qemu-img, which read a colon or a
    comma as syntax. Which names an output mode takes is checked with the mode (output_mode_checks.py).
    """
    # A separate vowel sign or accent is a mark, not a letter, and `\w` does not match it.
    letters = "".join("x" if unicodedata.category(each).startswith("M") else each for each in text)
    matching(r"(?![_])\w([\w .+()@#&-]*[\w.+()@#&-])?", "is not a valid guest name", MAX_GUEST_NAME)(letters)
    return text


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,4000}", text):
            raise ValueError("is not a whole number")
        number = int(text)
        if not low <= number <= high:
            raise ValueError(f"is {'below' if number < low else 'above'} the limit")
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
    raise ValueError("is neither true nor false")


def _accepted_warnings(text: str) -> AcceptedWarnings:
    if text.lower() in _TRUE or not text:
        return AcceptedWarnings(every=True)
    if text.lower() in _FALSE:
        return AcceptedWarnings()
    for key in _list(text):
        if not re.fullmatch(r"[a-z]+(-[a-z]+)*", key):
            raise ValueError(f"has {key!r}, which is not the name of a check")
    return AcceptedWarnings(keys=tuple(dict.fromkeys(_list(text))))


def _format_accepted_warnings(accepted: AcceptedWarnings) -> str:
    return ",".join(accepted.keys) or BOOLEAN.format(accepted.every)


_SIZE: Final = re.compile(r"([0-9]{1,18})(?:([kKMGTP])(B|iB)?)?")


def _memory(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("is not a size")
    number, suffix, unit = match.groups()
    # xstrtoull() in the peer: `G` and `GiB` count in 1024s, `GB` in 1000s.
    size = int(number)
    if suffix:
        size *= (1000 if unit == "B" else 1024) ** ("KMGTP".index(suffix.upper()) + 1)
    if size < MIN_MEMORY:
        raise ValueError(f"means {size} bytes, too little for a guest")
    if size > MAX_MEMORY:
        raise ValueError(f"means {size} bytes, more than any machine has")
    return size


def _format_memory(size: int) -> str:
    for power, suffix in ((30, "G"), (20, "M")):
        if size % (1 << power) == 0:
            return f"{size >> power}{suffix}"
    return str(size)


def _list(text: str) -> tuple[str, ...]:
    items = tuple(_printable(text).split(",")) if text else ()
    if "" in items:
        raise ValueError("has an empty item")
    return items


_OPTION: Final = re.compile(r"((?:\\[\\,]|[^,])*)(,?)")


def _raw_options(text: str) -> list[str]:
    """The items, as written: a comma or a backslash inside one has a backslash before it."""
    items, start, comma = [], 0, ","
    while comma:
        match = _OPTION.match(text, start)
        assert match  # It also matches the empty text.
        items.append(match[1])
        start, comma = match.end(), match[2]
    return items


def _options(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    options = tuple(re.sub(r"\\([\\,])", r"\1", item) for item in _raw_options(_printable(text)))
    for number, option in enumerate(options, 1):
        if not option:
            raise ValueError("has an empty item")
        # Without its text, which may be the end of a password with a comma. The output mode handles `?`.
        if not re.match(r"\?|[A-Za-z0-9][A-Za-z0-9_.-]*(=|$)", option):
            raise ValueError(f"has an item that is not NAME=VALUE: number {number}")
    return options


def _format_options(options: tuple[str, ...]) -> str:
    return ",".join(re.sub(r"([\\,])", r"\\\1", option) for option in options)


def _shown_options(text: str) -> list[str]:
    shown: list[str] = []
    in_secret = False
    for option in _raw_options(text):
        name, equals, _ = option.partition("=")
        # An item without a name belongs to a secret with an unescaped comma.
        if in_secret and not equals:
            continue
        in_secret = bool(equals) and is_secret_name(name)
        shown.append(option_without_secret(option))
    return shown


def _network_map(text: str) -> NetworkMap:
    pairs: dict[str, str] = {}
    default: str | None = None
    for item in _list(text):
        interface, colon, target = item.partition(":")
        if not colon:
            if default is not None:
                raise ValueError(f"has two default networks, {default!r} and {item!r}")
            default = item
        elif not interface or not target:
            raise ValueError(f"has an item without {'a network' if interface else 'an interface'}: {item!r}")
        elif interface in pairs:
            raise ValueError(f"connects {interface!r} twice")
        else:
            pairs[interface] = target
    return NetworkMap(tuple(pairs.items()), default if default is not None else "default")


def _format_network_map(network_map: NetworkMap) -> str:
    pairs = [f"{interface}:{target}" for interface, target in network_map.pairs]
    default = [] if pairs and network_map.default == NetworkMap.default else [network_map.default]
    return ",".join(pairs + default)


def _fingerprints(text: str) -> tuple[str, ...]:
    # Empty does not mean none: an empty variable in a boot configuration must not disable the check.
    if not text:
        raise ValueError("is empty")
    for item in _list(text):
        if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", item):
            raise ValueError(f"has {item!r}, which is not a SHA256 fingerprint")
    return tuple(item.rstrip("=") for item in _list(text))


_URL: Final = r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+"


def _key_source(text: str) -> tuple[KeySource, ...]:
    """One `VOLUME:URL`. Errors do not repeat the text, which may be a passphrase instead of a URL."""
    volume, colon, url = _printable(text).partition(":")
    if not colon:
        raise ValueError("has no ':' between the volume and the URL")
    if not re.fullmatch(r"\S+", volume):
        raise ValueError("does not start with the name or the UUID of a volume")
    if volume == "all":
        raise ValueError("has 'all' as its volume, but every volume has a key of its own")
    if not re.fullmatch(_URL, url):
        raise ValueError("has what is not a URL behind the volume")
    return (KeySource(volume, url=Secret(url)),)


def _key_words(sources: tuple[KeySource, ...]) -> list[str]:
    # A typed passphrase must not appear on a kernel command line.
    return [f"{source.volume}:{source.url.reveal()}" for source in sources if source.url]


def choice(*choices: str) -> Kind[str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return text

    return Kind("|".join(choices), "one of: " + ", ".join(choices), parse, str, choices=choices)


def text(metavar: str, valid: str) -> Kind[str]:
    return Kind(metavar, valid, _optional_text, str)


def list_of(metavar: str, valid: str) -> Kind[tuple[str, ...]]:
    return Kind(metavar, valid, _list, ",".join, dump=lambda items: " ".join(items) or NO_VALUE, empty=True)


def number(low: int, high: int, metavar: str = "N") -> Kind[int]:
    return Kind(metavar, f"a whole number from {low} to {high}", _whole_number(low, high), str)


def _server(text: str) -> str:
    """A host name, or an IP address; an IPv6 address may stand in brackets."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host:
        try:
            ipaddress.IPv6Address(_printable(host))
        except ValueError as error:
            raise ValueError("is neither a host name nor an IPv6 address (the port belongs in p2v.port)") from error
    else:
        matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "is not a valid host name")(host)
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
    # As in virt-p2v.
    empty=True,
)
ACCEPTED_WARNINGS: Final = Kind(
    "[CHECK,...]",
    "no value or true (all checks), false (none), or names of checks from docs/preflight.md, separated by commas",
    _accepted_warnings,
    _format_accepted_warnings,
    bare=AcceptedWarnings(every=True),
)
SECRET: Final = Kind("TEXT", "any text without control characters", _secret, Secret.reveal, secret=True)
COMMAND: Final = Kind('"COMMAND ARG ..."', "a shell command, or nothing", _command, str, kept=False, empty=True)
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
    # Otherwise a machine of a fleet would wait for an operator.
    empty=True,
)
USER_NAME: Final = Kind(
    "USERNAME",
    "a login name: letters, digits and . _ - @ \\ +, no leading '-'",
    matching(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\+$-]*", "is not a valid login name"),
    str,
)
IDENTITY_URL: Final = Kind(
    "URL",
    "a URL such as https://host/id, file:///path/to/id",
    matching(_URL, "is not a URL"),
    str,
)
KEYS: Final = Kind(
    "VOLUME:URL",
    "the name (sda2) or the UUID of an encrypted volume, a colon, and a URL such as https://host/key or "
    "file:///path/to/key",
    _key_source,
    lambda sources: " ".join(_key_words(sources)),
    dump=lambda sources: " ".join(f"{source.volume}:{HIDDEN}" for source in sources) or NO_VALUE,
    # Whoever has the URL can get the key.
    secret=True,
    words=_key_words,
)
GUEST_NAME: Final = Kind(
    "GUESTNAME",
    f"letters and digits of any script, spaces and . _ - + ( ) @ # &, at most {MAX_GUEST_NAME}; a letter or digit "
    "first, no space at the end",
    _guest_name,
    str,
)
OUTPUT_MODE: Final = Kind(
    "(local|libvirt|...)",
    "an output mode of the server's virt-v2v",
    matching(r"[a-z0-9][a-z0-9-]*", "is not the name of an output mode"),
    str,
)
ROOT: Final = Kind(
    "(first|single|/dev/DEVICE)",
    "first, single, or the device of the root file system such as /dev/sda2",
    # "ask" needs a terminal, which virt-v2v does not have here: it would end at once.
    matching(r"first|single|/dev/[A-Za-z0-9/_.+-]+", "is not first, single or a device"),
    str,
    choices=("first", "single"),
)
FINGERPRINTS: Final = Kind(
    "SHA256:...,...",
    "fingerprints as ssh prints them: SHA256: and 43 characters",
    _fingerprints,
    ",".join,
    # An empty variable in a boot configuration must not disable the check.
    empty=True,
)
OPTIONS: Final = Kind(
    "OPTION=VALUE,...",
    "OPTION=VALUE items, separated by commas; write a comma inside a value as `\\,` and a backslash as `\\\\`",
    _options,
    _format_options,
    dump=lambda options: " ".join(_shown_options(_format_options(options))),
    words=lambda options: [_format_options(options)] if options else [],
    hide=lambda text: ",".join(_shown_options(text)),
)
NETWORK_MAP: Final = Kind(
    "interface:target,...",
    "interface:network pairs and at most one default network, separated by commas",
    _network_map,
    _format_network_map,
    dump=lambda network_map: _format_network_map(network_map).replace(",", " "),
)
