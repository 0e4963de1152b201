"""The declared settings: their names, their values, what is refused and how, and the dump."""

from __future__ import annotations

import functools
import lzma
import operator
import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui import cmdline, hwprobe
from p2v_tui.config import BY_KEY, SETTINGS, Settings
from p2v_tui.errors import SettingsError
from p2v_tui.kinds import (
    MAX_GUEST_NAME,
    MAX_MEMORY,
    MIN_MEMORY,
    KeySource,
    NetworkMap,
    Secret,
)
from p2v_tui.secrecy import HIDDEN, without_secrets
from p2v_tui.session.plan.plan import fill_in
from p2v_tui.setting_names import SettingName
from p2v_tui.setting_texts import dump
from tests.unit.setting_values import VALUES, all_settings

SECRET = "Tr0ub4dor&3"

# What virt-p2v 1.42 calls its settings: the full name, and its older alias where it has one (facts of the peer).
PEERS_NAMES = {
    "remote.server": "server",
    "remote.port": "port",
    "auth.username": "username",
    "auth.password": "password",
    "auth.identity.url": "identity",
    "auth.sudo": "sudo",
    "guestname": "name",
    "vcpu.phys_topo": None,
    "vcpu.cores": None,
    "memory": None,
    "cpu.vendor": None,
    "cpu.model": None,
    "cpu.acpi": None,
    "cpu.apic": None,
    "cpu.pae": None,
    "rtc.basis": None,
    "rtc.offset": None,
    "disks": None,
    "removable": None,
    "interfaces": None,
    "network_map": "network",
    "output.type": "o",
    "output.allocation": "oa",
    "output.connection": "oc",
    "output.format": "of",
    "output.storage": "os",
    "output.misc": "oo",
}
PEERS_OTHERS = ("pre", "post", "fail", "skip_test_connection", "dump_config_and_exit")


def value_of(key: str, text: str) -> object:
    return BY_KEY[f"p2v.{key}"].parse(text)


@pytest.mark.parametrize(("name", "alias"), PEERS_NAMES.items())
def test_every_name_and_alias_of_the_peer_means_the_same_setting(name: str, alias: str | None) -> None:
    assert BY_KEY[f"p2v.{name}"].name == name
    if alias is not None:
        assert BY_KEY[f"p2v.{alias}"] is BY_KEY[f"p2v.{name}"]


@pytest.mark.parametrize("name", PEERS_OTHERS)
def test_the_peers_settings_that_no_dump_shows_exist_too(name: str) -> None:
    assert not BY_KEY[f"p2v.{name}"].dumped


_NEW = ["remote.hostkey", "output.password", "key", "root", "nbd", "target.firmware", "accept_warnings"]


@pytest.mark.parametrize("name", [*_NEW, "interactive", "ssh_key", "keymap", "shell"])
def test_what_the_peer_lacks_is_marked_as_new(name: str) -> None:
    assert not BY_KEY[f"p2v.{name}"].peer


def test_no_two_settings_share_a_name_or_an_alias() -> None:
    assert len(BY_KEY) == sum(1 + len(setting.aliases) + len(setting.old_names) for setting in SETTINGS)


def test_the_names_that_errors_can_give_are_those_of_the_settings() -> None:
    assert get_args(SettingName) == tuple(setting.name for setting in SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_says_what_it_is_for_and_what_is_valid(setting: object) -> None:
    assert isinstance(setting, type(SETTINGS[0]))
    assert setting.help.endswith(".")
    assert setting.kind.valid


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024M", 1 << 30),
        ("1G", 1 << 30),
        ("1GiB", 1 << 30),
        ("1GB", 10**9),
        ("1073741824", 1 << 30),
        ("1048576k", 1 << 30),
        ("2T", 2 << 40),
        ("64M", MIN_MEMORY),
        ("1P", MAX_MEMORY),
    ],
)
def test_a_size_is_read_with_and_without_its_unit(text: str, size: int) -> None:
    assert value_of("memory", text) == size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("em1:rhevm,em2:management,other", NetworkMap((("em1", "rhevm"), ("em2", "management")), "other")),
        ("em1:rhevm", NetworkMap((("em1", "rhevm"),))),
        ("other", NetworkMap((), "other")),
        ("other,em1:rhevm", NetworkMap((("em1", "rhevm"),), "other")),
        ("em1.7:vlan:7", NetworkMap((("em1.7", "vlan:7"),))),
    ],
)
def test_the_network_map_is_read(text: str, value: NetworkMap) -> None:
    assert value_of("network", text) == value


