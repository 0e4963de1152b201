"""One setting: how its values are parsed, printed and hidden, and how `config.py` declares it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from p2v_tui.errors import SettingsError
from p2v_tui.kinds import NO_VALUE, Kind
from p2v_tui.secrecy import HIDDEN
from p2v_tui.setting_names import SettingName

_DECLARED: Final = "setting"


@dataclass(frozen=True)
class Setting:
    """One declared setting. name and aliases: without the `p2v.`. attribute: the field of `Settings`.

    help, when, if_wrong: sentences for an operator: what it is, when to change it, what happens if it is wrong. The
    last two may be empty. notes: sentences for those who write the setting on a command line.
    default_words: the default in words, if the value alone is not clear. example: a value for the pages; empty if not
    needed. in_field: the example for the field on the screens, if that takes something else than the setting's value.
    peer: virt-p2v has it. dumped: `p2v.dump_config_and_exit` prints it. old_names: of earlier versions of virt-p2v;
    accepted, but never written.
    """

    name: SettingName
    attribute: str
    kind: Kind[Any]
    default: Any
    help: str
    when: str = ""
    if_wrong: str = ""
    notes: str = ""
    aliases: tuple[str, ...] = ()
    default_words: str | None = None
    example: str = ""
    in_field: str = ""
    peer: bool = True
    dumped: bool = True
    old_names: tuple[str, ...] = ()

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """All of the help, for the pages: what the setting is for, and what happens if it is wrong."""
        about = " ".join(filter(None, (self.help, self.when, self.notes)))
        return tuple(filter(None, (about, self.if_wrong)))

    @property
    def short_name(self) -> str:
        """The name that users know best: the oldest alias, if any."""
        return self.aliases[0] if self.aliases else self.name

    def parse(self, text: str) -> Any:
        """The value that `text` means. Raises SettingsError naming the setting, the reason and what is valid."""
        try:
            return self.kind.parse(text)
        except ValueError as error:
            raise SettingsError(
                f"p2v.{self.short_name}={self.hide(text)!r} {error}.",
                f"Use {self.kind.valid}.",
                setting=self.name,
            ) from error

    def parse_bare(self) -> Any:
        """The value of the setting given without `=`. Raises SettingsError if it needs a value."""
        if self.kind.bare is None:
            raise SettingsError(
                f"p2v.{self.short_name} has no value.",
                f"Write p2v.{self.short_name}=VALUE, with {self.kind.valid}.",
                setting=self.name,
            )
        return self.kind.bare

    @property
    def default_text(self) -> str:
        """The default as a reader sees it."""
        if self.default_words is not None:
            return self.default_words
        return "none" if self.default in (None, ()) else self.format(self.default)

    @property
    def adds_up(self) -> bool:
        """Whether giving the setting again adds to its value; otherwise the first one holds."""
        return self.kind.words is not None

    def format(self, value: Any) -> str:
        return self.kind.format(value)

    def words(self, value: Any) -> list[str]:
        """The texts for the value, one for each time that the setting has to be given."""
        return self.kind.words(value) if self.kind.words else [self.kind.format(value)]

    def dump(self, value: Any) -> str:
        """The value as the dump shows it; a secret never shows."""
        if value is None:
            return NO_VALUE
        if self.kind.dump is not None:
            return self.kind.dump(value)
        return self.hide(self.kind.format(value))

    def hide(self, text: str) -> str:
        """A text for the setting, valid or not, with its secrets hidden."""
        return HIDDEN if self.kind.secret else self.kind.hide(text)


def declare(
    name: SettingName,
    *aliases: str,
    kind: Kind[Any],
    help: str,
    when: str = "",
    if_wrong: str = "",
    notes: str = "",
    default: Any = None,
    default_words: str | None = None,
    example: str = "",
    in_field: str = "",
    peer: bool = True,
    dumped: bool = True,
    old_names: tuple[str, ...] = (),
) -> Any:
    """A field of a dataclass that holds the setting's value; see `Setting`, whose attribute is the field's name."""

    def of_field(attribute: str) -> Setting:
        return Setting(
            name,
            attribute,
            kind,
            default,
            help,
            when=when,
            if_wrong=if_wrong,
            notes=notes,
            aliases=aliases,
            default_words=default_words,
            example=example,
            in_field=in_field,
            peer=peer,
            dumped=dumped,
            old_names=old_names,
        )

    return dataclasses.field(default=default, metadata={_DECLARED: of_field})


def declared(settings: type) -> tuple[Setting, ...]:
    """The settings that the fields of this dataclass declare, in their order."""
    return tuple(field.metadata[_DECLARED](field.name) for field in dataclasses.fields(settings))
