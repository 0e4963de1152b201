"""Remembers in a small file what earlier conversions from this machine took, to estimate the next one.

On the live image the file lasts until the machine is switched off; elsewhere it stays. If it cannot be read or
written, the time is estimated as for a first conversion.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from p2v_tui.front.pace import Paces

_VERSION: Final = 1
_MAX_SERVERS: Final = 50
_MAX_BYTES: Final = 100_000
# The weight of a new conversion against all earlier ones.
_SHARE_OF_NEWEST: Final = 0.5


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's directory for such files, or the system's for root."""
    if state := environment.get("XDG_STATE_HOME", ""):
        base = Path(state)
    elif os.geteuid() == 0:
        base = Path("/var/lib")
    else:
        base = Path(environment.get("HOME", "/nonexistent"), ".local/state")
    return base / "p2v-tui/paces.json"


@dataclass(frozen=True)
class PaceBook:
    path: Path

    def paces(self, server: str | None, line: float | None = None) -> Paces:
        """What to expect on that server: its rate, and how long the phases took on any server.

        line: as it was measured now, bytes a second.
        """
        seconds, rates = self._read()
        return Paces(seconds, rates.get(server or ""), line)

    def remember(self, server: str | None, paces: Paces) -> None:
        """Adds a conversion that succeeded."""
        seconds, rates = self._read()
        for kind, took in paces.seconds.items():
            seconds[kind] = _blended(seconds.get(kind), took)
        if paces.rate:
            # The newest entry is last; the oldest is dropped.
            rates[server or ""] = _blended(rates.pop(server or "", None), paces.rate)
        record = {"version": _VERSION, "seconds": seconds, "rates": dict(list(rates.items())[-_MAX_SERVERS:])}
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, new = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            with os.fdopen(descriptor, "w") as file:
                json.dump(record, file)
            Path(new).rename(self.path)

    def _read(self) -> tuple[dict[str, float], dict[str, float]]:
        try:
            with self.path.open(errors="replace") as file:
                record: Any = json.loads(file.read(_MAX_BYTES))
            if record["version"] != _VERSION:
                return {}, {}
            return _numbers(record["seconds"]), _numbers(record["rates"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}, {}


def _numbers(found: Any) -> dict[str, float]:
    return {str(name): float(number) for name, number in found.items() if 0 < float(number) < float("inf")}


def _blended(before: float | None, now: float) -> float:
    now = max(now, 0.001)
    return now if before is None else before + _SHARE_OF_NEWEST * (now - before)
