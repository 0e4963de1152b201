"""The real-time clock: whether it runs in UTC, or how far off it is.

Read only: the clock is not set, and nothing on the disks is looked at. (/etc/adjtime would tell about the live
system, not about the installed one.)
"""

from __future__ import annotations

from p2v_tui.hwprobe.machine import Clock, ClockBasis
from p2v_tui.hwprobe.places import Places, read_number

# Every time zone is a whole number of these from UTC.
_QUARTER_HOUR = 15 * 60
# A clock that is further off drifted or was set by hand: its offset means nothing.
_TOLERANCE = 5 * 60
_WESTERNMOST = -12 * 3600
_EASTERNMOST = 14 * 3600


def read_clock(places: Places) -> Clock:
    """The basis of the real-time clock and its offset from UTC, by comparison with the system's time.

    A clock that shows the time of the live system's own zone, if that is not UTC, runs in local time. Any other
    offset is given in seconds. Without a clock, or if no time zone explains the difference, the basis is unknown. At
    boot the kernel sets the system's time from this clock and assumes UTC. So local time is recognized only after the
    network has set the system's time.
    """
    hardware = read_number(places.sys / "class/rtc/rtc0/since_epoch")
    if hardware is None:
        return Clock()
    now = places.now()
    difference = hardware - now
    if abs(difference) < _QUARTER_HOUR - _TOLERANCE:
        return Clock(ClockBasis.UTC, 0)
    offset = round(difference / _QUARTER_HOUR) * _QUARTER_HOUR
    if not _WESTERNMOST <= offset <= _EASTERNMOST or abs(difference - offset) > _TOLERANCE:
        return Clock()
    if offset == places.local_offset(now):
        return Clock(ClockBasis.LOCALTIME, 0)
    return Clock(ClockBasis.UTC, offset)
