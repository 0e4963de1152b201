"""How the screens look: plain (ASCII, no colour needed) or rich (lines and colours), and which one a terminal gets.

A look is one value. The differences between looks are data here (colours, characters). Widgets ask their look for
them (`dressed.py`), and the stylesheet gets them as variables (`styles.py`). Nothing here needs Textual.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from p2v_tui.front import marks


@dataclass(frozen=True)
class Palette:
    """The colours of a look, each named after its purpose. The stylesheet has them as `$ink`, `$head-ink`.

    Each ink has a contrast of 4.5 or more (WCAG AA) on every ground that its name or the comment mentions.
    """

    # The grounds behind text: of the screen, of a field, of a field or row with the focus.
    ground: str
    field: str
    field_focus: str
    # Text on any of these: normal, less important, titles, and by meaning.
    ink: str
    muted: str
    title: str
    good: str
    caution: str
    bad: str
    remark: str
    # The first and the last line: their ground, prominent text and less prominent text.
    head: str
    head_ink: str
    head_muted: str
    # A focused button, the cursor, and selected text.
    focus: str
    focus_ink: str
    # The lines around a panel, and around the panel with the focus.
    edge: str
    edge_focus: str


@dataclass(frozen=True)
class Glyphs:
    """The characters that a look draws with.

    focus: in front of the focused widget; no_focus: in front of the others. on, off, on_disabled, off_disabled: a
    toggle's box. button, button_disabled, choice: what encloses the label or the value. full, empty: a bar. marks:
    the signs for the marks of `front/marks.py`. arrow: from the machine to the server.
    """

    focus: str
    no_focus: str
    on: str
    off: str
    on_disabled: str
    off_disabled: str
    button: tuple[str, str]
    button_disabled: tuple[str, str]
    choice: tuple[str, str]
    full: str
    empty: str
    secret: str
    ellipsis: str
    arrow: str
    marks: Mapping[str, str]


_ASCII: Final = Glyphs(
    focus=">",
    no_focus=" ",
    on="[x]",
    off="[ ]",
    on_disabled="(x)",
    off_disabled="( )",
    button=("[ ", " ]"),
    button_disabled=("( ", " )"),
    choice=("<", ">"),
    full="#",
    empty="-",
    secret="*",
    ellipsis="...",
    arrow="->",
    marks={},
)
_LINES: Final = Glyphs(
    # RUF001 warns of characters that look like others; these are drawn, not compared.
    focus="›",  # noqa: RUF001
    no_focus=" ",
    on="[✓]",
    off="[ ]",
    on_disabled="(✓)",
    off_disabled="( )",
    button=("  ", "  "),
    button_disabled=("  ", "  "),
    choice=("‹", "›"),  # noqa: RUF001
    full="━",
    empty="━",
    secret="•",
    ellipsis="…",
    arrow="→",
    marks={
        marks.TO_COME: "○",
        marks.CURRENT: "●",
        marks.DONE: "✓",
        marks.LEFT_OUT: "–",  # noqa: RUF001
        marks.FAILED: "✗",
        "[warn]": "!",
        "[note]": "i",
    },
)
# The palette's colour of each mark.
MARK_COLOURS: Final = {
    marks.TO_COME: "muted",
    marks.CURRENT: "title",
    marks.DONE: "good",
    marks.LEFT_OUT: "muted",
    marks.FAILED: "bad",
    "[warn]": "caution",
    "[note]": "remark",
}

_TERMINALS: Final = Palette(*["ansi_default"] * 17)
_DARK: Final = Palette(
    ground="#16181f",
    field="#262a38",
    field_focus="#343a50",
    ink="#dfe3f0",
    muted="#a9b1c9",
    title="#8fb4ff",
    good="#9fd67a",
    caution="#ecc06f",
    bad="#ff9aa8",
    remark="#85d3f2",
    head="#26315c",
    head_ink="#f2f4fb",
    head_muted="#b9c3e6",
    focus="#8fb4ff",
    focus_ink="#10131c",
    edge="#4d567a",
    edge_focus="#8fb4ff",
)
_LIGHT: Final = Palette(
    ground="#fbfbfd",
    field="#e9ebf2",
    field_focus="#dbe4fb",
    ink="#1b1e2b",
    muted="#51566b",
    title="#1c48b0",
    good="#1d5f0e",
    caution="#7a4b00",
    bad="#a50f2b",
    remark="#0a5570",
    head="#1c48b0",
    head_ink="#ffffff",
    head_muted="#d4defa",
    focus="#1c48b0",
    focus_ink="#ffffff",
    edge="#9aa1b8",
    edge_focus="#1c48b0",
)
_CONTRAST: Final = Palette(
    ground="#000000",
    field="#1c1c1c",
    field_focus="#303030",
    ink="#ffffff",
    muted="#d7d7d7",
    title="#ffff5f",
    good="#5fff87",
    caution="#ffd75f",
    bad="#ffafaf",
    remark="#87d7ff",
    head="#ffffff",
    head_ink="#000000",
    head_muted="#303030",
    focus="#ffff5f",
    focus_ink="#000000",
    edge="#ffffff",
    edge_focus="#ffff5f",
)


class Look(enum.Enum):
    """The value is the name that the operator sees."""

    PLAIN = "plain"
    DARK = "dark"
    LIGHT = "light"
    CONTRAST = "high contrast"

    @property
    def rich(self) -> bool:
        """Whether it has lines and colours, and the mouse."""
        return self is not Look.PLAIN

    @property
    def palette(self) -> Palette:
        return _PALETTES[self]

    @property
    def glyphs(self) -> Glyphs:
        return _LINES if self.rich else _ASCII

    @property
    def next_colours(self) -> Look:
        """The rich look with the next colours."""
        return RICH[(RICH.index(self) + 1) % len(RICH)] if self.rich else RICH[0]


_PALETTES: Final = {
    Look.PLAIN: _TERMINALS,
    Look.DARK: _DARK,
    Look.LIGHT: _LIGHT,
    Look.CONTRAST: _CONTRAST,
}
RICH: Final = tuple(look for look in Look if look.rich)


def look_for(environment: Mapping[str, str] = os.environ) -> Look:
    """The look that a terminal gets if nobody has chosen one."""
    return Look.DARK if is_capable(environment) else Look.PLAIN


def is_capable(environment: Mapping[str, str] = os.environ, terminal: str | None = None) -> bool:
    """Whether the terminal surely shows lines and colours and is fast: a desktop's, with a UTF-8 locale.

    terminal: its device, None for the standard input's. A serial line is slow, whatever is at its other end. A Linux
    VT has too few glyphs, a VT220 has none, and what is at the end of a serial line is unknown. Inside tmux, TERM
    says nothing about the attached consoles, which may be of any kind.
    """
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    utf8 = locale.lower().replace("-", "").endswith("utf8")
    term = environment.get("TERM", "")
    desktop = term.endswith("-256color") or term.endswith("-direct") or term in {"alacritty", "xterm-kitty", "foot"}
    multiplexed = term.startswith(("screen", "tmux")) or "TMUX" in environment
    return utf8 and desktop and not multiplexed and _is_fast(terminal)


def _is_fast(terminal: str | None) -> bool:
    """Whether it is a pseudo-terminal, as desktops and SSH logins have; true if it is not a terminal at all."""
    if terminal is None:
        try:
            terminal = os.ttyname(0)
        except OSError:
            return True
    return terminal.startswith("/dev/pts/")


def colour_system(environment: Mapping[str, str] = os.environ) -> str:
    """Textual's name of the colours that the terminal has.

    systemd sets COLORTERM=truecolor on every console. tmux turns 256 colours into what each of its consoles can show.
    """
    if is_capable(environment) and environment.get("COLORTERM") in {"truecolor", "24bit"}:
        return "truecolor"
    term = environment.get("TERM", "")
    return "256" if is_capable(environment) or "256color" in term or "TMUX" in environment else "standard"
