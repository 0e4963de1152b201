"""The output is checked by a real shell; a place that does not answer proves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from p2v_tui.config import Settings
from p2v_tui.session.conversion.output_proof import Found, look_command, parse_answer
from p2v_tui.session.plan.plan import Plan, make_plan
from tests.unit.machines import SERVER

NAMES = ["web", "my guest", 'Müller\'s "x"', "$(touch x)", "*"]


def plan(directory: str | None, *, mode: str = "local", name: str = "web", misc: tuple[str, ...] = ()) -> Plan:
    settings = Settings(
        guestname=name, disks=("sda", "sdb"), output_type=mode, output_storage=directory, output_misc=misc
    )
    return make_plan(settings, SERVER)


def look(about: Plan, *, path: str | None = None) -> Found | None:
    command = look_command(about, sudo=False)
    assert command is not None
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, env=environment, check=False)
    return parse_answer(about, done.stdout.decode())


@pytest.mark.parametrize("name", NAMES)
def test_the_files_of_a_whole_guest_are_there(tmp_path: Path, name: str) -> None:
    for end in ("-sda", "-sdb", ".xml"):
        (tmp_path / f"{name}{end}").write_text("x")
    assert look(plan(str(tmp_path), name=name)) == Found(
        tuple(f"{tmp_path}/{name}{end}" for end in ("-sda", "-sdb", ".xml"))
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing_and_one_that_is_empty_are_told_apart(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}-sda").touch()
    (tmp_path / f"{name}.xml").write_text("x")
    found = look(plan(f"{tmp_path}/", name=name))
    assert found == Found(
        (f"{tmp_path}/{name}.xml",), (f"{tmp_path}/{name}-sda is empty", f"{tmp_path}/{name}-sdb is missing")
    )


def test_a_directory_that_cannot_be_entered_says_nothing(tmp_path: Path) -> None:
    assert look(plan(f"{tmp_path}/nowhere")) is None


@pytest.mark.parametrize("answer", ["", "there\nthere\nthere\n", "there\nend\n", "nonsense", "end"])
def test_half_an_answer_says_nothing(answer: str) -> None:
    assert parse_answer(plan("/srv"), answer) is None


@pytest.mark.parametrize("mode", ["null", "glance", "rhv"])
def test_what_is_not_on_the_server_is_not_looked_at(mode: str) -> None:
    assert look_command(plan("/mnt/esd", mode=mode), sudo=False) is None


def test_files_of_other_names_are_not_looked_at() -> None:
    assert look_command(plan("/srv", mode="kubevirt", misc=("disk=x",)), sudo=False) is None


@pytest.fixture
def virsh(tmp_path: Path) -> Path:
    """A directory for PATH with a virsh that knows some domains: `web` has two disks and a CD drive, `small` one."""
    for name in ("grep", "timeout", "true", "id", "printf"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    program = tmp_path / "virsh"
    program.write_text(
        """#!/bin/sh
case "$*" in
*"list --all --name") printf 'web\\n7\\nsmall\\n\\n' ;;
*"domblklist --details --domain web")
  printf ' Type   Device   Target   Source\\n----\\n file   disk     vda      /x/web-sda\\n'
  printf ' file   disk     vdb      /x/web-sdb\\n file   cdrom    hda      -\\n' ;;
*"domblklist --details --domain small") printf ' file   disk     vda      /x/small-sda\\n' ;;
*) echo "error: failed to connect"; exit 1 ;;
esac
"""
    )
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("web", Found(("the domain web",))),
        ("7", Found(("the domain 7",))),
        ("small", Found(("the domain small",), ("the domain small has 1 of 2 disks",))),
        ("we", Found((), ("libvirt has no domain we",))),
        ("-web", Found((), ("libvirt has no domain -web",))),
    ],
)
def test_libvirt_is_asked_for_the_domain_and_its_disks(virsh: Path, name: str, found: Found) -> None:
    assert look(plan("pool", mode="libvirt", name=name), path=str(virsh)) == found


def test_a_libvirt_that_does_not_answer_says_nothing(virsh: Path) -> None:
    (virsh / "virsh").write_text("#!/bin/sh\nexit 1\n")
    assert look(plan("pool", mode="libvirt"), path=str(virsh)) is None
