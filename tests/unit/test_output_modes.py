"""What virt-v2v is told for each output mode: nothing that the mode rejects, nothing missing that it needs."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.config import Settings
from p2v_tui.errors import SettingsError
from p2v_tui.kinds import Secret
from p2v_tui.session.output_modes import OUTPUT_MODES, Output, choose_output, disk_letters, find_mode
from p2v_tui.session.remote_commands import quote
from p2v_tui.session.virt_v2v import VirtV2V
from tests.unit.setting_values import TEXT

PASSWORD_FILE = "/tmp/virt-p2v-20260309-abcdefgh/output-password"
VDSM = ("vdsm-image-uuid=1", "vdsm-vol-uuid=2", "vdsm-vm-uuid=3")


def server_with(*modes: str) -> VirtV2V:
    return VirtV2V("2.2.0", frozenset({"virt-v2v", "io/oo"}), modes)


def everything(mode: str) -> Settings:
    """Every output setting is given, as on a command line written for another mode."""
    return Settings(
        output_type=mode,
        output_allocation="sparse",
        output_connection="URI",
        output_format="raw",
        output_storage="STORAGE",
        output_misc=("server-id=7", *VDSM),
        output_password=Secret("pw"),
    )


def options(output: Output, mode: str) -> dict[str, list[str]]:
    """virt-v2v's arguments for the mode, by option."""
    words = output.arguments(server_with(mode), PASSWORD_FILE)
    found: dict[str, list[str]] = {}
    for option, value in zip(words[::2], words[1::2], strict=True):
        found.setdefault(option, []).append(value)
    return found


# facts of virt-v2v, section 4: what each mode takes of -oc -os -of -oa -oo -op.
TAKEN = {
    "local": {"-os", "-of", "-oa", "-oo"},
    "libvirt": {"-oc", "-os", "-of", "-oa", "-oo"},
    "qemu": {"-os", "-of", "-oa", "-oo"},
    "null": set(),
    "glance": {"-of", "-oa", "-oo"},
    "openstack": {"-oc", "-os", "-of", "-oa", "-oo"},
    "kubevirt": {"-os", "-of", "-oa", "-oo"},
    "rhv": {"-os", "-of", "-oa", "-oo"},
    "rhv-upload": {"-oc", "-os", "-of", "-oa", "-oo", "-op"},
    "vdsm": {"-os", "-of", "-oa", "-oo"},
    "json": {"-os", "-of", "-oa", "-oo"},
}


def test_every_mode_of_the_table_is_tested() -> None:
    assert set(TAKEN) == {mode.names[0] for mode in OUTPUT_MODES}


@pytest.mark.parametrize(("mode", "taken"), TAKEN.items())
def test_a_mode_gets_what_it_takes_and_the_rest_is_named_as_ignored(mode: str, taken: set[str]) -> None:
    output = choose_output(everything(mode))
    passed = options(output, mode)
    assert passed.keys() - {"-o", "--root"} == taken
    assert {f"-{name.removeprefix('p2v.')}" for name in output.ignored} == {
        "-oc",
        "-os",
        "-of",
        "-oa",
        "-oo",
        "-op",
    } - taken


def test_the_values_go_to_their_own_options() -> None:
    assert options(choose_output(everything("rhv-upload")), "rhv-upload") == {
        "-o": ["rhv-upload"],
        "-oa": ["sparse"],
        "-oc": ["URI"],
        "-of": ["raw"],
        "-os": ["STORAGE"],
        "-op": [PASSWORD_FILE],
        "-oo": ["server-id=7", *VDSM],
        "--root": ["first"],
    }


def test_the_password_itself_is_no_argument() -> None:
    words = choose_output(everything("rhv-upload")).arguments(server_with("rhv-upload"), PASSWORD_FILE)
    assert "pw" not in words


@pytest.mark.parametrize("mode", ["local", "qemu", "kubevirt", "json"])
def test_a_mode_that_makes_files_has_a_directory_by_default(mode: str) -> None:
    assert options(choose_output(Settings(output_type=mode)), mode)["-os"] == ["/var/tmp"]


@pytest.mark.parametrize("mode", ["libvirt", "null", "glance"])
def test_no_other_mode_is_sent_a_storage_that_nobody_gave(mode: str) -> None:
    passed = options(choose_output(Settings(output_type=mode)), mode)
    assert passed == {"-o": [mode], "--root": ["first"]}


