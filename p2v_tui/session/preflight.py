"""What the checks before a conversion lead to: it may start, it may not, or the operator has to say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from p2v_tui.errors import PreflightRefused
from p2v_tui.session.checks import Check, Verdict, of_verdict

# Called with the warnings; whether the operator wants to start all the same.
AcceptWarnings = Callable[[Sequence[Check]], bool]


def settle(checks: Sequence[Check], accept_warnings: AcceptWarnings) -> None:
    """Raises PreflightRefused where a check refuses, or warns and that is not accepted."""
    if refused := of_verdict(checks, Verdict.REFUSED):
        raise PreflightRefused(_joined(check.text for check in refused), _joined(check.advice for check in refused))
    warnings = of_verdict(checks, Verdict.WARNING)
    if warnings and not accept_warnings(warnings):
        raise PreflightRefused(
            _joined(check.text for check in warnings),
            _joined([*(check.advice for check in warnings), "p2v.accept_warnings starts in spite of warnings."]),
        )


def _joined(texts: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(text for text in texts if text))
