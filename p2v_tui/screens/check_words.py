"""What the checks of the preflight found, in words: as a list, and in full, with what to do, for a dialog.

Texts that come from servers and disks are made harmless here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.text import Text
from textual.geometry import Size

from p2v_tui.front.device_words import shown
from p2v_tui.front.marks import OF_VERDICT
from p2v_tui.screens.dressed import Dressed, shortened, with_marks
from p2v_tui.screens.labels import on_screen
from p2v_tui.session.words.checks import Check, Verdict

_NAMES: Final = {
    Verdict.REFUSED: ("refusal", "refusals"),
    Verdict.WARNING: ("warning", "warnings"),
    Verdict.NOTED: ("note", "notes"),
}


def worst_first(checks: Iterable[Check]) -> tuple[Check, ...]:
    order = tuple(OF_VERDICT)
    return tuple(sorted(checks, key=lambda check: order.index(check.verdict)))


def not_passed(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks that found something, the worst first."""
    return worst_first(check for check in checks if check.verdict is not Verdict.PASSED)


def check_line(check: Check) -> str:
    """Verdict, name and finding."""
    return f"{OF_VERDICT[check.verdict]} {shown(check.name)}: {on_screen(shown(check.text))}"


def checks_text(checks: Iterable[Check]) -> str:
    """A paragraph for each check, with what to do."""
    return "\n\n".join(
        "\n".join(filter(None, [check_line(check), on_screen(shown(check.advice))])) for check in checks
    )


def counts_in_words(checks: Sequence[Check]) -> str:
    """`1 warning and 2 notes`; empty if all passed."""
    counts = [(sum(check.verdict is verdict for check in checks), names) for verdict, names in _NAMES.items()]
    return " and ".join(f"{count} {names[count > 1]}" for count, names in counts if count)


class CheckList(Dressed):
    """A row for each check, as many as fit. taken: how many rows of the screen the other widgets need."""

    def __init__(self, *, id: str, taken: int) -> None:
        super().__init__(id=id)
        self._taken = taken
        self._checks: Sequence[Check] = ()

    def show(self, checks: Sequence[Check]) -> None:
        self._checks = checks
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        del container, width
        return min(len(self._checks), max(2, viewport.height - self._taken))

    def render(self) -> Text:
        width, height = self.size
        rows = [check_line(check) for check in self._checks]
        if len(rows) > height:
            rows[height - 1 :] = [f"       and {len(rows) - height + 1} more: press Checks"]
        text = with_marks("\n".join(shortened(row, width, self.look) for row in rows), self.look)
        text.no_wrap, text.end = True, ""
        return text
