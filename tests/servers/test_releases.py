"""Whole conversions on conversion servers of other Debian releases, each with its own sshd, nbdkit, Python, virt-v2v.

Minutes each: `make test-servers` runs all, `make test-servers RELEASE=trixie` one of them. This machine's own release
is what all other tests convert with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import with_key
from tests.e2e.program import run_p2v
from tests.lab.boot import boot_until_login
from tests.lab.conversion_server import ConversionServer, Identity, identity
from tests.lab.guest_disk import guest_disk
from tests.lab.releases import Release, server_root
from tests.lab.stand_in import VIRT_V2V, Behaviour, StandIn

MIB = 1 << 20
REFUSED = 4
# What virt-v2v 1.44 answers, which opens several connections to a disk one after the other.
SAYS_1_44 = {
    "--version": "virt-v2v 1.44.0\n",
    "--machine-readable": "virt-v2v\nlibguestfs-rewrite\nvcenter-https\nxen-ssh\nvddk\ncolours-option\nio\noo\n"
    "mac-option\nbandwidth-option\nmac-ip-option\ninput:disk\ninput:libvirt\ninput:libvirtxml\ninput:ova\n"
    "input:vmx\noutput:glance\noutput:json\noutput:libvirt\noutput:local\noutput:null\noutput:openstack\n"
    "output:qemu\noutput:rhv\noutput:rhv-upload\noutput:vdsm\nconvert:linux\nconvert:windows\n",
}


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """A directory that both this machine and the server see."""
    directory = tmp_path / "out"
    directory.mkdir()
    # Whatever runs in the server's root goes through all of the path.
    tmp_path.chmod(0o755)
    yield directory


@pytest.mark.parametrize("release", [release for release in Release if release.has_virt_v2v], ids=lambda r: r.value)
def test_a_guest_converted_there_boots(release: Release, key: Identity, out: Path) -> None:
    with ConversionServer(authorized=[key.public_key], root=server_root(release), shown=[out]) as server:
        outcome = run_p2v(f"{with_key(server, key)} p2v.name=guest p2v.disks={guest_disk()} p2v.os={out} p2v.post=")
    assert outcome.code == 0, outcome.output
    boot_until_login([out / "guest-sda"])


def test_debian_11_serves_a_virt_v2v_of_1_44(key: Identity, out: Path, tmp_path: Path) -> None:
    """Its OpenSSH 8.4, Python 3.9 and nbdkit 1.24 are real; a stand-in reads the disks and answers as 1.44 does."""
    disk = tmp_path / "disk.img"
    disk.write_bytes(os.urandom(16 * MIB))
    with (
        StandIn(Behaviour(writes=True), says=SAYS_1_44, python=Path("/usr/bin/python3")) as stand_in,
        ConversionServer(
            authorized=[key.public_key],
            root=server_root(Release.BULLSEYE),
            shown=[out, stand_in.directory],
            replace={VIRT_V2V: stand_in.program},
        ) as server,
    ):
        outcome = run_p2v(f"{with_key(server, key)} p2v.name=guest p2v.disks={disk} p2v.os={out} p2v.post=")
    assert outcome.code == 0, outcome.output
    assert (out / "guest-sda").read_bytes() == disk.read_bytes()


def test_debian_11_has_no_virt_v2v_and_is_refused_with_words(key: Identity, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(MIB))
    with ConversionServer(authorized=[key.public_key], root=server_root(Release.BULLSEYE)) as server:
        outcome = run_p2v(f"{with_key(server, key)} p2v.name=guest p2v.disks={disk} p2v.post=")
    assert outcome.code == REFUSED, outcome.output
    assert "virt-v2v is not installed" in outcome.output
