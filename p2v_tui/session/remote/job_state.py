"""The state of virt-v2v's job on the server, from the words that the commands print."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class JobState(enum.Enum):
    """The value is the word on the server."""

    UNSTARTED = "unstarted"
    RUNNING = "running"
    ENDED = "ended"
    # Its process is gone and left no exit code.
    KILLED = "gone"
    # The server was restarted meanwhile.
    REBOOTED = "rebooted"
    # The remote directory does not exist.
    MISSING = "missing"
    # The server said something else.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class JobStatus:
    """exit_code: virt-v2v's, if it has ended."""

    state: JobState
    exit_code: int | None = None

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0


def parse(text: str) -> JobStatus:
    """text: a state's word, `ended CODE` or `ended-CODE`. Anything else is UNKNOWN."""
    if matched := re.fullmatch(r"ended[ -]([0-9]{1,3})", text):
        return JobStatus(JobState.ENDED, int(matched[1]))
    known = {state.value: state for state in JobState if state not in {JobState.ENDED, JobState.UNKNOWN}}
    return JobStatus(known.get(text, JobState.UNKNOWN))
