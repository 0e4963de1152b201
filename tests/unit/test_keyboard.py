"""The layout of the machine's keyboard: the names, and what loadkeys is asked and says."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from p2v_tui import keyboard
from p2v_tui.errors import P2VError, SettingsError
from p2v_tui.keyboard import Keyboard
from tests.lab.terminal import Terminal

# Where the package is, for a program in a terminal.
PACKAGE = {"PYTHONPATH": str(Path(keyboard.__file__).parents[1])}
COMMON = """# The common ones.
us  us                    American
de  de-latin1-nodeadkeys  German
ch  sg-latin1             Swiss German
"""
# Stands in for loadkeys, which would change this machine's keyboard.
LOADKEYS = """#!/bin/sh
echo "$*" >> {asked}
case $3 in
    broken) echo "syntax error, unexpected ERROR"; exit 1 ;;
esac
"""


class Lab:
    """A keyboard with three common layouts, and a stand-in for loadkeys that notes what it is asked."""

    def __init__(self, directory: Path) -> None:
        self.complaint = directory / "run/keymap"
        self._asked = directory / "asked"
        maps = directory / "keymaps/i386/qwertz"
        maps.mkdir(parents=True)
        for name in ("de-latin1-nodeadkeys.kmap.gz", "sg-latin1.map", "us.kmap", "broken.kmap.gz", "euro.inc.gz"):
            (maps / name).touch()
        (directory / "common").write_text(COMMON)
        loadkeys = directory / "loadkeys"
        loadkeys.write_text(LOADKEYS.format(asked=self._asked))
        loadkeys.chmod(0o755)
        self.keyboard = Keyboard(str(loadkeys), maps=directory / "keymaps", common=directory / "common")

    def asked(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_common_name_stands_for_the_map_that_has_all_its_letters(lab: Lab) -> None:
    assert str(lab.keyboard.load("de")) == "de (German)"
    assert lab.asked() == ["--quiet --console=/dev/tty0 de-latin1-nodeadkeys"]


def test_each_map_of_loadkeys_has_its_own_name_and_what_maps_include_has_none(lab: Lab) -> None:
    assert lab.keyboard.keymaps() == ("broken", "de-latin1-nodeadkeys", "sg-latin1", "us")
    assert str(lab.keyboard.load("sg-latin1")) == "sg-latin1"
    assert lab.asked() == ["--quiet --console=/dev/tty0 sg-latin1"]


@pytest.mark.parametrize(("name", "meant"), [("dee", "de"), ("German", "de"), ("sg", "sg-latin1"), ("swiss", "ch")])
def test_a_wrong_name_is_answered_with_what_is_near(lab: Lab, name: str, meant: str) -> None:
    with pytest.raises(SettingsError) as error:
        lab.keyboard.load(name)
    assert f"{name!r} is not the name of a keyboard layout here. Did you mean " in error.value.message
    assert meant in error.value.message.partition("Did you mean ")[2].rstrip("?").split(" or ")
    assert lab.asked() == []


@pytest.mark.parametrize("name", ["xyz", "", "../i386/qwertz/us.kmap"])
def test_a_wrong_name_is_answered_with_all_that_are_valid(lab: Lab, name: str) -> None:
    with pytest.raises(SettingsError) as error:
        lab.keyboard.load(name)
    assert error.value.message == f"{name!r} is not the name of a keyboard layout here."
    assert lab.asked() == []
    assert "us (American), de (German), ch (Swiss German)" in error.value.advice
    assert "broken de-latin1-nodeadkeys sg-latin1 us" in error.value.advice


def test_what_loadkeys_says_of_a_failure_is_shown(lab: Lab) -> None:
    with pytest.raises(P2VError, match=r"broken was not loaded\. loadkeys said: syntax error, unexpected ERROR"):
        lab.keyboard.load("broken")


def test_without_loadkeys_the_package_is_named(tmp_path: Path, lab: Lab) -> None:
    bare = Keyboard(str(tmp_path / "none"), maps=tmp_path / "keymaps", common=tmp_path / "common")
    assert not bare.is_usable()
    with pytest.raises(P2VError, match="loadkeys cannot be run: No such file or directory") as error:
        bare.load("de")
    assert "kbd" in error.value.advice
    assert lab.asked() == []


def test_without_a_virtual_console_there_is_no_layout_to_change(tmp_path: Path) -> None:
    for console in (Path("/dev/null"), tmp_path / "none"):
        assert not Keyboard("true", maps=tmp_path, console=console).is_usable()


def test_a_wrong_layout_on_the_kernel_command_line_is_kept_for_the_consoles(lab: Lab) -> None:
    keyboard.load_at_boot("dee", lab.keyboard, lab.complaint)
    said = lab.complaint.read_text()
    assert said.startswith("p2v.keymap: 'dee' is not the name of a keyboard layout here. Did you mean de?\n")
    assert "sg-latin1" in said
    # The first screen has no room for the list.
    assert keyboard.complaint_at_boot(lab.complaint) == (said.splitlines()[0],)


def test_a_good_layout_is_not_spoken_of(lab: Lab) -> None:
    keyboard.load_at_boot("ch", lab.keyboard, lab.complaint)
    assert lab.asked() == ["--quiet --console=/dev/tty0 sg-latin1"]
    assert keyboard.complaint_at_boot(lab.complaint) == ()


def test_only_a_virtual_console_has_the_machines_keyboard() -> None:
    assert keyboard.is_virtual_console("tty1")
    assert not any(keyboard.is_virtual_console(name) for name in ("", "ttyS0", "pts/0", "hvc0", "ttyUSB1"))


@pytest.mark.integration
def test_in_the_session_of_all_consoles_it_is_known_at_which_one_the_operator_is(tmp_path: Path) -> None:
    say = (
        "from p2v_tui.keyboard import terminal_in_front; print('in front:', terminal_in_front(), flush=True); input()"
    )
    inside = shlex.join([sys.executable, "-P", "-c", say])
    # Otherwise tmux's server would outlive the terminal.
    gone = ["set-option", "-g", "destroy-unattached", "on"]
    session = shlex.join(["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null", "new-session", inside, ";", *gone])
    with Terminal(["sh", "-c", f"unset TMUX; tty; read _; exec {session}"], environment=PACKAGE) as console:
        own = re.search(r"/dev/(pts/\d+)", console.wait_for(r"/dev/pts/\d+"))
        assert own is not None
        console.press("Enter")
        console.wait_for(rf"in front: {own[1]}\n")
