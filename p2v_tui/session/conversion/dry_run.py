"""A dry run: makes every check that precedes a conversion, gives a verdict in one line, and changes nothing."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

from p2v_tui.errors import ConnectionFailed, P2VError, PreflightRefused, SettingsError
from p2v_tui.hwprobe.answers import Answer
from p2v_tui.hwprobe.health import examine_health
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.session.conversion.connection_test import check_connection
from p2v_tui.session.data.nbd_server import find_program
from p2v_tui.session.plan.plan import Plan, with_keys
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.preflight import judge
from p2v_tui.session.preflight.server_facts import survey_server
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.checks import Check, Verdict, of_verdict
from p2v_tui.session.words.events import Checked, Status, Warned
from p2v_tui.session.words.quantities import size_text
from p2v_tui.session.words.watch import Watch


def rehearse(control: ControlConnection, plan: Plan, watch: Watch) -> tuple[Plan, VirtV2V, tuple[Check, ...]]:
    """Returns the plan with its keys, the server's virt-v2v, and all checks, and reports each check.

    Raises SettingsError, ConnectionFailed, PreflightRefused or Cancelled as a conversion would before its checks.
    """
    report, cancellation = watch.report, watch.cancellation
    find_program(plan.nbd)
    found = check_connection(control, watch, nbd=plan.nbd)
    # Raises if this virt-v2v does not take them.
    plan.output.arguments(found, "")
    health = Answer(functools.partial(examine_health, plan.disks))
    plan = Answer(functools.partial(with_keys, plan, report, control.persistence(watch))).wait(cancellation.check)
    for key in plan.keys:
        if key.unchecked:
            report(Warned(key.unchecked))
    report(Status("Checking the output and the disks"))
    facts = survey_server(control.shell(watch), plan, sudo=control.sudo, kept=found.kept_by_sudo)
    checks = judge(facts, found, plan, health.wait(cancellation.check), time.time())
    for check in checks:
        report(Checked(check))
    return plan, found, checks


def verdict(plan: Plan, checks: Sequence[Check], accepted: AcceptedWarnings) -> str:
    """`Ready: sda 200 MiB -> /srv/vm as guest1, 1 warning accepted`"""
    if refused := of_verdict(checks, Verdict.REFUSED):
        return f"Refused: {in_words(plan)}, {_count(refused, 'refusal')}"
    warnings = of_verdict(checks, Verdict.WARNING)
    if to_accept := [check for check in warnings if not accepted.accepts(check.key)]:
        return f"Warnings: {in_words(plan)}, {_count(to_accept, 'warning')} to accept"
    return f"Ready: {in_words(plan)}" + (f", {_count(warnings, 'warning')} accepted" if warnings else "")


def no_verdict(error: P2VError, plan: Plan) -> str:
    """Instead of the verdict, where an error ended the checks. A server that was not reached refuses nothing."""
    match error:
        case ConnectionFailed():
            word = "Not checked"
        case SettingsError() | PreflightRefused():
            word = "Refused"
        case _:
            word = "Failed"
    return f"{word}: {in_words(plan)}"


def in_words(plan: Plan) -> str:
    """Which disks become which guest, and where."""
    disks = ", ".join(f"{disk.name} {size_text(disk.size)}" for disk in plan.disks)
    return f"{disks} -> {plan.output.place} as {plan.guest.name}"


def _count(checks: Sequence[Check], what: str) -> str:
    return f"{len(checks)} {what}{'' if len(checks) == 1 else 's'}"
