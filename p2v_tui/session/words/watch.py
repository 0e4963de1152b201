"""Who is told about one job and who can cancel it: passed with each call, so that nothing keeps an older job's."""

from __future__ import annotations

from dataclasses import dataclass

from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.events import Report


@dataclass(frozen=True)
class Watch:
    """report: called with each event. cancellation: checked between steps and during waits."""

    report: Report
    cancellation: Cancellation

    @property
    def again(self) -> Watch:
        """For the clean-up after a cancellation, which only a second one ends."""
        return Watch(self.report, self.cancellation.again)
