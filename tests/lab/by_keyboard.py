"""What an operator does with a keyboard: looks for a field, fills it in, presses a button, types into a shell.

Only what stands on the terminal tells where the focus is; a step waits until it is seen.
"""

from __future__ import annotations

import functools
import re
import secrets

from tests.lab.commands import LabFailure
from tests.lab.terminal import Terminal
from tests.lab.waiting import happens

_STEPS = 60
_SECOND_LOOK_SECONDS = 0.4
# Behind the label of a password's field that has the focus.
_HINT = r"(?: \(\^P \w+\))?"


def focus(screen: str) -> str:
    """Where the focus mark is: the number of its line, and what follows it up to the next field.

    Another `>` ends a choice, `< local >`: nothing follows it.
    """
    found = re.search(r"^.*?(>(?=.*\S)[^:\]\n]*)", screen, re.MULTILINE)
    return f"{screen[: found.start()].count(chr(10))} {found[1]}" if found else ""


def move_to(terminal: Terminal, label: str, key: str = "Tab", *, timeout: float = 20.0) -> None:
    """Presses a key until the focus mark stands before the label, as a person would who looks for it.

    timeout: how many seconds a key may take. One that is pressed again too early takes the focus too far.
    """
    wanted = re.compile(rf">\s*(?:\[.\] |[\[(] )?{_with_hint(label)}")
    for _ in range(_STEPS):
        screen = terminal.screen()
        if wanted.search(screen) and _stays(terminal, wanted):
            return
        terminal.press(key)
        # Half drawn, the mark has left its old place and is not yet at the new one.
        happens(functools.partial(_moved, terminal, focus(screen)), timeout)
    raise LabFailure(f"{label!r} is not reached by {key}:\n{terminal.screen()}")


def _moved(terminal: Terminal, old: str) -> bool:
    return focus(terminal.screen()) not in ("", old)


def _stays(terminal: Terminal, wanted: re.Pattern[str]) -> bool:
    """Whether the focus is still there after a second look: a key that was pressed while the screen changed by itself
    may act late.
    """
    return not happens(lambda: not wanted.search(terminal.screen()), _SECOND_LOOK_SECONDS)


def _with_hint(label: str) -> str:
    """A regular expression for the label of a button, or with a colon of a field."""
    return f"{re.escape(label.removesuffix(':'))}{_HINT}:" if label.endswith(":") else re.escape(label)


def fill_in(terminal: Terminal, label: str, text: str, *, shown: str | None = None, timeout: float = 20.0) -> None:
    """Goes to the field, deletes what is in it and types. shown: what stands there then, if not the text."""
    move_to(terminal, f"{label}:", timeout=timeout)
    terminal.press("End", *["BSpace"] * 40)
    terminal.type(text)
    terminal.wait_for(rf">\s*{_with_hint(f'{label}:')} \[{re.escape(shown or text)} *\]", seconds=60.0 + timeout)


def press(terminal: Terminal, label: str, key: str = "Tab", *, timeout: float = 20.0) -> None:
    """Goes to the button and presses it."""
    move_to(terminal, label, key, timeout=timeout)
    terminal.press("Enter")


def start_conversion(terminal: Terminal, *, timeout: float = 20.0) -> None:
    """From the second screen, by the summary to the third."""
    press(terminal, "Start conversion", timeout=timeout)
    terminal.wait_for(r"To convert:[\s\S]*>\[ Start \]", timeout)
    terminal.press("Enter")


def in_shell(terminal: Terminal, command: str, seconds: float = 60.0) -> str:
    """What a command prints in a shell that is at its prompt."""
    # Not as it is typed, but as it is printed; and another one each time, as the last one may still stand there.
    end = f"end-{secrets.token_hex(4)}"
    terminal.type(f"clear; {command}; echo {end[:2]}''{end[2:]}\n")
    shown = terminal.wait_for(rf"(?m)^{end}$", seconds)
    return shown.rpartition(f"\n{end}")[0].strip()
