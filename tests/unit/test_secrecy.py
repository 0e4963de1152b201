"""What counts as secret in a text, and that no form in which settings are written, sent or shown has any of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from p2v_tui import cmdline
from p2v_tui.config import SETTINGS, Settings
from p2v_tui.errors import SettingsError
from p2v_tui.secrecy import is_secret_name, secrets_in, without_secrets
from p2v_tui.session.conversion.system_data import scrub
from p2v_tui.setting_texts import as_texts, dump, from_texts, secrets_of

SECRET = "s3cret-W0rd"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://me:{SECRET}@host/id", "http://me:***@host/id"),
        (f"http://me:a/{SECRET}@host/id", "http://me:***@host/id"),
        (f"http://me:a#{SECRET}@b@host/id", "http://me:***@host/id"),
        (f"get sftp://me:{SECRET}@host/a, then rest", "get sftp://me:***@host/a, then rest"),
        (f"https://host/id?token={SECRET}&part=2", "https://host/id?token=***&part=2"),
        (f"os-password={SECRET}", "os-password=***"),
        (f"os_application_credential_secret={SECRET} x", "os_application_credential_secret=*** x"),
        (f'rd.iscsi.password="{SECRET} too" quiet', "rd.iscsi.password=*** quiet"),
        (f"systemd.set_credential=root:{SECRET}", "systemd.set_credential=***"),
        (f"curl -u me:{SECRET} https://host", "curl -u me:*** https://host"),
        (f"curl --user 'me:{SECRET}' https://host", "curl --user 'me:***' https://host"),
        (
            f"curl -H 'Authorization: Bearer {SECRET}' https://host",
            "curl -H 'Authorization: Bearer ***' https://host",
        ),
        (f"curl -H 'X-Auth-Token: {SECRET}' https://host", "curl -H 'X-Auth-Token: ***' https://host"),
        (f"notify --api-key {SECRET} done", "notify --api-key *** done"),
        (f"PGPASSWORD={SECRET} psql", "PGPASSWORD=*** psql"),
        (f"sshpass -p {SECRET} ssh host", "sshpass -p *** ssh host"),
    ],
)
def test_a_secret_inside_a_text_is_hidden_and_nothing_else_of_it(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert any(SECRET in secret for secret in secrets_in(text))


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8443/a:b@c",
        "qemu+ssh://root@host:22/system",
        "file:///root/a:b@c",
        "The server asks for a password: 'Verification code:'",
        "The server refused the password for root.",
        "echo secret",
        "-u",
        "mail -u root:",
        "",
    ],
)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert without_secrets(text) == text
    assert not list(secrets_in(text))


def test_a_text_of_any_length_is_looked_through_in_no_time() -> None:
    for text in ("a" * 100_000, "a-" * 50_000, "http:" * 20_000, "password " * 10_000, "-u a" * 20_000):
        before = time.process_time()
        assert without_secrets(text) == text
        assert time.process_time() - before < 5


@pytest.mark.parametrize("name", ["os-password", "OS_TOKEN", "os-client-secret", "rhv-passcode", "apikey", "api-key"])
def test_the_name_of_a_secret_is_known_by_what_is_in_it(name: str) -> None:
    assert is_secret_name(name)


def test_names_of_options_without_secrets_are_not_taken_for_secret() -> None:
    names = ["server-id", "os-username", "os-auth-url", "rhv-cafile", "vdsm-vm-uuid", "os-project-name", "compressed"]
    assert not any(map(is_secret_name, names))


# Words of a command line, each with SECRET in it.
WORDS = [
    f"p2v.password={SECRET}",
    f"p2v.auth.password={SECRET}",
    f'p2v.password="{SECRET} and {SECRET}"',
    f'"p2v.password=and {SECRET}"',
    f'p2v.password="open {SECRET}',
    f"p2v.op={SECRET}",
    f"p2v.identity=http://me:{SECRET}@host/id",
    f"p2v.key=sda2:https://host/{SECRET}",
    f"p2v.key=sda2:https://me:{SECRET}@host/key",
    f"p2v.oc=https://me:{SECRET}@host/api",
    f"p2v.oo=server-id=x,os-password={SECRET}",
    rf"p2v.oo=os-password=a\,{SECRET},server-id=x",
    f"p2v.oo=os-password=a,{SECRET},server-id=x",
    f'p2v.oo="server-id=x,os-password=a {SECRET}"',
    f'"p2v.oo=server-id=x,os-password=a {SECRET}"',
    f"p2v.output.misc=os-auth-url=https://me:{SECRET}@host:5000/v3",
    f"p2v.ssh_key=https://me:{SECRET}@host/keys",
    f'p2v.fail="curl -u me:{SECRET} https://host"',
    f'p2v.post="curl -H {SECRET} https://host"',
    f"p2v.pasword={SECRET}",
    f"p2v.os=https://me:{SECRET}@host/",
]
FORMS: dict[str, Callable[[str], str]] = {
    "a title": cmdline.hide_secrets,
    "the kernel's log": lambda text: scrub(f"[0.0] Kernel command line: quiet {text}\n".encode(), ()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("word", WORDS)
def test_no_word_of_a_command_line_shows_its_secret(word: str, form: str) -> None:
    shown = FORMS[form](f"quiet ro {word}")
    assert SECRET not in shown
    assert "***" in shown
    # So that one sees what was given.
    assert "quiet" in shown
    assert word.strip('"').partition("=")[0] in shown


def test_what_is_no_secret_stays_in_a_title() -> None:
    line = 'quiet p2v.server=host p2v.oo=server-id=x p2v.name="my guest" "p2v.os=/a b" ip=dhcp p2v.sudo'
    assert cmdline.hide_secrets(line) == line


@pytest.mark.parametrize("word", WORDS)
def test_no_written_or_shown_form_of_the_settings_has_the_secret(word: str) -> None:
    try:
        settings = cmdline.parse(word).settings
    except SettingsError as error:
        assert SECRET not in str(error)
        return
    shown = [json.dumps(as_texts(settings)), dump(settings, "1", "2"), str(cmdline.write_settings(settings))]
    assert not [text for text in shown if SECRET in text]


def test_the_stored_settings_are_read_again_with_their_secrets_hidden() -> None:
    line = rf"p2v.oo=server-id=x,os-password=a\,{SECRET},os-username=me p2v.identity=http://me:{SECRET}@host/id"
    read = from_texts(as_texts(cmdline.parse(line).settings))
    assert read.output_misc == ("server-id=x", "os-password=***", "os-username=me")
    assert read.identity_url == "http://me:***@host/id"


def test_an_error_about_a_value_hides_the_secrets_of_every_setting() -> None:
    for setting in SETTINGS:
        for text in (f"http://me:{SECRET}@host/\x01", f"os-password={SECRET}\x01"):
            try:
                setting.parse(text)
            except SettingsError as error:
                assert SECRET not in str(error), setting.name


def test_the_secrets_of_settings_are_all_that_they_hold_encoded_or_not() -> None:
    settings = Settings(identity_url="http://me:p%40ss@host/id", output_misc=("os-password=a,b", "x=y"))
    assert {secret.reveal() for secret in secrets_of(settings)} == {"p%40ss", "p@ss", "a,b"}
