"""Which look a terminal gets, and that each look's colours can be told from what they stand on."""

from __future__ import annotations

import pytest

from p2v_tui.screens.look import MARK_COLOURS, RICH, Look, colour_system, is_capable

DESKTOP = {"TERM": "xterm-256color", "LANG": "en_GB.UTF-8"}
PTY = "/dev/pts/3"


@pytest.mark.parametrize(
    "term", ["xterm-256color", "rxvt-256color", "xterm-direct", "alacritty", "xterm-kitty", "foot"]
)
def test_a_desktops_terminal_gets_the_rich_look(term: str) -> None:
    assert is_capable({**DESKTOP, "TERM": term}, PTY)


@pytest.mark.parametrize("terminal", ["/dev/ttyS0", "/dev/ttyUSB1", "/dev/hvc0", "/dev/tty1", "/dev/console"])
def test_a_serial_line_is_slow_whatever_it_says_of_itself(terminal: str) -> None:
    assert not is_capable(DESKTOP, terminal)


@pytest.mark.parametrize(
    "other",
    [
        {"TERM": "vt220"},
        {"TERM": "linux"},
        {"TERM": "screen-256color"},
        {"LANG": "C"},
        {"TMUX": "/tmp/tmux-0/default"},
    ],
)
def test_what_may_lack_lines_or_colours_gets_the_plain_look(other: dict[str, str]) -> None:
    assert not is_capable({**DESKTOP, **other}, PTY)


def test_the_locale_is_the_one_that_counts() -> None:
    assert not is_capable({**DESKTOP, "LC_ALL": "C"}, PTY)
    assert is_capable({**DESKTOP, "LANG": "C", "LC_CTYPE": "C.utf8"}, PTY)


def test_true_colour_is_believed_only_of_a_desktops_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.ttyname", lambda _: PTY)
    assert colour_system({**DESKTOP, "COLORTERM": "truecolor"}) == "truecolor"
    assert colour_system(DESKTOP) == "256"
    # systemd says it everywhere.
    assert colour_system({"TERM": "vt220", "COLORTERM": "truecolor"}) == "standard"
    assert colour_system({"TERM": "screen", "TMUX": "/run/p2v-tui-0/tmux,1,0"}) == "256"


@pytest.mark.parametrize("look", RICH)
def test_every_mark_has_a_sign_and_a_colour(look: Look) -> None:
    assert look.glyphs.marks.keys() == MARK_COLOURS.keys()
    assert all(getattr(look.palette, colour).startswith("#") for colour in MARK_COLOURS.values())
