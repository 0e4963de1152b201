"""What virt-v2v is told for each output mode: nothing that the mode rejects, nothing missing that it needs."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from p2v_tui.config import Settings
from p2v_tui.errors import SettingsError
from p2v_tui.kinds import Secret
from p2v_tui.session.plan.output_modes import OUTPUT_MODES, Output, choose_output, disk_letters, find_mode
from p2v_tui.session.plan.output_options import unknown_options, wrong_options
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.remote.commands import quote
from tests.unit.setting_values import TEXT

PASSWORD_FILE = "/tmp/virt-p2v-20260309-abcdefgh/output-password"
UUID = "00000000-0000-0000-0000-000000000001"
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
        output_storage=f"/STORAGE/{UUID}" if mode == "vdsm" else "/STORAGE",
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
        "-os": ["/STORAGE"],
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
    settings = Settings(output_type=asked, output_storage="/mnt/esd")
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
    assume(not any(option.startswith(("?", "=")) or not option for option in misc))
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


@pytest.mark.parametrize("mode", [mode.names[0] for mode in OUTPUT_MODES if mode.formats])
def test_a_format_that_the_mode_cannot_make_is_refused_with_those_that_it_can(mode: str) -> None:
    for wrong in ("vmdkk", "vmdk", "QCOW2"):
        with pytest.raises(SettingsError) as raised:
            choose_output(dataclasses.replace(everything(mode), output_format=wrong))
        assert raised.value.setting == "output.format"
        assert wrong in raised.value.message
        assert "raw" in raised.value.advice


def test_openstack_makes_sparse_raw_volumes_only() -> None:
    settings = everything("openstack")
    for name, wrong in (
        ("format", dataclasses.replace(settings, output_format="qcow2")),
        ("allocation", dataclasses.replace(settings, output_allocation="preallocated")),
    ):
        with pytest.raises(SettingsError) as raised:
            choose_output(wrong)
        assert raised.value.setting == f"output.{name}"


def test_what_a_mode_ignores_is_not_judged_either() -> None:
    settings = Settings(output_type="null", output_format="vmdkk", output_misc=("?",), output_storage="x")
    assert choose_output(settings).ignored == ("p2v.os", "p2v.of", "p2v.oo")


def test_a_mode_of_a_later_virt_v2v_may_make_other_formats() -> None:
    assert choose_output(Settings(output_type="teleport", output_format="vhdx")).format == "vhdx"


@pytest.mark.parametrize("mode", ["local", "disk", "qemu", "kubevirt", "json"])
def test_a_relative_directory_is_refused_at_once(mode: str) -> None:
    for path in ("guests", "./guests", "~/guests"):
        with pytest.raises(SettingsError, match="absolute") as raised:
            choose_output(Settings(output_type=mode, output_storage=path))
        assert raised.value.setting == "output.storage"


@pytest.mark.parametrize(
    ("mode", "storage", "right"),
    [
        ("rhv", "esd", False),
        ("rhv", "host:esd", False),
        ("rhv", "host:/esd", True),
        ("rhv", "[::1]:/esd", True),
        ("rhv", "/mnt/esd", True),
        ("vdsm", f"data/{UUID}", False),
        ("vdsm", "/data/domain", False),
        ("vdsm", f"/data/{UUID}/", True),
        ("rhv-upload", "any name", True),
        ("openstack", "ssd", True),
        ("teleport", "x", True),
    ],
)
def test_a_storage_that_the_mode_would_refuse_late_is_refused_now(mode: str, storage: str, right: bool) -> None:
    settings = dataclasses.replace(everything(mode), output_storage=storage)
    if right:
        assert choose_output(settings).storage == storage
        return
    with pytest.raises(SettingsError) as raised:
        choose_output(settings)
    assert raised.value.setting == "output.storage"
    assert "p2v.os=/" in raised.value.advice or ":/" in raised.value.advice


def test_a_pool_and_an_export_are_no_paths() -> None:
    assert choose_output(Settings(output_type="libvirt", output_storage="images")).storage == "images"
    assert choose_output(Settings(output_type="rhv", output_storage="host:/esd")).storage == "host:/esd"


@pytest.mark.parametrize("mode", ["local", "libvirt", "glance", "rhv", "openstack", "teleport"])
@pytest.mark.parametrize("asked", ["?", "?=", "?=1"])
def test_asking_for_the_list_of_options_is_refused_with_the_command_that_shows_it(mode: str, asked: str) -> None:
    settings = dataclasses.replace(everything(mode), output_misc=("server-id=1", asked))
    with pytest.raises(SettingsError) as raised:
        choose_output(settings)
    assert raised.value.setting == "output.misc"
    assert f"-o {find_mode(mode).names[0]} -oo '?'" in raised.value.advice


@pytest.mark.parametrize(
    ("mode", "given", "words"),
    [
        ("local", "compressed=banana", "true, false or no value"),
        ("local", "compressed=TRUE", "true, false or no value"),
        ("qemu", "qemu-boot=1", "true, false or no value"),
        ("local", "=x", "has no name"),
        ("openstack", "guest-id", "needs a value"),
        ("openstack", "dev-disk-by-id=", "needs a value"),
        ("rhv-upload", "rhv-cafile", "needs a value"),
        ("rhv-upload", "rhv-disk-uuid=7", "takes a UUID"),
        ("vdsm", "vdsm-compat=2", "takes 0.10 or 1.1"),
    ],
)
def test_an_option_with_a_value_that_virt_v2v_would_refuse_is_refused_now(mode: str, given: str, words: str) -> None:
    settings = dataclasses.replace(everything(mode), output_misc=(*everything(mode).output_misc, given))
    with pytest.raises(SettingsError, match=words) as raised:
        choose_output(settings)
    assert raised.value.setting == "output.misc"


@pytest.mark.parametrize("given", ["compressed", "compressed=true", "compressed=false", "option-to-come=7"])
def test_an_option_that_may_be_right_is_taken(given: str) -> None:
    assert choose_output(Settings(output_misc=(given,))).misc == (given,)


def test_a_value_that_may_be_a_password_is_not_repeated() -> None:
    settings = dataclasses.replace(everything("rhv-upload"), output_misc=("rhv-verifypeer=geheim",))
    with pytest.raises(SettingsError) as raised:
        choose_output(settings)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("connection", "host"),
    [
        ("qemu+ssh://root@centos6/system", "centos6"),
        ("qemu+tcp://h:16509/system", "h"),
        ("qemu+tls://h", "h"),
        ("qemu://h/system?no_verify=1", "h"),
        ("xen+libssh2://root@10.0.0.9:22/", "10.0.0.9"),
        ("qemu+ssh://root@[2001:db8::1]/system", "2001:db8::1"),
        ("QEMU+SSH://H/system", "H"),
        ("esx://vc.example.com/?no_verify=1", "vc.example.com"),
    ],
)
def test_a_libvirt_on_another_machine_is_refused(connection: str, host: str) -> None:
    with pytest.raises(SettingsError, match="another machine") as raised:
        choose_output(Settings(output_type="libvirt", output_connection=connection))
    assert raised.value.setting == "output.connection"
    assert f"p2v.server={host}" in raised.value.advice


@pytest.mark.parametrize(
    "connection",
    [
        "qemu:///system",
        "qemu:///session",
        "qemu+unix:///system?socket=/run/libvirt/libvirt-sock",
        "qemu+tcp://localhost/system",
        "qemu+ssh://root@127.0.0.1/system",
        "qemu+tls://[::1]/system",
        "qemu+ssh://root@conv.example.com/system",
        "qemu+ssh://root@CONV.example.com./system",
        "qemu+tcp://localhost.localdomain/system",
        "test:///default",
    ],
)
def test_a_libvirt_on_the_conversion_server_itself_is_taken(connection: str) -> None:
    settings = Settings(server="conv.example.com", output_type="libvirt", output_connection=connection)
    assert choose_output(settings).connection == connection


VERSIONS = ((1, 44), (2, 0), (2, 2, 0), (2, 6), (2, 10), (2, 13))


@pytest.mark.parametrize(
    ("mode", "given", "unknown"),
    [
        ("local", "compressed", VERSIONS[:2]),
        ("kubevirt", "compressed", VERSIONS[:3]),
        ("qemu", "qemu-boot", ()),
        ("local", "qemu-boot", VERSIONS),
        ("glance", "compressed", VERSIONS),
        ("rhv-upload", "ovirt-cafile=/x", VERSIONS[:4]),
        ("rhv-upload", "rhv-cafile=/x", ()),
        ("rhv-upload", "rhv-proxy", VERSIONS[:1]),
        ("openstack", "os-username=x", ()),
        ("openstack", "oz-username=x", VERSIONS),
    ],
)
def test_the_options_that_a_version_does_not_have_are_known(
    mode: str, given: str, unknown: tuple[tuple[int, ...], ...]
) -> None:
    known = find_mode(mode).options
    assert [version for version in VERSIONS if unknown_options(known, (given,), version)] == list(unknown)


def test_the_options_of_a_version_that_nobody_here_knows_are_its_own_affair() -> None:
    assert unknown_options(find_mode("local").options, ("x",), (3, 0)) == ()
    assert unknown_options(find_mode("local").options, ("x",), ()) == ()


@pytest.mark.parametrize("count", [1, 3])
def test_an_option_for_each_disk_comes_once_for_each_disk(count: int) -> None:
    uuids = tuple(f"rhv-disk-uuid={number:08}-0000-0000-0000-000000000001" for number in range(count))
    (wrong,) = wrong_options(find_mode("rhv-upload").options, uuids, 2)
    assert f"2 times, not {count}" in wrong
    assert not list(wrong_options(find_mode("rhv-upload").options, (), 2))


def test_an_option_that_may_come_once_does_not_come_twice() -> None:
    given = ("rhv-cluster=a", "rhv-cluster=b")
    assert list(wrong_options(find_mode("rhv-upload").options, given, 1)) == [
        "-oo rhv-cluster may be given only once."
    ]
