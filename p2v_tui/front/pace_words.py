"""How far a conversion is, in words: the same for the screens and for the console of an unattended run."""

from __future__ import annotations

from typing import Final

from p2v_tui.front.event_text import VIRT_V2V_RUNS
from p2v_tui.front.pace import Pace
from p2v_tui.front.phases import COPYING, STAGES
from p2v_tui.session.words.quantities import duration_text

# Why nothing is read in these phases, which is normal.
NOT_READ: Final = "virt-v2v works on the server; nothing is read from here now"
NOT_COPIED: Final = "virt-v2v writes or skips unused space; nothing is read from here now"


def clock_text(seconds: float) -> str:
    """`3:20`, `1:03:20`: time that has passed."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def rough_duration(seconds: float) -> str:
    """A time to come, only as exact as it can be known."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes else f"{max(10, round(seconds / 10) * 10)} s"


def whole_text(pace: Pace) -> str:
    """`12 min so far, about 1 h 20 min left`. It changes once a minute."""
    minutes = int(pace.elapsed / 60)
    so_far = f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
    return f"{so_far} so far, about {rough_duration(pace.left)} left"


def activity_text(pace: Pace) -> str:
    """What virt-v2v is doing now, and why nothing is read, if so. Empty before it runs."""
    if pace.kind == STAGES:
        return ""
    if pace.reading:
        return VIRT_V2V_RUNS
    return NOT_COPIED if pace.kind == COPYING else NOT_READ


def quiet_line(pace: Pace) -> str:
    """For a console on which nothing was printed for a while: the phase, its time and the whole."""
    activity = activity_text(pace)
    what = f": {activity}" if activity and not pace.reading else ""
    return f"{pace.phase}, for {duration_text(pace.phase_seconds)}{what} ({pace.percent}%, {whole_text(pace)})"
