"""What the terminal is told beside the screens, and that one which would print it is not."""

from __future__ import annotations

import pytest

from p2v_tui import app as application
from p2v_tui.screens.notices import BELL, KEEP_TITLE, end_notice, notification, takes_title, title, title_text
from tests.screens.running_screen import opened
from tests.screens.scripted_conversion import COPYING, FINISHED, MADE, ran


@pytest.mark.parametrize("term", ["vt220", "vt100", "linux", "dumb", ""])
def test_consoles_get_no_title_and_no_notification(term: str) -> None:
    environment = {"TERM": term, "LANG": "C.UTF-8"}
    assert not takes_title(environment)
    assert notification("x", environment) == ""


@pytest.mark.parametrize(
    "environment", [{"TERM": "xterm-256color", "LANG": "C.UTF-8"}, {"TERM": "screen", "TMUX": "/tmp/tmux,1,0"}]
)
def test_a_desktops_terminal_and_tmux_take_a_title(environment: dict[str, str]) -> None:
    assert takes_title(environment)


@pytest.mark.parametrize(
    ("environment", "sequence"),
    [
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "\x1b]9;a;b\a"),
        ({"TERM": "xterm-kitty"}, "\x1b]9;a;b\a"),
        ({"TERM": "foot"}, "\x1b]777;notify;p2v-tui;a,b\a"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7200"}, "\x1b]777;notify;p2v-tui;a,b\a"),
        ({"TERM": "xterm-256color"}, ""),
        ({"TERM": "xterm-kitty", "TMUX": "x"}, ""),
    ],
)
def test_a_notification_goes_to_terminals_that_are_known(environment: dict[str, str], sequence: str) -> None:
    assert notification("a;b", environment) == sequence


def test_nothing_in_a_title_ends_it() -> None:
    inside = title("a\x07b\x1b]2;c\x9c").removeprefix("\x1b]2;").removesuffix("\a")
    assert inside.isprintable() and inside.isascii()


def test_the_end_rings_and_says_how_it_was() -> None:
    assert end_notice(ran(MADE), {"TERM": "vt220"}) == BELL
    assert "db1 was converted" in end_notice(ran(MADE), {"TERM": "foot"})
    assert "db1 was not converted" in end_notice(ran(RuntimeError("x")), {"TERM": "foot"})
    assert title_text(ran(MADE)) == "db1 done - p2v-tui"


async def test_the_terminal_is_told_how_far_it_is_and_once_that_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(application, "send", lambda _, text: sent.append(text))
    monkeypatch.setattr(application, "takes_title", lambda: True)
    monkeypatch.setattr(application, "end_notice", lambda _: BELL)
    async with opened() as screen:
        await screen.app.run_action("start_conversion")
        await screen.hear(*COPYING)
        await screen.until(lambda: KEEP_TITLE + title("db1 0% - p2v-tui") in sent)
        await screen.hear(*FINISHED[len(COPYING) :])
        await screen.until(lambda: BELL in sent)
        assert title("db1 done - p2v-tui") in sent
        screen.app.post_message(screen.app.RunChanged())
        await screen.pilot.pause()
        assert sent.count(BELL) == 1
