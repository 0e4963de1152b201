"""The remote directory's name: where the manual says that logs are found."""

from __future__ import annotations

import datetime
import re

import pytest

from p2v_tui.session.remote.directory import RemoteDirectory

TODAY = datetime.date(2026, 3, 9)


def test_it_is_below_tmp_and_named_after_the_day_and_eight_random_characters() -> None:
    assert re.fullmatch(r"/tmp/virt-p2v-20260309-[a-z0-9]{8}", RemoteDirectory.new(TODAY).path)


def test_it_is_below_tmp_whatever_this_machines_tmpdir_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/var/elsewhere")
    assert RemoteDirectory.new(TODAY).path.startswith("/tmp/")


def test_two_conversions_of_one_day_do_not_share_it() -> None:
    assert len({RemoteDirectory.new(TODAY).path for _ in range(100)}) == 100


def test_its_files_have_the_names_of_the_manual() -> None:
    directory = RemoteDirectory("/tmp/virt-p2v-20260309-abcdefgh")
    assert directory.log == f"{directory.path}/virt-v2v-conversion-log.txt"
    assert directory.physical_xml == f"{directory.path}/physical.xml"
    assert directory.status == f"{directory.path}/status"
    assert directory.wrapper == f"{directory.path}/virt-v2v-wrapper.sh"


def test_no_two_of_its_files_are_the_same() -> None:
    directory = RemoteDirectory.new(TODAY)
    files = [
        directory.log,
        directory.status,
        directory.pid,
        directory.wrapper,
        directory.physical_xml,
        directory.output_password,
        directory.key_file(0),
        directory.key_file(1),
    ]
    assert len(set(files)) == len(files)
