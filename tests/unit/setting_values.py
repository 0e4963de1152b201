"""Hypothesis strategies for the values of every setting, as an operator could give them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from p2v_tui.config import SETTINGS, Settings
from p2v_tui.kinds import MAX_MEMORY, MIN_MEMORY, AcceptedWarnings, KeySource, NetworkMap, Secret

# No control characters, and no double quote: the kernel's syntax cannot carry one.
_VISIBLE = st.characters(exclude_categories=["Cc", "Cs", "Cn"], exclude_characters='"')
TEXT = st.text(_VISIBLE, min_size=1, max_size=20)
_ITEM = st.text(_VISIBLE.filter(lambda character: character != ","), min_size=1, max_size=10)
_LIST = st.lists(_ITEM, max_size=4).map(tuple)
_INTERFACE = _ITEM.filter(lambda item: ":" not in item)
_OPTIONAL_TEXT = st.none() | TEXT
_BOOLEAN = st.booleans()
_OPTIONAL_BOOLEAN = st.none() | st.booleans()
_SECRET = st.none() | TEXT.map(Secret)
_COMMAND = st.none() | st.text(_VISIBLE, max_size=20)

NETWORK_MAPS = st.builds(
    NetworkMap,
    pairs=st.dictionaries(_INTERFACE, _ITEM, max_size=3).map(lambda pairs: tuple(pairs.items())),
    default=_INTERFACE,
)
_FINGERPRINT = st.from_regex(r"SHA256:[A-Za-z0-9+/]{43}", fullmatch=True)

# What a command line can say. A passphrase that was typed is not among it.
_VOLUME = st.from_regex(r"[a-z0-9/.@_-]{1,12}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", fullmatch=True)
_URL = st.from_regex(r"(https|file|ftp):[a-z0-9/%?&=#.,:@'-]{1,20}", fullmatch=True)
KEY_SOURCES = st.lists(
    st.builds(KeySource, _VOLUME.filter(lambda volume: volume != "all"), url=_URL.map(Secret)), max_size=3
).map(tuple)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "server": st.none() | st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}|\[fe80::[0-9a-f]{1,4}%em1\]|::1", fullmatch=True),
    "port": st.integers(1, 65535),
    "hostkey": st.none() | st.lists(_FINGERPRINT, min_size=1, max_size=3).map(tuple),
    "username": st.from_regex(r"[a-z_][a-z0-9_.@\\-]{0,20}", fullmatch=True),
    "password": _SECRET,
    "identity_url": st.none() | st.from_regex(r"(https|file|ftp):[a-z0-9/%?&=#.,'-]{1,20}", fullmatch=True),
    "sudo": _BOOLEAN,
    "guestname": st.none()
    | st.from_regex(r"[A-Za-z0-9é東]([A-Za-z0-9é東 ._+()@#&-]{0,198}[A-Za-z0-9é東._+()@#&-])?", fullmatch=True),
    "phys_topo": _BOOLEAN,
    "vcpus": st.none() | st.integers(1, 4096),
    "memory": st.none() | st.integers(MIN_MEMORY, MAX_MEMORY) | st.integers(64, 1 << 20).map(lambda mib: mib << 20),
    "cpu_vendor": _OPTIONAL_TEXT,
    "cpu_model": _OPTIONAL_TEXT,
    "cpu_acpi": _OPTIONAL_BOOLEAN,
    "cpu_apic": _OPTIONAL_BOOLEAN,
    "cpu_pae": _OPTIONAL_BOOLEAN,
    "rtc_basis": st.sampled_from([None, "unknown", "utc", "localtime"]),
    "rtc_offset": st.none() | st.integers(-86400, 86400),
    "disks": st.none() | _LIST,
    "removable": st.none() | _LIST,
    "interfaces": st.none() | _LIST,
    "network_map": st.none() | NETWORK_MAPS,
    "output_type": st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
    "output_allocation": st.sampled_from(["none", "sparse", "preallocated"]),
    "output_connection": _OPTIONAL_TEXT,
    "output_format": st.sampled_from([None, "raw", "qcow2"]),
    "output_storage": _OPTIONAL_TEXT,
    "output_misc": st.lists(
        st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,10}(=[a-z,\\ =:/@]{0,10})?", fullmatch=True), max_size=4
    ).map(tuple),
    "output_password": _SECRET,
    "keys": KEY_SOURCES,
    "root": st.sampled_from(["first", "single", "/dev/sda2", "/dev/vg0/root"]),
    "nbd": st.sampled_from([None, "nbdkit", "qemu-nbd"]),
    "target_firmware": st.sampled_from(["auto", "bios", "uefi"]),
    "pre": _COMMAND,
    "post": _COMMAND,
    "fail": _COMMAND,
    "reconnect": st.integers(0, 604800),
    "skip_test_connection": _BOOLEAN,
    "accept_warnings": st.builds(AcceptedWarnings, every=_BOOLEAN)
    | st.lists(st.sampled_from(["space", "clock", "failing-disks"]), min_size=1, unique=True).map(
        lambda keys: AcceptedWarnings(keys=tuple(keys))
    ),
    "debug": _BOOLEAN,
    "dump_config_and_exit": _BOOLEAN,
    "dry_run": _BOOLEAN,
    "interactive": _BOOLEAN,
    "ssh_key": _OPTIONAL_TEXT,
    "keymap": _OPTIONAL_TEXT,
    "shell": _BOOLEAN,
}


def all_settings() -> st.SearchStrategy[Settings]:
    """Settings of which each may be at its default or not. A setting without a strategy is an error of the test."""
    assert {setting.attribute for setting in SETTINGS} == set(VALUES)
    given = {setting.attribute: st.just(setting.default) | VALUES[setting.attribute] for setting in SETTINGS}
    return st.builds(Settings, **given)
