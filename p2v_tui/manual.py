"""The program's own documentation: one setting in full, and where the pages are."""

from __future__ import annotations

import functools
import sys
import textwrap
from pathlib import Path
from typing import Final

from p2v_tui import cmdline
from p2v_tui.config import BY_KEY
from p2v_tui.errors import SettingsError
from p2v_tui.setting import Setting

_WIDTH: Final = 79
# Which one exists depends on how p2v-tui was installed.
_PLACES: Final = (
    Path(sys.prefix) / "share/doc/p2v-tui",
    Path(__file__).resolve().parents[1],
    Path("/usr/share/doc/p2v-tui"),
)


def documentation() -> Path:
    """The directory with README.md and docs/; the usual one if none is installed."""
    return next((place for place in _PLACES if (place / "docs/settings.md").exists()), _PLACES[-1])


def find_setting(name: str) -> Setting:
    """The setting of this name, with or without `p2v.` and a value. Raises SettingsError for an unknown one."""
    key = f"{cmdline.PREFIX}{name.partition('=')[0].removeprefix(cmdline.PREFIX)}"
    if key in BY_KEY:
        return BY_KEY[key]
    shown = key if key.isprintable() else repr(key)
    likely = cmdline.likely_settings(key, 3)
    meant = f"Did you mean {' or '.join(likely)}? " if likely else ""
    raise SettingsError(
        f"{shown} is not a setting.", f"{meant}{documentation() / 'docs/settings.md'} lists the settings."
    )


def describe(setting: Setting) -> str:
    """The setting in lines for a terminal: what it does, its values, its default and an example."""
    rows = {
        "Value": setting.kind.valid,
        "Default": setting.default_text.replace("`", ""),
        "Example": example(setting),
        "Given again": given_again(setting),
        "Origin": origin(setting),
    }
    wrap = functools.partial(textwrap.wrap, width=_WIDTH, break_long_words=False, break_on_hyphens=False)
    lines = [", ".join(names(setting)), ""]
    for paragraph in setting.paragraphs:
        lines += [*wrap(paragraph), ""]
    for label, text in rows.items():
        lines += wrap(text, initial_indent=f"{label + ':':<13}", subsequent_indent=" " * 13)
    return "\n".join(lines) + "\n"


def names(setting: Setting) -> list[str]:
    """All names of the setting, the full one first."""
    return [f"{cmdline.PREFIX}{name}" for name in (setting.name, *setting.aliases)]


def example(setting: Setting) -> str:
    """A word for a kernel command line."""
    word = f"{cmdline.PREFIX}{setting.short_name}"
    if not setting.example:
        return word
    return f'{word}="{setting.example}"' if " " in setting.example else f"{word}={setting.example}"


def given_again(setting: Setting) -> str:
    """What it means to give the setting more than once."""
    return "each one adds to the others" if setting.adds_up else "the first one holds"


def origin(setting: Setting) -> str:
    """Whether virt-p2v has the setting."""
    return "a setting of virt-p2v" if setting.peer else "p2v-tui's own; virt-p2v does not have it"