def test_the_network_map_sends_what_it_does_not_name_to_its_default() -> None:
    network_map = NetworkMap((("em1", "rhevm"),), "other")
    assert network_map.target("em1") == "rhevm"
    assert network_map.target("em2") == "other"
    assert NetworkMap().target("em1") == "default"


def test_a_list_is_read_by_commas() -> None:
    assert value_of("disks", "sda,cciss/c0d0,/dev/mapper/mpatha") == ("sda", "cciss/c0d0", "/dev/mapper/mpatha")
    assert value_of("disks", "") == ()


def test_a_fingerprint_is_the_same_with_and_without_its_padding() -> None:
    print_ = "SHA256:" + "A" * 42 + "w"
    assert value_of("hostkey", f"{print_}=") == value_of("hostkey", print_) == (print_,)


BAD_VALUES = [
    ("port", "0", "1 to 65535"),
    ("port", "65536", "1 to 65535"),
    ("port", "-1", "1 to 65535"),
    ("port", "abc", "1 to 65535"),
    ("port", "", "1 to 65535"),
    ("port", "22 ", "1 to 65535"),
    ("port", "2\u0662", "1 to 65535"),
    ("port", "9" * 5000, "1 to 65535"),
    ("memory", "0", "16G"),
    ("memory", "-1", "16G"),
    ("memory", "lots", "16G"),
    ("memory", "", "16G"),
    ("memory", "16", "16G"),
    ("memory", "1.5G", "16G"),
    ("memory", "63M", "16G"),
    ("memory", "1025T", "16G"),
    ("memory", "1E", "16G"),
    ("memory", "9" * 5000, "16G"),
    ("vcpu.cores", "0", "1 to"),
    ("vcpu.cores", "two", "1 to"),
    ("oa", "thick", "none, sparse, preallocated"),
    ("oa", "", "none, sparse, preallocated"),
    ("o", "Local", "output mode"),
    ("o", "-os", "output mode"),
    ("o", "local;reboot", "output mode"),
    ("of", "qcow2 -x", "raw or qcow2"),
    ("name", "", "letters and digits"),
    ("name", "$(reboot)", "letters and digits"),
    ("name", "`reboot`", "letters and digits"),
    ("name", "it's", "letters and digits"),
    ("name", 'a"b', "letters and digits"),
    ("name", "my/guest", "letters and digits"),
    ("name", "ends with a space ", "letters and digits"),
    ("name", "nbd:guest", "letters and digits"),
    ("name", "a,format=raw", "letters and digits"),
    ("name", "two\nlines", "letters and digits"),
    ("name", "a" * 300, "at most"),
    ("name", "-rf", "letters and digits"),
    ("name", ".hidden", "letters and digits"),
    ("name", "../../etc", "letters and digits"),
    ("server", "", "host name"),
    ("server", "-oProxyCommand=reboot", "host name"),
    ("server", "two hosts", "host name"),
    ("server", "host;reboot", "host name"),
    ("server", "user@host", "host name"),
    ("server", "host\n", "host name"),
    ("username", "", "login name"),
    ("username", "-l", "login name"),
    ("username", "root;reboot", "login name"),
    ("identity", "", "https://"),
    ("identity", "/root/id", "https://"),
    ("identity", "-K", "https://"),
    ("hostkey", "SHA256:short", "fingerprints"),
    ("hostkey", "MD5:00:11", "fingerprints"),
    ("network", "em1:", "interface:network"),
    ("network", ":net", "interface:network"),
    ("network", "a,b", "interface:network"),
    ("network", "em1:a,em1:b", "interface:network"),
    ("network", "em1:a,,b", "interface:network"),
    ("disks", "sda,,sdb", "commas"),
    ("disks", "sda,", "commas"),
    ("disks", "sda\x1b[2J", "commas"),
    ("os", "/var/\x9b2J", "directory"),
    ("os", "/var/\udcff", "directory"),
    ("root", "ask", "first, single"),
    ("root", "sda2", "first, single"),
    ("rtc.basis", "gmt", "unknown, utc, localtime"),
    ("rtc.offset", "86401", "-86400 to 86400"),
    ("nbd", "nbd-server", "nbdkit, qemu-nbd"),
    ("target.firmware", "efi", "auto, bios, uefi"),
    ("sudo", "2", "true or false"),
]


