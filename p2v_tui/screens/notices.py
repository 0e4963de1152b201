"""What p2v-tui sends to the terminal itself: its title, and at the end a bell and a desktop notification.

A terminal may print a sequence that it does not know. So only terminals that surely have a title get one, and tmux,
which passes it on to those of its clients that have one. Only the few terminals that are known to show notifications
get one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from p2v_tui.front.conversion_run import ConversionRun
from p2v_tui.front.device_words import shown
from p2v_tui.screens.look import is_capable

BELL: Final = "\a"
# XTerm's stack of titles: the previous title comes back at the end.
KEEP_TITLE: Final = "\x1b[22;2t"
TITLE_BEFORE: Final = "\x1b[23;2t"
# These show a notification for OSC 9: iTerm2, WezTerm, Ghostty (by TERM_PROGRAM), kitty (by TERM). These for OSC 777:
# foot, urxvt, and VTE, which ignores it if it was built without.
_OSC_9: Final = frozenset({"iTerm.app", "WezTerm", "ghostty", "xterm-kitty"})
_OSC_777: Final = frozenset({"foot", "foot-extra", "rxvt-unicode-256color"})


def takes_title(environment: Mapping[str, str] = os.environ) -> bool:
    """False for a VT220, a serial line and a Linux VT."""
    return "TMUX" in environment or is_capable(environment)


def title(text: str) -> str:
    return f"\x1b]2;{shown(text)}\a"


def title_text(run: ConversionRun) -> str:
    """`db1 42% - p2v-tui`"""
    snapshot = run.snapshot
    how = f"{run.pace.percent}%"
    if snapshot.finished:
        how = "done" if snapshot.outcome is not None else "failed"
    return f"{run.plan.guest.name} {how} - p2v-tui"


def end_notice(run: ConversionRun, environment: Mapping[str, str] = os.environ) -> str:
    """The bell, and what a desktop's terminal shows as a notification."""
    guest = shown(run.plan.guest.name)
    text = f"{guest} was converted" if run.snapshot.outcome is not None else f"{guest} was not converted"
    return BELL + notification(text, environment)


def notification(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Empty if the terminal is not known to show one."""
    if "TMUX" in environment or "STY" in environment:
        return ""
    names = {environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")}
    if names & _OSC_9:
        return f"\x1b]9;{text}\a"
    if names & _OSC_777 or "VTE_VERSION" in environment:
        return f"\x1b]777;notify;p2v-tui;{text.replace(';', ',')}\a"
    return ""
