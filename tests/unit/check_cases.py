"""What the tests of all checks ask: each doubt is said once, with what to do, and every declared verdict can come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Protocol

from p2v_tui.session.words.checks import Check, Subject, Verdict


class CheckCase(Protocol):
    """subject and verdict: what is to be said. says: words that have to be in it."""

    @property
    def subject(self) -> Subject: ...

    @property
    def verdict(self) -> Verdict: ...

    @property
    def says(self) -> Sequence[str]: ...


def case_id(case: CheckCase) -> str:
    return f"{case.subject.name}-{case.verdict.value}"


def assert_said_once(case: CheckCase, checks: Iterable[Check]) -> None:
    """Nothing but the case's doubt is said, in sentences: several of them are shown one after the other."""
    said = [check for check in checks if check.verdict is not Verdict.PASSED]
    assert [(check.name, check.verdict) for check in said] == [(case.subject.name, case.verdict)]
    for words in case.says:
        assert words in f"{said[0].text} {said[0].advice}"
    assert said[0].text.endswith(".")
    assert said[0].advice.endswith(".")


def assert_all_can_come(subjects: Iterable[Subject], cases: Iterable[CheckCase]) -> None:
    declared = {(subject.name, verdict) for subject in subjects for verdict in subject.when}
    assert {(case.subject.name, case.verdict) for case in cases} == declared


def assert_all_are_listed(subjects: Iterable[Subject], *modules: ModuleType) -> None:
    """The list that the docs are made from has every subject of the modules."""
    made = {value.name for module in modules for value in vars(module).values() if isinstance(value, Subject)}
    assert sorted(made) == sorted(subject.name for subject in subjects)
