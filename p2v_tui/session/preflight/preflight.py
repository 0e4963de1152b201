"""What follows from the checks: the conversion may start, may not, or needs the operator's consent."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from p2v_tui.errors import PreflightRefused, SettingsError
from p2v_tui.hwprobe.health import Health
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.session.plan import devices as plan_devices
from p2v_tui.session.plan import guess_checks, plan_checks, size_checks
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight import machine_checks, server_checks
from p2v_tui.session.preflight.server_facts import ServerFacts
from p2v_tui.session.words.checks import Check, Subject, Verdict, of_verdict

# Called with the warnings; returns whether the operator wants to start all the same.
AcceptWarnings = Callable[[Sequence[Check]], bool]


class ChecksRefused(PreflightRefused):
    """checks: the refusals, or the warnings that were not accepted. how_to_accept: a sentence, for warnings."""

    def __init__(self, checks: Sequence[Check], how_to_accept: str = "") -> None:
        advice = _joined([*(check.advice for check in checks), how_to_accept])
        refused = of_verdict(checks, Verdict.REFUSED)
        setting = next((check.setting for check in refused if check.setting), None)
        super().__init__(_joined(check.text for check in checks), advice, setting=setting)
        self.checks = tuple(checks)
        self.how_to_accept = how_to_accept


# All subjects, by their heading in docs/preflight.md.
SUBJECTS: Final[Mapping[str, tuple[Subject, ...]]] = {
    "On the conversion server": server_checks.SUBJECTS,
    "On the machine to convert": machine_checks.SUBJECTS,
    "On the choice of what is converted": (
        *plan_checks.SUBJECTS,
        *guess_checks.SUBJECTS,
        *size_checks.SUBJECTS,
        *plan_devices.SUBJECTS,
    ),
}


def judge(facts: ServerFacts, virt_v2v: VirtV2V, plan: Plan, health: Health, now: float) -> tuple[Check, ...]:
    """All checks of the plan, the server and the disks. now: seconds since the epoch, on this machine."""
    return (
        *plan.checks,
        *server_checks.judge_server(facts, virt_v2v, plan, now, health.windows),
        *machine_checks.judge_machine(plan.disks, health, [key.id for key in plan.keys]),
    )


def enforce(checks: Sequence[Check], accepted: AcceptedWarnings, ask: AcceptWarnings = lambda _: False) -> None:
    """Raises ChecksRefused if a check refuses, or warns and neither the setting nor the operator accepts that."""
    if refused := of_verdict(checks, Verdict.REFUSED):
        raise ChecksRefused(refused)
    warnings = of_verdict(checks, Verdict.WARNING)
    open_warnings = [check for check in warnings if not accepted.accepts(check.key)]
    if open_warnings and not ask(open_warnings):
        raise ChecksRefused(open_warnings, how_to_accept(warnings))


def how_to_accept(warnings: Sequence[Check]) -> str:
    """The setting that accepts exactly these warnings."""
    keys = ",".join(dict.fromkeys(check.key for check in warnings if check.key)) or "true"
    return f"p2v.accept_warnings={keys} starts despite {'it' if len(warnings) == 1 else 'them'}."


def check_keys(accepted: AcceptedWarnings) -> None:
    """Raises SettingsError for an unknown key, and names the valid ones."""
    subjects = [subject for part in SUBJECTS.values() for subject in part]
    known = {subject.key for subject in subjects}
    warn = sorted({subject.key for subject in subjects if Verdict.WARNING in subject.when})
    for key in accepted.keys:
        if key not in known:
            near = difflib.get_close_matches(key, warn, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise SettingsError(
                f"p2v.accept_warnings: no check is called {key!r}.",
                f"{meant}These checks can warn: {', '.join(warn)}.",
                setting="accept_warnings",
            )


def _joined(texts: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(text for text in texts if text))