def test_what_was_not_given_is_not_called_ignored() -> None:
    assert choose_output(Settings(output_type="null")).ignored == ()


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        (Settings(output_type="rhv"), ["p2v.os"]),
        (Settings(output_type="rhv-upload"), ["p2v.oc", "p2v.os", "p2v.op"]),
        (Settings(output_type="ovirt-upload", output_connection="u", output_storage="s"), ["p2v.op"]),
        (Settings(output_type="openstack"), ["p2v.oo=server-id"]),
        (Settings(output_type="openstack", output_misc=("server-idx=1",)), ["p2v.oo=server-id"]),
        (
            Settings(output_type="vdsm", output_misc=VDSM[:1]),
            ["p2v.os", "p2v.oo=vdsm-vol-uuid", "p2v.oo=vdsm-vm-uuid"],
        ),
    ],
)
def test_what_a_mode_needs_and_does_not_have_is_named(settings: Settings, missing: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        choose_output(settings)
    message = raised.value.message
    assert settings.output_type in message
    assert [name for name in missing if name not in message] == []
    assert message.count("p2v.") == len(missing)
    assert raised.value.setting == "output.type"


def test_an_allocation_of_none_is_virt_v2vs_own() -> None:
    assert "-oa" not in options(choose_output(Settings(output_allocation="none")), "local")


@pytest.mark.parametrize(
    ("asked", "has", "sent"),
    [
        ("local", ("local",), "local"),
        ("local", ("disk", "null"), "disk"),
        ("disk", ("local",), "local"),
        ("local", ("disk", "local"), "local"),
        ("rhv", ("rhev",), "rhev"),
        ("ovirt", ("rhv",), "rhv"),
        ("rhv", ("ovirt",), "ovirt"),
    ],
)
def test_a_mode_is_asked_for_by_the_name_that_the_server_knows(asked: str, has: tuple[str, ...], sent: str) -> None:
    settings = Settings(output_type=asked, output_storage="host:/esd")
    assert choose_output(settings).mode_on(server_with(*has)) == sent


@pytest.mark.parametrize(
    ("asked", "has", "sent"),
    [("rhv-upload", "ovirt-upload", "ovirt-upload"), ("ovirt-upload", "rhv-upload", "rhv-upload")],
)
def test_the_upload_mode_too_was_renamed(asked: str, has: str, sent: str) -> None:
    assert choose_output(everything(asked)).mode_on(server_with(has)) == sent


@pytest.mark.parametrize("mode", ["kubevirt", "teleport"])
def test_a_mode_that_the_server_does_not_have_is_refused_with_those_that_it_has(mode: str) -> None:
    output = choose_output(Settings(output_type=mode))
    for ask in (output.mode_on, lambda server: output.arguments(server, PASSWORD_FILE)):
        with pytest.raises(SettingsError) as raised:
            ask(server_with("libvirt", "local"))
        assert mode in raised.value.message
        assert "libvirt, local" in raised.value.advice
        assert raised.value.setting == "output.type"


def test_a_mode_of_a_later_virt_v2v_gets_everything_that_was_given() -> None:
    output = choose_output(everything("teleport"))
    assert output.ignored == ()
    assert options(output, "teleport").keys() == {"-o", "-oa", "-oc", "-of", "-os", "-op", "-oo", "--root"}


def test_the_root_is_passed_on() -> None:
    assert options(choose_output(Settings(root="/dev/sda2")), "local")["--root"] == ["/dev/sda2"]


@pytest.mark.parametrize("mode", [mode.names[0] for mode in OUTPUT_MODES] + ["teleport"])
def test_every_mode_can_say_what_it_made(mode: str) -> None:
    said = choose_output(everything(mode)).made("guest1")
    assert "{" not in said
    assert "guest1" in said or mode == "null"


def test_what_was_made_is_said_where_a_setting_holds_braces() -> None:
    assert "/a{name}b/guest1" in choose_output(Settings(output_storage="/a{name}b")).made("guest1")


def test_a_name_of_any_version_finds_the_mode() -> None:
    assert find_mode("disk") is find_mode("local")
    assert find_mode("rhev") is find_mode("ovirt")


@given(TEXT, TEXT, st.lists(TEXT, max_size=3).map(tuple))
def test_the_arguments_reach_virt_v2v_through_a_real_shell_unchanged(
    connection: str, storage: str, misc: tuple[str, ...]
) -> None:
    settings = Settings(output_type="libvirt", output_connection=connection, output_storage=storage, output_misc=misc)
    words = choose_output(settings).arguments(server_with("libvirt"), PASSWORD_FILE)
    script = quote("printf", "%s\\0", *words)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words
    assert shlex.split(script)[2:] == words


def test_options_are_refused_where_virt_v2v_is_too_old_for_them() -> None:
    old = VirtV2V("1.36.10", frozenset({"virt-v2v"}), ("local",))
    with pytest.raises(SettingsError, match=r"no -oo"):
        choose_output(Settings(output_misc=("compressed",))).arguments(old, "/tmp/p")


@pytest.mark.parametrize(
    ("mode", "files"),
    [
        ("local", ["db1-sda", "db1-sdb", "db1.xml"]),
        ("disk", ["db1-sda", "db1-sdb", "db1.xml"]),
        ("qemu", ["db1-sda", "db1-sdb", "db1.sh"]),
        ("kubevirt", ["db1-sda", "db1-sdb", "db1.yaml"]),
        ("json", ["db1-sda", "db1-sdb", "db1.json"]),
        ("libvirt", ["db1-sda", "db1-sdb"]),
        ("rhv", []),
        ("null", []),
        ("some-mode-to-come", []),
    ],
)
def test_the_files_of_a_guest_are_known_in_the_modes_that_fill_a_directory(mode: str, files: list[str]) -> None:
    found = find_mode(mode)
    assert list(found.files("db1", 2)) == files
    assert found.takes_directory is (found.default_storage is not None)


def test_disks_are_lettered_as_linux_letters_them() -> None:
    letters = [disk_letters(number) for number in (0, 25, 26, 27, 51, 52, 701, 702)]
    assert letters == ["a", "z", "aa", "ab", "az", "ba", "zz", "aaa"]
