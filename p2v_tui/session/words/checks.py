"""What a check before the conversion says: a verdict, what was found, what to do.

The checks themselves are elsewhere: `server_checks.py` judges the conversion server, `machine_checks.py` the disks.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from p2v_tui.setting_names import SettingName


class Verdict(enum.Enum):
    """PASSED: fine. NOTED: worth knowing, needs no consent. WARNING: needs the operator's consent, or
    p2v.accept_warnings when unattended. REFUSED: cannot work.
    """

    PASSED = "passed"
    NOTED = "noted"
    WARNING = "warning"
    REFUSED = "refused"


@dataclass(frozen=True)
class Check:
    """One result. name: of its subject, two or three words. text: what was found, with figures, a sentence.

    advice: what to do, with complete commands if any help; empty only if PASSED. key, setting: its subject's.
    """

    name: str
    verdict: Verdict
    text: str
    advice: str = ""
    key: str = ""
    setting: SettingName | None = None


@dataclass(frozen=True)
class Subject:
    """What a check is about; docs/preflight.md is made from these.

    key: its name in p2v.accept_warnings, stable from release to release: a word, or several with hyphens. Subjects
    that an operator would accept together, such as those about space, share one. looked_at: what is checked. when:
    the cause of each possible verdict except PASSED. remedy: what to do. setting: the one to change after a refusal,
    if any.
    """

    name: str
    key: str
    looked_at: str
    when: Mapping[Verdict, str]
    remedy: str
    setting: SettingName | None = None

    def passed(self, text: str) -> Check:
        return self._check(Verdict.PASSED, text)

    def noted(self, text: str, advice: str) -> Check:
        return self._check(Verdict.NOTED, text, advice)

    def warning(self, text: str, advice: str) -> Check:
        return self._check(Verdict.WARNING, text, advice)

    def refused(self, text: str, advice: str) -> Check:
        return self._check(Verdict.REFUSED, text, advice)

    def _check(self, verdict: Verdict, text: str, advice: str = "") -> Check:
        return Check(self.name, verdict, text, advice, self.key, self.setting)


def of_verdict(checks: Iterable[Check], verdict: Verdict) -> tuple[Check, ...]:
    return tuple(check for check in checks if check.verdict is verdict)
