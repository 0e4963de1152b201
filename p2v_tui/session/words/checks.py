"""What a check before the conversion says: a verdict, what was found, what to do.

What is looked at is not known here: `server_checks.py` judges the conversion server, `machine_checks.py` the disks.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from p2v_tui.setting_names import SettingName


class Verdict(enum.Enum):
    """PASSED: nothing against it. NOTED: worth knowing, needs nobody's consent. WARNING: needs the operator's
    consent, without questions p2v.accept_warnings. REFUSED: cannot work.
    """

    PASSED = "passed"
    NOTED = "noted"
    WARNING = "warning"
    REFUSED = "refused"


@dataclass(frozen=True)
class Check:
    """One answer. name: of its subject, two or three words. text: what was found, with figures, a sentence.

    advice: what to do, complete commands where there are some; empty only where PASSED. key, setting: its subject's.
    """

    name: str
    verdict: Verdict
    text: str
    advice: str = ""
    key: str = ""
    setting: SettingName | None = None


@dataclass(frozen=True)
class Subject:
    """Something that is looked at; docs/preflight.md is made from these.

    key: what p2v.accept_warnings calls it, stable from release to release: a word, or some with hyphens. Subjects
    that an operator would accept as one thing, such as those about space, share one. looked_at: what it is. when:
    for each verdict but PASSED that it can have, what leads to it. remedy: what to do. setting: the one to change
    where it refuses, if there is one.
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
