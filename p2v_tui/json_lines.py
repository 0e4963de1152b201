"""Prints a session's events as JSON, an object on each line, for other programs. docs/unattended.md describes it."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import re
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final, TextIO

from p2v_tui.errors import P2VError
from p2v_tui.front.event_printer import EventPrinter
from p2v_tui.secrecy import without_secrets
from p2v_tui.session.words.events import Event, Progress
from p2v_tui.session.words.terminal_text import plain

_WORD_START: Final = re.compile(r"(?<!^)(?=[A-Z])")


class JsonLines(EventPrinter):
    """Prints each event as an object: its time, its name (`phase-started` for PhaseStarted) and its fields.

    An enumeration is its value, a tuple an array. now: the time of the day, with its time zone.
    """

    # Standard error: nothing but objects may be among the lines.
    command_output: ClassVar[int | None] = 2

    def __init__(
        self,
        out: TextIO,
        *,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        super().__init__(out, verbose=verbose, clock=clock)
        self._now = now

    def text(self, text: str) -> None:
        self._object("details", text=text)

    def verdict(self, text: str, *, good: bool) -> None:
        self._object("verdict", text=text, ready=good)

    def error(self, error: P2VError) -> None:
        self._object(
            "failed",
            exit_code=error.exit_code,
            title=error.title,
            message=error.message,
            advice=error.advice,
            phase=self._failed_phase(error),
            setting=f"p2v.{error.setting}" if error.setting else None,
        )

    def _print(self, event: Event) -> None:
        more: dict[str, Any] = {}
        if isinstance(event, Progress) and (pace := self._pace) is not None:
            more = {"percent": pace.percent, "seconds_left": round(pace.left)}
        self._object(_WORD_START.sub("-", type(event).__name__).lower(), **more, **_fields(event))

    def _object(self, event: str, **fields: Any) -> None:
        moment = self._now().isoformat(timespec="milliseconds")
        self._line(json.dumps({"time": moment, "event": event, **_value(fields)}))


def _fields(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _value(value: Any) -> Any:
    """Of the kinds that JSON has. Texts lose what drives a terminal, and secrets."""
    if dataclasses.is_dataclass(value):
        return _value(_fields(value))
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return "\n".join(map(plain, without_secrets(value).split("\n")))
    return value
