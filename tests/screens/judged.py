"""Checks for the pictures, made by `judge_server` from made-up facts: no picture shows one that cannot be."""

from __future__ import annotations

import dataclasses
from typing import Any

from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.server_checks import judge_server
from p2v_tui.session.preflight.server_facts import Place
from p2v_tui.session.words.checks import Check, Verdict
from tests.screens.scripted_conversion import plan
from tests.unit.machines import GB
from tests.unit.test_server_checks import HEALTHY, MIB, NOW, space, spaces, without

VIRT_V2V = VirtV2V("2.2.0", frozenset({"colours-option"}), ("disk", "null"))
# A server that is short of memory and of Python, and whose clock is wrong.
POOR: dict[str, Any] = {"memory": 300 * MIB, "clock": int(NOW) - 423, "programs": without("python")}


def judged(chosen: Plan | None, **facts: Any) -> tuple[Check, ...]:
    """facts: what differs from a server that nothing is to be said of."""
    return judge_server(dataclasses.replace(HEALTHY, **facts), VIRT_V2V, chosen, NOW)


def the_check(verdict: Verdict, name: str, **facts: Any) -> Check:
    """The check of that name of a plan of two disks."""
    return next(check for check in judged(plan(), **facts) if (check.verdict, check.name) == (verdict, name))


# What the connection test finds on such a server.
FOUND = judged(None, **POOR)
MEMORY = the_check(Verdict.PASSED, "memory")
CLOCK = the_check(Verdict.NOTED, "server's clock", **POOR)
PYTHON = the_check(Verdict.WARNING, "reconnecting", **POOR)
SPACE = the_check(
    Verdict.WARNING,
    "space for the copy",
    space=spaces(**{Place.STORAGE.value: space("/var/tmp", 101_100_000_000)}),
)
FULL = the_check(
    Verdict.REFUSED, "space for the copy", space=spaces(**{Place.STORAGE.value: space("/var/tmp", 4 * GB)})
)
NO_NBDKIT = the_check(Verdict.REFUSED, "programs", programs=without("nbdkit"))
