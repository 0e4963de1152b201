"""root.setup: what is done in the root file system after our files lie over it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from imagebuild.inside.arrange import set_up
from imagebuild.lists import HERE


class Systemctl:
    """Keeps what systemctl would have been told."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []

    def __call__(self, words: list[str]) -> None:
        self.told.append(words)


def test_units_are_enabled_and_masked_by_systemctl(tmp_path: Path) -> None:
    systemctl = Systemctl()
    set_up(
        "enable a.service b.service # both\nmask c.timer\ndisable d.service\ndefault multi-user.target\n",
        tmp_path,
        systemctl,
    )
    assert systemctl.told == [
        ["systemctl", "enable", "a.service", "b.service"],
        ["systemctl", "mask", "c.timer"],
        ["systemctl", "disable", "d.service"],
        ["systemctl", "set-default", "multi-user.target"],
    ]


def test_modes_directories_and_removals_are_those_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("key", "old-1", "old-2"):
        (tmp_path / "etc" / name).touch()
    set_up("mode 0600 /etc/key\ndirectory 0700 /var/lib/p2v\nremove /etc/old-*\nnull /etc/generator\n", tmp_path)
    assert stat.S_IMODE((tmp_path / "etc/key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "var/lib/p2v").stat().st_mode) == 0o700
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["generator", "key"]
    assert str((tmp_path / "etc/generator").readlink()) == "/dev/null"


@pytest.mark.parametrize(
    "line",
    ["remove /etc/nothing", "mode 0600 /etc/nothing", "mode rw /etc", "obliterate /etc", "enable no-such.service"],
)
def test_what_cannot_be_done_ends_the_build_and_names_the_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()

    def systemctl(words: list[str]) -> None:
        raise FileNotFoundError(words[-1])

    with pytest.raises(SystemExit, match=f"line 2: {line}"):
        set_up(f"# first\n{line}\n", tmp_path, systemctl)


def test_the_verbs_of_the_images_own_file_are_known() -> None:
    known = {"enable", "disable", "mask", "default", "mode", "directory", "null", "remove"}
    lines = [line.partition("#")[0].split() for line in (HERE / "root.setup").read_text().splitlines()]
    assert {words[0] for words in lines if words} <= known
