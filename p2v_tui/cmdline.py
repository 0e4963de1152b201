"""The kernel command line's syntax, and the settings written in it.

The words are split as the kernel splits them (next_arg() in lib/cmdline.c): by white space outside double quotes,
where the quotes may enclose the value (`p2v.post="poweroff -f"`) or the whole word (`"p2v.post=poweroff -f"`).
It has no escape character, so a value cannot contain a double quote.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2v_tui.config import BY_KEY, SETTINGS, Settings
from p2v_tui.errors import SettingsError
from p2v_tui.secrecy import HIDDEN, without_secrets
from p2v_tui.setting import Setting

PREFIX = "p2v."
# Suggest a setting if at most one letter in six, or two in ten, are wrong.
_LIKENESS = 0.75
# Stands for a secret that somebody has to type.
_TYPE_IT = "..."
# A `p2v.` word in any text, with quotes around all of it, around its value, or without. An open quote takes the rest
# of the line, as it does when the word is parsed.
_OUR_WORD = re.compile(
    r""""(?P<quoted>p2v\.[^\s"=]+)=(?P<rest>[^"\n]*)|(?P<key>p2v\.[^\s"=]+)=(?P<value>"[^"\n]*|\S*)"""
)


@dataclass(frozen=True)
class CommandLine:
    """The settings of one command line. warnings: what was ignored, in words for the operator."""

    settings: Settings
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Word:
    """One word. value: None without a `=`. terminated: False if a double quote is left open. place: the file and the
    line that it is from, as messages name them; empty for a command line.
    """

    key: str
    value: str | None
    terminated: bool = True
    place: str = ""

    @property
    def called(self) -> str:
        """What a message about the word starts with."""
        return f"{self.place}: " if self.place else ""


def split_words(text: str) -> list[Word]:
    """The words of a kernel command line. Any text is valid: nothing is raised."""
    words = []
    rest = text.lstrip()
    while rest:
        word, rest = _next_word(rest)
        words.append(word)
        rest = rest.lstrip()
    return words


def _next_word(text: str) -> tuple[Word, str]:
    in_quotes = quoted = text.startswith('"')
    start = int(quoted)
    end = start
    while end < len(text) and (in_quotes or not text[end].isspace()):
        if text[end] == '"':
            in_quotes = not in_quotes
        end += 1
    word = text[start:end]
    if quoted:
        word = word.removesuffix('"')
    key, equals, value = word.partition("=")
    if value.startswith('"'):
        value = value[1:].removesuffix('"')
    return Word(key, value if equals else None, not in_quotes), text[end:]


def parse(text: str) -> CommandLine:
    """The settings in a kernel command line; words that do not start with `p2v.` are ignored."""
    return parse_words(split_words(text))


def parse_words(words: Iterable[Word]) -> CommandLine:
    """The settings that the words mean.

    An empty value counts only where it means something (`p2v.post=`). If a setting is given twice the first one
    holds, as in virt-p2v (get_cmdline_key() in kernel-cmdline.c), except for the settings that add up. Raises
    SettingsError for a value that the setting does not take.
    """
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for word in words:
        if not word.key.startswith(PREFIX):
            continue
        setting = BY_KEY.get(word.key)
        if setting is None:
            warnings.append(f"{word.called}{no_setting(word.key, ' and is ignored')}")
            continue
        if not word.terminated:
            warnings.append(f"{word.called}{_unclosed(word)}")
        if not word.value and word.value is not None and not setting.kind.empty:
            continue
        given = setting.attribute in values
        if given and not setting.adds_up:
            twice = f"{word.key}: p2v.{setting.name} is given more than once; the first one is used."
            warnings.append(f"{word.called}{twice}")
            continue
        value = _value(setting, word)
        values[setting.attribute] = values[setting.attribute] + value if given else value
    explicit = {attribute: value for attribute, value in values.items() if value is not None}
    return CommandLine(Settings(**explicit), tuple(warnings))


def _value(setting: Setting, word: Word) -> Any:
    try:
        return setting.parse_bare() if word.value is None else setting.parse(word.value)
    except SettingsError as error:
        if word.terminated:
            raise SettingsError(f"{word.called}{error.message}", error.advice, setting=setting.name) from error
        # Without the value, which contains all following settings, perhaps passwords.
        raise SettingsError(
            f"{word.called}{_unclosed(word)}", "Put it behind the value.", setting=setting.name
        ) from error


def _unclosed(word: Word) -> str:
    return f'{word.key}: the closing double quote (") is missing; the value reaches to the end of the line.'


def find_value(text: str, key: str) -> str | None:
    """The value of one word, whatever the others are; None if the word or its value is missing."""
    return find_value_in(split_words(text), key)


def find_value_in(words: Iterable[Word], key: str) -> str | None:
    return next((word.value for word in words if word.key == key and word.value), None)


def read_proc_cmdline(proc: Path = Path("/proc")) -> str:
    """The command line that this kernel was booted with; empty where it cannot be read."""
    try:
        return (proc / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


def likely_settings(key: str, number: int) -> list[str]:
    """Up to `number` settings that this misspelt one may mean, likeliest first."""
    names = [known.removeprefix(PREFIX) for known in BY_KEY]
    nearest = difflib.get_close_matches(key.removeprefix(PREFIX), names, n=number, cutoff=_LIKENESS)
    return [f"{PREFIX}{name}" for name in nearest]


def no_setting(key: str, then: str = "") -> str:
    """What is said of a word that starts with `p2v.` and is not a setting. then: what becomes of it."""
    nearest = likely_settings(key, 1)
    meant = f"; did you mean {nearest[0]}?" if nearest else "."
    # The text of a warning is printed as it is: a control character in a key must not reach a terminal.
    shown = key if key.isprintable() else repr(key)
    return f"{shown} is not a setting of p2v-tui{then}{meant}"


def hide_secrets(text: str) -> str:
    """Any text as it may be stored and sent, with the kernel command lines and the URLs in it: a log, a title."""
    return without_secrets(_OUR_WORD.sub(_hide_word, text))


def _hide_word(match: re.Match[str]) -> str:
    if match["quoted"]:
        return f'"{match["quoted"]}={_hide_value(match["quoted"], match["rest"])}'
    quote = '"' if match["value"].startswith('"') else ""
    return f"{match['key']}={quote}{_hide_value(match['key'], match['value'].removeprefix(quote))}"


def _hide_value(key: str, value: str) -> str:
    setting = BY_KEY.get(key)
    # An unknown key may be a misspelt one of a secret.
    if not value or setting is None or not setting.kind.kept:
        return value and HIDDEN
    return setting.hide(value)


@dataclass(frozen=True)
class Written:
    """Settings as words that can be read again. missing: what is not in them, as it is or may hold a secret; the
    secret itself is `...`.
    """

    words: tuple[str, ...]
    missing: tuple[str, ...] = ()


def write_settings(settings: Settings, *, secrets: bool = False) -> Written:
    """The `p2v.*` words for these settings, without defaults, and without secrets unless asked for.

    Of a list only the items with secrets are left out; a command is left out whole, as nobody knows what is in it.
    Raises SettingsError for a value with a double quote, which the kernel's syntax cannot express.
    """
    words: list[str] = []
    missing: list[str] = []
    for setting in SETTINGS:
        value = getattr(settings, setting.attribute)
        key = f"{PREFIX}{setting.short_name}="
        if value == setting.default:
            continue
        if secrets:
            words += [_format_word(setting, text) for text in setting.words(value)]
        elif setting.kind.secret:
            missing += [key + word.replace(HIDDEN, _TYPE_IT) for word in setting.dump(value).split()]
        elif value and not setting.kind.kept:
            missing.append(key + _TYPE_IT)
        else:
            for text in setting.words(value):
                without, left_out = _without_secrets(setting, text)
                words += [_format_word(setting, without)] if without is not None else []
                missing += [key + each.replace(HIDDEN, _TYPE_IT) for each in left_out]
    return Written(tuple(words), tuple(missing))


def _without_secrets(setting: Setting, text: str) -> tuple[str | None, list[str]]:
    """The part of a value without secrets, None if nothing is left; and the others, with their secrets hidden."""
    hidden = setting.hide(text)
    if hidden == text:
        return text, []
    items = setting.parse(hidden)
    if not isinstance(items, tuple):
        return None, [hidden]
    open_items = tuple(item for item in items if HIDDEN not in item)
    return setting.format(open_items) if open_items else None, [item for item in items if HIDDEN in item]


def _format_word(setting: Setting, text: str) -> str:
    key = f"{PREFIX}{setting.short_name}"
    if '"' in text:
        raise SettingsError(
            f'{key} holds a double quote ("), which a kernel command line cannot carry.',
            "Use single quotes in the value, or give the setting on the screen.",
            setting=setting.name,
        )
    return f'{key}="{text}"' if any(character.isspace() for character in text) else f"{key}={text}"
