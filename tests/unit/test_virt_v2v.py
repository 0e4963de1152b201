"""What the server's virt-v2v says of itself, from 1.28 on, and what it could say to confuse us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.errors import PreflightRefused
from p2v_tui.session.plan.virt_v2v import parse_features, parse_version
from p2v_tui.session.words.terminal_text import plain

_OLD = ["virt-v2v", "libguestfs-rewrite", "input:disk", "input:libvirt", "input:libvirtxml", "input:ova"]
_CONVERT = ["convert:enterprise-linux", "convert:windows"]
_MODES = ["output:glance", "output:libvirt", "output:local", "output:null", "output:qemu"]

# facts of virt-v2v, section 3: what --machine-readable prints, version by version.
V1_28 = [*_OLD, *_MODES, "output:rhev", "output:vdsm", *_CONVERT]
V1_36 = [*_OLD, *_MODES, "output:rhv", "output:vdsm", "colours-option", "vdsm-compat-option", "in-place", *_CONVERT]
V1_40 = [*V1_36, "io/oo", "mac-option", "vddk", "ovf:ovirt", "output:openstack", "output:rhv-upload"]
V2_0 = [*V1_40, "virt-v2v-2.0", "bandwidth-option", "output:json"]
V2_2 = [*V1_40, "virt-v2v-2.0", "bandwidth-option", "mac-ip-option", "output:kubevirt"]
V2_7_16 = [
    *[line for line in V2_2 if line not in {"output:local", "output:rhv", "output:rhv-upload"}],
    "output:disk",
    "output:ovirt",
    "output:ovirt-upload",
    "customize-ops",
    "parallel-option",
]


@pytest.mark.parametrize(
    ("version", "lines", "has", "has_not", "colours"),
    [
        ("1.28.1", V1_28, {"local", "libvirt", "rhev"}, {"rhv", "rhv-upload", "openstack"}, False),
        ("1.36.13", V1_36, {"local", "rhv", "vdsm"}, {"rhev", "rhv-upload"}, True),
        ("1.40.2", V1_40, {"openstack", "rhv-upload"}, {"json", "kubevirt"}, True),
        ("2.0.7", V2_0, {"json", "local"}, {"kubevirt"}, True),
        ("2.2.0", V2_2, {"kubevirt", "local", "rhv-upload"}, {"json", "disk"}, True),
        ("2.7.16", V2_7_16, {"disk", "ovirt", "ovirt-upload"}, {"local", "rhv", "rhv-upload"}, True),
    ],
)
def test_each_versions_own_lines_say_what_it_has(
    version: str, lines: list[str], has: set[str], has_not: set[str], colours: bool
) -> None:
    found = parse_features(version, "\n".join(lines) + "\n")
    assert found.version == version
    assert has <= set(found.output_modes)
    assert not has_not & set(found.output_modes)
    assert found.colours is colours


def test_the_modes_are_sorted_and_none_is_there_twice() -> None:
    found = parse_features("2.2.0", "virt-v2v\noutput:null\noutput:local\noutput:null\n")
    assert found.output_modes == ("local", "null")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("virt-v2v 2.2.0\n", "2.2.0"),
        ("virt-v2v 1.28.1\n", "1.28.1"),
        ("virt-v2v 1.42.0rhel=8,release=22.module+el8.9.0\n", "1.42.0rhel=8,release=22.module+el8.9.0"),
        ("virt-v2v 2.10.0rhel=10,release=23.el10\r\n", "2.10.0rhel=10,release=23.el10"),
        ("some warning of a profile script\nvirt-v2v 2.2.0\n", "2.2.0"),
        ("\x1b[1mvirt-v2v 2.2.0\x1b[0m\n", "2.2.0"),
    ],
)
def test_the_version_is_read(said: str, version: str) -> None:
    assert parse_version(said) == version


@pytest.mark.parametrize("said", ["virt-v2v 1.27.99\n", "virt-v2v 0.9.1\n", "virt-v2v 1.3\n"])
def test_a_version_that_is_too_old_is_refused_and_named(said: str) -> None:
    with pytest.raises(PreflightRefused) as raised:
        parse_version(said)
    assert "too old" in raised.value.message
    assert said.split()[1] in raised.value.message
    assert "1.28" in raised.value.advice


@pytest.mark.parametrize("said", ["", "2.2.0\n", "virt-v2v: error\n", "virt-v2v two\n", "xvirt-v2v 2.2.0\n"])
def test_what_is_no_version_is_refused(said: str) -> None:
    with pytest.raises(PreflightRefused, match="did not print its version"):
        parse_version(said)


@pytest.mark.parametrize("text", ["", "virt-v2v\n", "output:local\n", "virt-v2v\ninput:disk\n", "usage: virt-v2v\n"])
def test_a_virt_v2v_that_names_no_output_mode_is_refused(text: str) -> None:
    with pytest.raises(PreflightRefused, match=r"2\.2\.0"):
        parse_features("2.2.0", text)


@pytest.mark.parametrize(
    "line", ["output:a b", "output:$(reboot)", "output:" + "x" * 100, "output:-o", "-output:x", "output:\x1b[2Jx;y"]
)
def test_a_line_that_is_no_name_is_not_taken_over(line: str) -> None:
    found = parse_features("2.2.0", f"virt-v2v\noutput:local\n{line}\n")
    assert set(found.output_modes) <= {"local", "-o"}
    assert all(mode.isprintable() for mode in found.output_modes)


@given(st.text() | st.text(max_size=20).map(lambda text: f"virt-v2v 2.{text}"))
def test_no_version_text_raises_anything_but_a_refusal_that_drives_no_terminal(said: str) -> None:
    try:
        assert plain(parse_version(said)) == parse_version(said)
    except PreflightRefused as error:
        assert plain(error.message) == error.message


def test_a_version_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(PreflightRefused):
        parse_version("virt-v2v 2." + "9" * 9000)


@given(
    st.lists(st.text(max_size=30) | st.sampled_from(V2_2) | st.text(max_size=10).map(lambda text: f"output:{text}"))
)
def test_no_features_raise_anything_but_a_refusal_and_every_mode_is_a_plain_name(lines: list[str]) -> None:
    try:
        found = parse_features("2.2.0", "\n".join(lines))
    except PreflightRefused:
        return
    assert found.output_modes
    for mode in found.output_modes:
        assert mode.isascii()
        assert mode.isprintable()
        assert " " not in mode