@pytest.mark.parametrize(("key", "text", "valid"), BAD_VALUES)
def test_a_bad_value_is_refused_by_naming_it_the_reason_and_what_is_valid(key: str, text: str, valid: str) -> None:
    setting = BY_KEY[f"p2v.{key}"]
    with pytest.raises(SettingsError) as raised:
        setting.parse(text)
    error = raised.value
    assert error.setting == setting.name
    assert f"p2v.{key}={text!r}" in error.message
    reason = error.message.partition(f"={text!r} ")[2]
    assert re.match(r"(is|has|contains|means|connects) \S+", reason)
    assert valid in error.advice
    assert error.exit_code == 2
    assert error.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "my guest",
        "M\u00fcNCHEN",
        "Mu\u0308nchen",
        "\u041c\u043e\u0439 2",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "web_1+b.c-d",
        "R&D (old) #2",
        "9",
    ],
)
def test_a_guest_name_may_have_spaces_and_letters_of_any_script(text: str) -> None:
    assert value_of("name", text) == text


@pytest.mark.parametrize("text", ["9" * 25, "-" + "9" * 25])
def test_a_number_of_any_length_is_called_above_or_below_the_limit(text: str) -> None:
    with pytest.raises(SettingsError, match=r"is (below|above) the limit"):
        value_of("port", text)


def test_a_guest_name_of_the_greatest_length_is_taken_and_one_more_is_not() -> None:
    assert value_of("name", "a" * MAX_GUEST_NAME)
    with pytest.raises(SettingsError, match=f"{MAX_GUEST_NAME + 1} characters"):
        value_of("name", "a" * (MAX_GUEST_NAME + 1))


@pytest.mark.parametrize(
    "text", ["host", "host.example.com", "10.0.0.1", "2001:db8::1", "[2001:db8::1]", "::1", "fe80::1%em1", "my_host"]
)
def test_every_form_of_a_servers_address_is_taken(text: str) -> None:
    assert value_of("server", text) == text


@pytest.mark.parametrize("text", ["root", "conv", "DOMAIN\\user", "user@realm", "first.last", "machine$"])
def test_every_form_of_a_login_name_is_taken(text: str) -> None:
    assert value_of("username", text) == text


@given(st.sampled_from(sorted(VALUES)), st.data())
def test_a_printed_value_is_read_back_as_the_same(attribute: str, data: st.DataObject) -> None:
    (setting,) = (setting for setting in SETTINGS if setting.attribute == attribute)
    value = data.draw(VALUES[attribute].filter(lambda value: value is not None))
    parsed = [setting.parse(word) for word in setting.words(value)]
    assert (functools.reduce(operator.add, parsed, ()) if setting.adds_up else parsed[0]) == value


