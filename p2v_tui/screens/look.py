"""How the screens look: plain (ASCII, no colour needed) or rich (lines and colours), and which a terminal gets."""

from __future__ import annotations

import os
from collections.abc import Mapping

# Every colour is the terminal's own: state is told by characters, and by bold and reverse where there are some.
STYLES = """
* { scrollbar-size: 0 0; }
Screen { background: ansi_default; color: ansi_default; }
Line, Row, Heading, Toggle, Choice, Action, FieldInput, Horizontal, Vertical, VerticalScroll {
    background: ansi_default; color: ansi_default;
}
Line { height: auto; width: 1fr; }
Row { height: 1; width: 1fr; }
CheckList { height: auto; width: 1fr; background: ansi_default; color: ansi_default; }
Heading { text-style: bold; height: 1; }
Toggle, Choice { height: 1; width: 1fr; }
Action { height: 1; width: auto; }
Toggle:focus, Choice:focus, Action:focus { text-style: bold; }
.form-field { height: 1; width: 1fr; }
.form-field .mark { width: 1; text-style: bold; }
.form-field .label { width: auto; }
.form-field .bracket { width: auto; }
FieldInput, FieldInput:focus {
    width: 1fr; height: 1; border: none; padding: 0; background: ansi_default; color: ansi_default;
    background-tint: ansi_default 0%;
}
FieldInput > .input--cursor { background: ansi_default; color: ansi_default; text-style: reverse; }
FieldInput > .input--selection { background: ansi_default; text-style: reverse; }
FieldInput:disabled { text-style: dim; }
#fields { height: auto; width: 1fr; }
.buttons { height: 1; width: 1fr; }
.title { height: 1; width: 1fr; text-style: bold; }
.keys { dock: bottom; height: 1; width: 1fr; }
.wrong { text-style: bold; }
Question { align: center middle; background: ansi_default; }
Question > Vertical {
    width: 72; max-width: 100%; height: auto; max-height: 100%; border: ascii ansi_default; padding: 0 1;
}
.-rich Question > Vertical { border: round ansi_blue; }
.-rich .title { background: ansi_blue; color: ansi_bright_white; }
.-rich Heading { color: ansi_cyan; }
.-rich .wrong { color: ansi_bright_red; }
.-rich Toggle:focus, .-rich Choice:focus, .-rich Action:focus { color: ansi_bright_yellow; }
.-rich .form-field:focus-within .label { color: ansi_bright_yellow; }
"""


def is_capable(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal surely shows lines and colours: a desktop's, with a UTF-8 locale.

    A Linux VT has too few glyphs, a VT220 and a serial line's unknown end none. Inside tmux TERM says nothing of the
    consoles that are attached, which may be any.
    """
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    utf8 = locale.lower().replace("-", "").endswith("utf8")
    term = environment.get("TERM", "")
    desktop = term.endswith("-256color") or term.endswith("-direct") or term in {"alacritty", "xterm-kitty", "foot"}
    return utf8 and desktop and not term.startswith(("screen", "tmux")) and "TMUX" not in environment
