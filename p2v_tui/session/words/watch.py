"""Who hears of one job, and who can end it: given with each call, so that nothing keeps an older job's."""

from __future__ import annotations

from dataclasses import dataclass

from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Report


@dataclass(frozen=True)
class Watch:
    """report: told what happens. cancellation: looked at between steps and while something is waited for."""

    report: Report
    cancellation: Cancellation

    @property
    def again(self) -> Watch:
        """For tidying up after a cancellation: only a second one ends that."""
        return Watch(self.report, self.cancellation.again)