@pytest.mark.parametrize(
    ("text", "volume", "url"),
    [
        ("sda2:https://host/key", "sda2", "https://host/key"),
        ("/dev/mapper/mpatha-part2:file:/root/key", "/dev/mapper/mpatha-part2", "file:/root/key"),
        ("cciss/c0d0p2:ftp://host/k", "cciss/c0d0p2", "ftp://host/k"),
        (
            "1B6E1C0E-0D5F-4B5D-9B0A-0C5D5A0F3A11:http://user:pw@host:80/a:b",
            "1B6E1C0E-0D5F-4B5D-9B0A-0C5D5A0F3A11",
            "http://user:pw@host:80/a:b",
        ),
    ],
)
def test_a_key_is_a_volume_and_the_url_behind_the_first_colon(text: str, volume: str, url: str) -> None:
    assert value_of("key", text) == (KeySource(volume, url=Secret(url)),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no ':'"),
        (SECRET, "no ':'"),
        (f"sda2:{SECRET}", "not a URL"),
        (f"sda2:{SECRET}/root/key", "not a URL"),
        ("sda2:", "not a URL"),
        ("sda2:/root/key", "not a URL"),
        (f"sda2:https://host/{SECRET} key", "not a URL"),
        (f":https://host/{SECRET}", "does not start with"),
        (f"sd a2:https://host/{SECRET}", "does not start with"),
        (f"all:https://host/{SECRET}", "'all' as its volume"),
        (f"sda2:https://host/{SECRET}\x1b[2J", "control character"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_with_the_reason_and_nothing_of_it_is_shown(
    text: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        value_of("key", text)
    assert reason in raised.value.message
    assert "UUID" in raised.value.advice
    assert raised.value.setting == "key"
    assert SECRET not in str(raised.value) + repr(raised.value.__cause__)


def test_of_a_key_the_dump_shows_the_volume_alone() -> None:
    keys = (KeySource("sda2", url=Secret(f"https://u:{SECRET}@h/k")), KeySource("sdb1", passphrase=Secret(SECRET)))
    shown = dump(Settings(keys=keys), "1", "2")
    assert "key                  sda2:*** sdb1:***" in shown.splitlines()
    assert "key                  (none)" in dump(Settings(), "1", "2").splitlines()
    assert SECRET not in shown + repr(keys)


@given(st.text(min_size=8))
def test_a_secret_shows_in_no_form_but_its_reveal(text: str) -> None:
    secret = Secret(text)
    assert secret.reveal() == text
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}".strip(), "%s" % secret):  # noqa: UP031
        assert shown == HIDDEN


@given(all_settings(), st.sampled_from(["password", "output_password"]))
def test_no_form_of_the_settings_shows_a_secret(settings: Settings, attribute: str) -> None:
    given_ = Settings(**{**vars(settings), attribute: Secret(SECRET)})
    for shown in (repr(given_), str(given_), dump(given_, "1", "2"), str(cmdline.write_settings(given_))):
        assert SECRET not in shown


@given(st.text(st.characters(max_codepoint=31), min_size=1))
def test_the_error_about_a_secret_does_not_show_it(controls: str) -> None:
    with pytest.raises(SettingsError) as raised:
        BY_KEY["p2v.password"].parse(SECRET + controls)
    assert SECRET not in str(raised.value) + repr(raised.value) + repr(raised.value.__cause__)


def test_two_secrets_are_equal_by_their_text_and_no_text_is_one() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"


def test_the_dump_has_the_peers_lines_in_the_peers_order() -> None:
    names = [line[:20].rstrip() for line in dump(Settings(), "1", "2").splitlines()]
    assert names[: len(PEERS_NAMES) + 2] == ["local version", "remote version", *PEERS_NAMES]


def test_the_dump_pads_the_names_to_twenty_columns_and_shows_every_kind_of_value() -> None:
    settings = Settings(
        server="conv",
        password=Secret(SECRET),
        disks=("sda", "sdb"),
        removable=(),
        memory=1 << 30,
        cpu_acpi=False,
        sudo=True,
        network_map=NetworkMap((("em1", "a"),), "b"),
        output_misc=("x=1", "y=2"),
    )
    lines = dump(settings, "0.1", "unknown").splitlines()
    for line in (
        "local version        0.1",
        "remote version       unknown",
        "remote.server        conv",
        "auth.password        ***",
        "auth.sudo            true",
        "guestname            (none)",
        "memory               1073741824",
        "cpu.acpi             false",
        "disks                sda sdb",
        "removable            (none)",
        "network_map          em1:a b",
        "output.misc          x=1 y=2",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/id", "https://host/id"),
        ("https://user@host/id", "https://user@host/id"),
        (f"https://user:{SECRET}@host:8443/id?a=b:c@d", "https://user:***@host:8443/id?a=b:c@d"),
        (f"ftp://:{SECRET}@host/id", "ftp://:***@host/id"),
        (f"https://user:{SECRET}@@host/id", "https://user:***@host/id"),
        ("https://host:8443/a:b@c", "https://host:8443/a:b@c"),
        ("file:///root/a:b@c", "file:///root/a:b@c"),
    ],
)
def test_a_password_in_the_identitys_url_is_hidden_and_nothing_else_of_it(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    assert f"auth.identity.url    {shown}" in dump(Settings(identity_url=url), "1", "2").splitlines()


def test_an_unset_password_is_not_shown_as_a_hidden_one() -> None:
    assert "auth.password        (none)" in dump(Settings(), "1", "2").splitlines()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The peer's own binary, unpacked."""
    found = list(Path("/usr/lib").glob("*/virt-p2v/virt-p2v.xz"))
    if not found:
        pytest.fail("The peer is not installed: the package virt-p2v (debian-packages.txt) is needed.")
    binary = tmp_path_factory.mktemp("peer") / "virt-p2v"
    binary.write_bytes(lzma.decompress(found[0].read_bytes()))
    binary.chmod(0o755)
    return binary


# The peer shows the password. It also rounds up the memory that it finds, has no default for the user name and
# another one for the network, and does not know a word that is quoted as a whole: the lines below avoid that.
NOT_COMPARED = {"local version", "remote version", "auth.password"}


def _rows(text: str) -> dict[str, str]:
    """The dump's lines; the lines before it, and those that are not `name value`, are passed over."""
    lines = text[text.index("local version ") :].splitlines()
    # virt-p2v 1.42.4 (Debian 13) writes (none) where 1.42.3 writes nothing.
    return {line[:20].rstrip(): line[21:].strip() or "(none)" for line in lines if line[20:21] == " "}


@pytest.mark.parametrize(
    "line",
    [
        "p2v.server=10.0.0.1 p2v.username=conv p2v.memory=4G p2v.network=default",
        "p2v.server=conv.example.com p2v.port=2222 p2v.username=conv p2v.sudo p2v.name=guest1 p2v.memory=1024M "
        "p2v.disks=sda,cciss/c0d0 p2v.removable=sr0 p2v.interfaces=em1,em2 p2v.network=em1:rhevm,other p2v.o=libvirt "
        "p2v.oa=sparse p2v.oc=qemu:///system p2v.of=raw p2v.os=pool",
        "p2v.remote.server=a p2v.auth.username=b p2v.auth.sudo=false p2v.memory=1073741824 p2v.vcpu.cores=3 "
        "p2v.vcpu.phys_topo=true p2v.cpu.vendor=AMD p2v.cpu.model=EPYC p2v.cpu.acpi=no p2v.cpu.apic=0 "
        "p2v.rtc.basis=utc p2v.rtc.offset=3600 p2v.network_map=net p2v.output.type=null p2v.output.storage=/x",
        'p2v.server=a p2v.username=b p2v.memory=8G p2v.network=n p2v.name="one" p2v.of="qcow2" quiet p2v.port=23 '
        "p2v.port=24 p2v.identity=https://host/id p2v.cpu.pae=off p2v.oa=preallocated",
    ],
)
def test_the_dump_says_what_the_peers_own_binary_says_of_the_same_line(peer: Path, line: str) -> None:
    line += " p2v.dump_config_and_exit"
    said = subprocess.run([peer, f"--cmdline={line}"], capture_output=True, text=True, timeout=60, check=True)
    theirs = _rows(said.stdout)
    ours = _rows(dump(fill_in(cmdline.parse(line).settings, hwprobe.probe()), "1", "2"))
    compared = theirs.keys() & PEERS_NAMES.keys() - NOT_COMPARED
    assert len(compared) >= len(PEERS_NAMES) - 2
    assert {name: ours[name] for name in compared} == {name: theirs[name] for name in compared}
