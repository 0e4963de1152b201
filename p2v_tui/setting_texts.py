"""All settings as texts: in the record of a conversion, in the dump; and the secrets in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from p2v_tui.config import SETTINGS, Settings
from p2v_tui.kinds import Secret
from p2v_tui.secrecy import is_secret_name, secrets_in
from p2v_tui.setting import Setting


def as_texts(settings: Settings) -> dict[str, str]:
    """Each setting that is not at its default, by its full name and without secrets; `from_texts` reads it. A value
    from which a secret cannot be separated is left out.
    """
    return {
        setting.name: setting.hide(setting.format(value))
        for setting, value in _given(settings)
        if setting.kind.kept and not setting.kind.secret
    }


def secrets_of(settings: Settings) -> tuple[Secret, ...]:
    """All secrets in the settings, which must not appear in anything that is written, sent or shown."""
    options = [option.partition("=") for option in settings.output_misc]
    others = _given(dataclasses.replace(settings, output_misc=()))
    texts = [setting.kind.format(value) for setting, value in others if not setting.kind.secret]
    texts += [value for name, _, value in options if not is_secret_name(name)]
    found = [secret for text in texts for secret in secrets_in(text)]
    found += [value for name, _, value in options if is_secret_name(name)]
    # In a URL it is encoded, but programs that get the URL may show it decoded.
    secrets = [Secret(text) for secret in found for text in {secret, unquote(secret)} if text]
    passwords = [secret for secret in (settings.password, settings.output_password) if secret is not None]
    keys = [secret for key in settings.keys for secret in (key.url, key.passphrase) if secret is not None]
    return tuple(dict.fromkeys([*passwords, *keys, *secrets]))


def _given(settings: Settings) -> Iterator[tuple[Setting, Any]]:
    for setting in SETTINGS:
        value = getattr(settings, setting.attribute)
        if value is not None and value != setting.default:
            yield setting, value


def from_texts(texts: Mapping[str, str]) -> Settings:
    """The settings that `as_texts` wrote. Raises SettingsError for a value that cannot be used."""
    values = {setting.attribute: setting.parse(texts[setting.name]) for setting in SETTINGS if setting.name in texts}
    return Settings(**values)


def dump(settings: Settings, local_version: str, remote_version: str) -> str:
    """The settings as virt-p2v's print_config() prints them: `%-20s %s` a line, the two versions first.

    Secrets show as ***; the settings that the peer lacks come last, so that its lines stay in place.
    """
    shown = sorted((setting for setting in SETTINGS if setting.dumped), key=lambda setting: not setting.peer)
    rows: Sequence[tuple[str, str]] = [
        ("local version", local_version),
        ("remote version", remote_version),
        *((setting.name, setting.dump(getattr(settings, setting.attribute))) for setting in shown),
    ]
    return "".join(f"{name:<20} {value}\n" for name, value in rows)
