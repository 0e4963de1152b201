"""Judges what the conversion server says of itself: can this conversion work there, and what stands in its way."""

from __future__ import annotations

from collections.abc import Collection

from p2v_tui.session.checks import Check
from p2v_tui.session.plan import Plan
from p2v_tui.session.server_facts import ServerFacts
from p2v_tui.session.virt_v2v import VirtV2V


def judge_server(
    facts: ServerFacts, virt_v2v: VirtV2V, plan: Plan | None, now: float, windows: Collection[str] = ()
) -> tuple[Check, ...]:
    """The checks of the conversion server, in the order of its list of subjects.

    plan: None while nothing is chosen yet; then only what needs no plan is judged. now: seconds since the epoch on
    this machine, when the facts came. windows: the names of the plan's disks that hold a Windows (`Health.windows`).
    """
    return ()
