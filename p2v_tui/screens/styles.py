"""The stylesheet that all screens share, and Textual's themes, which give it the colours of a look.

STYLES is for both looks, and is all that the plain one needs. There every colour is the terminal's own, and
characters show the state; bold and reverse add to that on terminals that have them.
"""

from __future__ import annotations

import dataclasses

from rich.terminal_theme import TerminalTheme
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from p2v_tui.screens.look import Look, Palette

STYLES = """
* { scrollbar-size: 0 0; }
Screen { background: $ground; color: $ink; }
Line, Row, Heading, Toggle, Choice, Action, FieldInput, Horizontal, Vertical, Container, VerticalScroll {
    background: $ground; color: $ink;
}
Line { height: auto; width: 1fr; }
Row { height: 1; width: 1fr; }
CheckList { height: auto; width: 1fr; background: $ground; color: $ink; }
Heading { text-style: bold; height: 1; }
Toggle, Choice { height: 1; width: 1fr; }
Action { height: 1; width: auto; }
Toggle:focus, Choice:focus, Action:focus { text-style: bold; }
.form-field { height: 1; width: 1fr; }
.form-field .mark { width: 1; text-style: bold; }
.form-field .label { width: auto; }
.form-field .bracket { width: auto; }
FieldInput, FieldInput:focus {
    width: 1fr; height: 1; border: none; padding: 0; background: $ground; color: $ink;
    background-tint: $ground 0%;
}
FieldInput > .input--cursor { background: $ground; color: $ink; text-style: reverse; }
FieldInput > .input--selection { background: $ground; text-style: reverse; }
FieldInput:disabled { text-style: dim; }
#fields { height: auto; width: 1fr; }
.buttons { height: 1; width: 1fr; }
.title { height: 1; width: 1fr; text-style: bold; }
.keys { dock: bottom; height: 1; width: 1fr; }
.wrong { text-style: bold; }
.panel { height: auto; width: 1fr; }
.part { height: auto; width: 1fr; }
Question { align: center middle; background: $ground; }
Question > Vertical {
    width: 72; max-width: 100%; height: auto; max-height: 100%; border: ascii $edge; padding: 0 1;
}
.rich-only, #side { display: none; }
"""

# Only for the rich look: without these rules the plain one shows sooner.
RICH_STYLES = """
.-rich .rich-only { display: block; }
.-rich .plain-only, .-rich .-empty { display: none; }
.-rich VerticalScroll {
    scrollbar-size-vertical: 1; scrollbar-color: $edge; scrollbar-color-hover: $edge-focus;
    scrollbar-color-active: $edge-focus; scrollbar-background: $ground; scrollbar-background-hover: $ground;
    scrollbar-background-active: $ground; scrollbar-corner-color: $ground;
}
.-rich *:disabled:can-focus { opacity: 1; }
.-rich .title { background: $head; color: $head-ink; }
.-rich .keys { background: $head; color: $head-ink; }
.-rich .panel {
    border: round $edge; border-title-color: $title; border-title-style: bold; border-title-background: $ground;
    padding: 0 1;
}
.-rich .panel:focus-within { border: round $edge-focus; }
.-rich .form-field .mark { color: $title; }
.-rich .form-field .label { color: $muted; }
.-rich .form-field:focus-within .label { color: $title; text-style: bold; }
.-rich FieldInput { background: $field; padding: 0 1; margin: 0 0 0 1; }
.-rich FieldInput:focus { background: $field-focus; padding: 0 1; }
.-rich FieldInput > .input--cursor { background: $focus; color: $focus-ink; text-style: none; }
.-rich FieldInput > .input--selection { background: $focus; color: $focus-ink; text-style: none; }
.-rich FieldInput:disabled { color: $muted; text-style: none; }
.-rich Toggle:focus, .-rich Choice:focus { color: $title; }
.-rich Toggle:disabled, .-rich Choice:disabled { color: $muted; }
.-rich Action { background: $field; color: $ink; margin: 0 1 0 0; }
.-rich Action:hover { background: $field-focus; }
.-rich Action:focus { background: $focus; color: $focus-ink; text-style: bold; }
.-rich Action:disabled { background: $ground; color: $muted; }
.-rich Question { background: black 60%; }
.-rich Question > Vertical { border: round $edge-focus; padding: 1 2; width: 76; }
.-rich Question Heading { color: $title; margin: 0 0 1 0; }
.-rich Question .buttons { margin: 1 0 0 0; }
"""


def terminal_theme_of(look: Look) -> TerminalTheme:
    """The sixteen colours that virt-v2v's log may use. Black is replaced by a colour that can be read."""
    palette = look.palette
    names = (
        palette.muted,
        palette.bad,
        palette.good,
        palette.caution,
        palette.title,
        palette.title,
        palette.remark,
        palette.ink,
    )
    colours = [Color.parse(name).rgb for name in names]
    return TerminalTheme(Color.parse(palette.ground).rgb, Color.parse(palette.ink).rgb, colours, colours)


def theme_of(look: Look) -> Theme:
    """Textual's theme of the look. Textual's own widgets use the theme's colours, so these get the closest ones."""
    palette = look.palette
    ours = {field.name.replace("_", "-"): getattr(palette, field.name) for field in dataclasses.fields(Palette)}
    name = look.name.lower()
    if not look.rich:
        terminals = BUILTIN_THEMES["ansi-dark"]
        return dataclasses.replace(terminals, name=name, variables={**terminals.variables, **ours})
    return Theme(
        name=name,
        primary=palette.title,
        warning=palette.caution,
        error=palette.bad,
        success=palette.good,
        foreground=palette.ink,
        background=palette.ground,
        surface=palette.ground,
        panel=palette.ground,
        dark=Color.parse(palette.ground).brightness < 0.5,
        variables=ours,
    )
