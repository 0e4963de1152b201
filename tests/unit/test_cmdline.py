"""The kernel command line: its syntax, what it means, and that no text at all can break it."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2v_tui.cmdline import Word, Written, parse, read_proc_cmdline, split_words, write_settings
from p2v_tui.config import BY_KEY, Settings
from p2v_tui.errors import SettingsError
from p2v_tui.kinds import KeySource, NetworkMap, Secret
from p2v_tui.session.words.terminal_text import plain
from tests.unit.setting_values import NETWORK_MAPS, all_settings

FRAGMENTS = st.lists(
    st.sampled_from(
        [*BY_KEY, "p2v.", "p2v", "=", '"', " ", "\t", "\n", ",", ":", "1", "-", "lots", "$(reboot)", "\0"]
    )
    | st.text(max_size=3),
    max_size=20,
).map("".join)

_TRUE_WORDS = ("1", "true", "t", "yes", "y", "on", "True", "YES", "On")
_FALSE_WORDS = ("0", "false", "f", "no", "n", "off", "False", "NO", "Off")


def format_settings(settings: Settings, *, secrets: bool = False) -> str:
    return " ".join(write_settings(settings, secrets=secrets).words)


@given(st.text() | FRAGMENTS)
def test_no_text_raises_anything_but_the_projects_own_error(text: str) -> None:
    try:
        parse(text)
    except SettingsError as error:
        assert error.message
        assert error.advice
        assert error.setting is not None


@given(st.sampled_from(list(BY_KEY)), st.text())
def test_no_value_of_any_setting_raises_anything_but_the_projects_own_error(key: str, value: str) -> None:
    try:
        parse(f'{key}="{value}"')
    except SettingsError as error:
        assert error.setting == BY_KEY[key].name


@given(all_settings())
def test_what_is_printed_is_parsed_to_the_same_settings(settings: Settings) -> None:
    parsed = parse(format_settings(settings, secrets=True))
    assert parsed.settings == settings
    assert parsed.warnings == ()


@given(NETWORK_MAPS)
def test_a_network_map_survives_being_printed(network_map: NetworkMap) -> None:
    printed = format_settings(Settings(network_map=network_map))
    assert parse(printed).settings.network_map == network_map


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("quiet", [Word("quiet", None)]),
        ("a=b c", [Word("a", "b"), Word("c", None)]),
        ("a=", [Word("a", "")]),
        ("a==b", [Word("a", "=b")]),
        ('a="b c" d', [Word("a", "b c"), Word("d", None)]),
        ('"a=b c" d', [Word("a", "b c"), Word("d", None)]),
        ('"a b"', [Word("a b", None)]),
        ('a=b" c"d', [Word("a", 'b" c"d')]),
        ('a="', [Word("a", "", terminated=False)]),
        ('a="b c', [Word("a", "b c", terminated=False)]),
        ("\t a=1\n\n b=2 \n", [Word("a", "1"), Word("b", "2")]),
    ],
)
def test_words_are_split_as_the_kernel_splits_them(text: str, words: list[Word]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ['p2v.post="poweroff -f now"', '"p2v.post=poweroff -f now"'])
def test_the_value_or_the_whole_word_may_be_quoted(text: str) -> None:
    assert parse(f"quiet {text} splash").settings.post == "poweroff -f now"


def test_an_open_quote_takes_the_rest_of_the_line_and_is_warned_about() -> None:
    parsed = parse('p2v.server=host p2v.post="poweroff -f p2v.port=2222')
    assert parsed.settings == Settings(server="host", post="poweroff -f p2v.port=2222")
    (warning,) = parsed.warnings
    assert "p2v.post" in warning
    assert "quote" in warning


def test_the_words_of_others_are_passed_over_in_silence() -> None:
    assert parse('BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet xp2v.port=0 dyndbg="file a.c +p" --').warnings == ()


def test_the_first_of_two_holds_and_the_other_is_warned_about() -> None:
    parsed = parse("p2v.port=2222 p2v.remote.port=33")
    assert parsed.settings.port == 2222
    (warning,) = parsed.warnings
    assert "remote.port" in warning
    assert "first" in warning


def test_a_second_value_is_not_read_so_that_it_may_be_wrong() -> None:
    assert parse("p2v.port=2222 p2v.port=abc").settings.port == 2222


def test_a_setting_that_adds_up_is_given_as_often_as_one_likes_and_the_order_stays() -> None:
    parsed = parse("p2v.key=sda2:file:///a p2v.port=2222 p2v.key=sdb1:file:///b p2v.key=sda2:file:///c")
    assert parsed.warnings == ()
    assert [(key.volume, key.url) for key in parsed.settings.keys] == [
        ("sda2", Secret("file:///a")),
        ("sdb1", Secret("file:///b")),
        ("sda2", Secret("file:///c")),
    ]
    assert format_settings(parsed.settings, secrets=True) == (
        "p2v.port=2222 p2v.key=sda2:file:///a p2v.key=sdb1:file:///b p2v.key=sda2:file:///c"
    )


def test_every_value_of_a_setting_that_adds_up_is_read() -> None:
    with pytest.raises(SettingsError, match="not a URL"):
        parse("p2v.key=sda2:file:///a p2v.key=sdb1:b")


def test_a_passphrase_that_was_typed_is_in_no_printed_form() -> None:
    typed = Settings(port=2222, keys=(KeySource("sda2", passphrase=Secret("Tr0ub4dor&3")),))
    for secrets in (False, True):
        assert format_settings(typed, secrets=secrets) == "p2v.port=2222"


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("p2v.sever", "p2v.server"),
        ("p2v.passwrd", "p2v.password"),
        ("p2v.netwrok", "p2v.network"),
        ("p2v.remote.prot", "p2v.remote.port"),
        ("p2v.Server", "p2v.server"),
    ],
)
def test_an_unknown_key_is_warned_about_with_the_nearest_valid_one(key: str, nearest: str) -> None:
    parsed = parse(f"{key}=1")
    assert parsed.settings == Settings()
    (warning,) = parsed.warnings
    assert key in warning
    assert warning.endswith(f"{nearest}?")


@pytest.mark.parametrize("text", ['p2v.name="/open p2v.password=geheim', '"p2v.port=22 p2v.password=geheim'])
def test_an_open_quote_is_named_where_it_spoils_a_value_and_not_what_it_takes_with_it(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse(text)
    assert 'closing double quote (") is missing' in raised.value.message
    assert "geheim" not in raised.value.message + raised.value.advice


@given(st.text())
@example("\x1b[2J")
def test_a_warning_about_an_unknown_key_cannot_drive_a_terminal(key: str) -> None:
    for warning in parse(f'"p2v.x{key}"').warnings:
        assert plain(warning) == warning


@given(st.text(string.ascii_lowercase + ".", min_size=1))
def test_a_suggestion_exists_where_there_is_one(key: str) -> None:
    text = f"p2v.{key}"
    if text not in BY_KEY:
        (warning,) = parse(text).warnings
        assert warning.endswith("is ignored.") or warning.rpartition(" ")[2].removesuffix("?") in BY_KEY


@pytest.mark.parametrize("key", ["p2v.unknown", "p2v.x", "p2v.", "p2v.timezone", "p2v.serial", "p2v.kickstart"])
def test_nothing_is_suggested_that_is_not_alike(key: str) -> None:
    assert parse(f"{key}=1").warnings == (f"{key} is not a setting of p2v-tui and is ignored.",)


@pytest.mark.parametrize(
    "key",
    ["of", "name", "o", "oa", "oc", "os", "oo", "op", "port", "username", "password", "identity", "key", "memory",
     "vcpu.cores", "vcpus", "network", "root", "nbd", "target.firmware", "reconnect", "cpu.model", "rtc.basis",
     "output.format", "guestname", "accept_warnings", "ssh_key", "keymap"],
)  # fmt: skip
def test_an_empty_value_of_a_template_means_not_given(key: str) -> None:
    assert parse(f"p2v.{key}=") == parse(f'p2v.{key}=""') == parse("")
    assert parse(f"p2v.{key}= p2v.sudo=no p2v.{key}=").warnings == ()


def test_an_empty_value_stands_where_it_means_something() -> None:
    parsed = parse("p2v.post= p2v.pre= p2v.fail= p2v.removable= p2v.interfaces= p2v.disks= p2v.sudo=").settings
    assert (parsed.pre, parsed.post, parsed.fail) == ("", "", "")
    assert (parsed.removable, parsed.interfaces, parsed.disks) == ((), (), ())
    assert parsed.sudo


@pytest.mark.parametrize("key", ["server", "hostkey"])
def test_an_empty_value_is_wrong_where_it_would_change_what_is_safe(key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        parse(f"p2v.{key}=")


def test_what_follows_an_empty_value_holds() -> None:
    assert parse("p2v.of= p2v.of=qcow2").settings.output_format == "qcow2"


def test_names_of_earlier_versions_are_taken_and_not_written() -> None:
    parsed = parse("p2v.vcpus=3")
    assert parsed.settings.vcpus == 3
    assert not parsed.warnings
    assert format_settings(parsed.settings) == "p2v.vcpu.cores=3"


def test_a_further_oo_adds_to_the_first() -> None:
    parsed = parse(r"p2v.oo=server-id=x,os-username=me p2v.sudo p2v.output.misc=os-project-name=a\,b\\c")
    assert parsed.settings.output_misc == ("server-id=x", "os-username=me", "os-project-name=a,b\\c")
    assert not parsed.warnings


@pytest.mark.parametrize("word", ["p2v.sudo", "p2v.sudo=", *(f"p2v.sudo={text}" for text in _TRUE_WORDS)])
def test_a_boolean_is_true_bare_and_by_each_of_its_words(word: str) -> None:
    assert parse(word).settings.sudo is True


@pytest.mark.parametrize("word", [f"p2v.cpu.acpi={text}" for text in _FALSE_WORDS])
def test_a_boolean_is_false_by_each_of_its_words(word: str) -> None:
    assert parse(word).settings.cpu_acpi is False


def test_a_boolean_is_nothing_else() -> None:
    with pytest.raises(SettingsError, match="maybe"):
        parse("p2v.sudo=maybe")


def test_a_setting_that_needs_a_value_says_so_when_it_stands_bare() -> None:
    with pytest.raises(SettingsError) as raised:
        parse("p2v.server")
    assert "p2v.server" in raised.value.message
    assert "host name" in raised.value.advice


@given(st.text(string.ascii_letters + string.digits + " =,", max_size=20), st.booleans())
@example("", True)
def test_a_secret_is_in_no_warning_and_in_no_printed_form(noise: str, quoted: bool) -> None:
    secret = "Tr0ub4dor&3"
    word = f'p2v.password="{secret}"' if quoted else f"p2v.password={secret}"
    parsed = parse(
        f"{word} p2v.password={secret} p2v.op={secret} p2v.key=a:ftp://{secret}@h/k p2v.passwort={secret} {noise}"
    )
    for shown in (*parsed.warnings, repr(parsed), str(parsed), format_settings(parsed.settings)):
        assert secret not in shown
    assert parsed.settings.password == Secret(secret)
    assert parsed.settings.output_password == Secret(secret)


def test_a_value_with_a_double_quote_cannot_be_printed_and_the_error_says_why() -> None:
    with pytest.raises(SettingsError) as raised:
        format_settings(Settings(output_storage='/a"b'))
    assert "p2v.os" in raised.value.message
    assert "double quote" in raised.value.message
    assert raised.value.setting == "output.storage"


def test_what_is_or_may_hold_a_secret_is_named_and_not_written() -> None:
    words = (
        "p2v.password=x p2v.op=y p2v.key=sda2:https://host/key p2v.fail='curl -u a:b' p2v.post= p2v.of=raw "
        "p2v.oo=server-id=1,os-password=z p2v.oc=https://me:w@host/api"
    )
    written = write_settings(parse(words).settings)
    assert written.words == ("p2v.of=raw", "p2v.oo=server-id=1", "p2v.post=")
    assert set(written.missing) == {
        "p2v.password=...",
        "p2v.op=...",
        "p2v.key=sda2:...",
        "p2v.fail=...",
        "p2v.oo=os-password=...",
        "p2v.oc=https://me:...@host/api",
    }


@given(all_settings())
def test_what_is_written_without_secrets_is_read_again(settings: Settings) -> None:
    written = write_settings(settings)
    assert write_settings(parse(" ".join(written.words)).settings) == Written(written.words)


def test_that_error_does_not_show_the_secret_that_it_is_about() -> None:
    with pytest.raises(SettingsError) as raised:
        format_settings(Settings(password=Secret('Tr0ub4dor"3')), secrets=True)
    assert "Tr0ub4dor" not in str(raised.value)


def test_the_settings_at_their_defaults_are_no_words_at_all() -> None:
    assert format_settings(Settings()) == ""


def test_the_kernels_own_line_is_read_and_a_missing_proc_is_an_empty_one(tmp_path: Path) -> None:
    assert read_proc_cmdline(tmp_path) == ""
    (tmp_path / "cmdline").write_bytes(b"quiet p2v.server=a\xff\n")
    assert read_proc_cmdline(tmp_path).startswith("quiet p2v.server=a")
