"""Decides what is secret in a text that is written, sent or shown.

`kinds.Secret` is for values that are secret as a whole. This is about the others: a password inside a URL,
`os-password=...` among the options of an output mode, `--password ...` in a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

HIDDEN: Final = "***"

# Words in the names of secrets: of options, headers or variables.
SECRET_WORDS: Final = ("password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "api_key")
_NAME: Final = "|".join([*(word.replace("_", "[-_]?") for word in SECRET_WORDS), "pwd", "authorization"])
_SECRET_NAME: Final = re.compile(_NAME, re.IGNORECASE)
_VALUE: Final = r"""(?P<secret>"[^"]*"?|'[^']*'?|[^\s&;"']+)"""
_SECRETS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Up to the last @ before the path, or up to the last one of all if a password contains a delimiter. Each part
        # has a limit, as a log may be one long word.
        r"[a-z][a-z0-9+.-]{0,20}://[^\s/?#@:\"]{0,200}:"
        r"(?P<secret>[^\s/?#\"]{1,1000}|(?!\d*(?:[/?#\s\"]|$))[^\s\"]{1,1000})@",
        rf"(?<![\w.-])[\w.-]*(?:{_NAME})[\w.-]*={_VALUE}",
        # A header. Without a hyphen it could be a sentence about a password.
        rf"(?<![\w-])(?:authorization|\w[\w-]*-(?:{_NAME}))\s*:\s*(?:(?:bearer|basic)\s+)?{_VALUE}",
        rf"(?<![\w-])--?[\w-]*(?:{_NAME})[\w-]*\s+{_VALUE}",
        # curl(1), sshpass(1)
        r"(?<!\S)(?:-u|--(?:proxy-)?user)[ =]?[\"']?[^\s:\"']+:(?P<secret>[^\s\"']+)",
        rf"\bbearer\s+{_VALUE}",
        rf"\bsshpass\s+-p\s*{_VALUE}",
    )
)


def is_secret_name(name: str) -> bool:
    """Whether an option or variable of this name (`os-password`) is a secret."""
    return _SECRET_NAME.search(name) is not None


def without_secrets(text: str) -> str:
    """The text with its secrets hidden."""
    for pattern in _SECRETS:
        text = pattern.sub(_hidden, text)
    return text


def secrets_in(text: str) -> Iterator[str]:
    """What `without_secrets` hides."""
    for pattern in _SECRETS:
        yield from (match["secret"].strip("\"'") for match in pattern.finditer(text))


def _hidden(match: re.Match[str]) -> str:
    start, end = (position - match.start() for position in match.span("secret"))
    return f"{match[0][:start]}{HIDDEN}{match[0][end:]}"


def option_without_secret(option: str) -> str:
    """A `NAME=VALUE` with its secrets hidden."""
    name, equals, value = option.partition("=")
    return f"{name}={HIDDEN}" if equals and value and is_secret_name(name) else without_secrets(option)
