"""How far a conversion is as a whole, from events and a clock; and what of it is remembered for the next one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.front.pace import DEFAULT_RATE, Pace, Paces, Timing, first, heard, pace_of, whole_seconds
from p2v_tui.front.pace_book import PaceBook, default_path
from p2v_tui.front.pace_words import NOT_COPIED, NOT_READ, activity_text, clock_text, quiet_line, whole_text
from p2v_tui.front.phases import COPYING, KINDS, STAGES, kind_of
from p2v_tui.session.words.events import DiskProgress, PhaseStarted, Progress, Stage, StageStarted

GIB = 1 << 30
MB = 1_000_000
PACES = Paces({"Opening the source": 30.0, "Converting": 100.0}, rate=100.0 * MB)


def disk(percent: int | None, seconds_left: float | None = None, rate: float = 0.0) -> DiskProgress:
    return DiskProgress("sda", 100 * GIB, 0, rate, percent, seconds_left)


def phases(*names_and_seconds: tuple[str, float], start: float = 1000.0) -> Timing:
    timing = first(start, (disk(None),))
    for name, seconds in names_and_seconds:
        timing = heard(timing, PhaseStarted(name, seconds), start + 5 + seconds)
    return timing


def test_a_phase_has_its_own_time() -> None:
    timing = phases(("Setting up the source: -i libvirtxml x", 0.0), ("Opening the source", 1.5))
    pace = pace_of(timing, PACES, 1000.0 + 5 + 1.5 + 80)
    assert (pace.phase, pace.phase_seconds) == ("Opening the source", 80)
    assert pace.elapsed == 86.5


def test_what_is_left_shrinks_with_the_phases_and_with_the_bytes() -> None:
    opening = phases(("Opening the source", 0.0))
    converting = phases(("Opening the source", 0.0), ("Converting Debian to run on KVM", 30.0))
    copying = phases(("Opening the source", 0.0), ("Copying disk 1/1", 200.0))
    begun = heard(copying, Progress((disk(50, 500.0),)), 1400.0)
    lefts = [pace_of(timing, PACES, 1205.0).left for timing in (opening, converting, copying, begun)]
    assert lefts == sorted(lefts, reverse=True)
    assert lefts[2] == pytest.approx(100 * GIB / (100 * MB) + 2)
    assert lefts[3] == pytest.approx(500.0 + 2)


def test_a_phase_that_takes_longer_than_ever_leaves_the_others() -> None:
    timing = phases(("Opening the source", 0.0))
    assert pace_of(timing, PACES, 2000.0).left == pace_of(timing, PACES, 9000.0).left


def test_the_disks_to_come_take_as_long_as_the_one_that_is_copied() -> None:
    timing = phases(("Copying disk 1/2", 0.0))
    timing = heard(timing, Progress((disk(50, 100.0), disk(None))), 1100.0)
    assert pace_of(timing, PACES, 1100.0).left == pytest.approx(100.0 + 200.0 + 2)


@given(
    st.lists(st.tuples(st.sampled_from([*KINDS[1:], "Something new"]), st.floats(0, 1e5)), max_size=8),
    st.floats(0, 1e6),
)
def test_whatever_virt_v2v_says_the_whole_stays_between_0_and_99(said: list[tuple[str, float]], later: float) -> None:
    timing = first(0.0, (disk(None),))
    for name, seconds in said:
        timing = heard(timing, PhaseStarted(name, seconds), seconds)
    pace = pace_of(timing, PACES, later)
    assert 0 <= pace.percent <= 99 and pace.left >= 0 and pace.elapsed >= 0 and pace.phase_seconds >= 0


def test_one_that_was_gone_on_with_has_run_since_it_began() -> None:
    timing = first(1000.0, (disk(None),), ago=600.0)
    for name, seconds in (("Opening the source", 1.0), ("Converting Debian to run on KVM", 60.0)):
        timing = heard(timing, PhaseStarted(name, seconds), 1002.0)
    pace = pace_of(timing, PACES, 1002.0)
    assert pace.elapsed == 602.0
    assert pace.phase_seconds == 542.0
    assert timing.took[-1][1] == pytest.approx(59.0)


def test_stages_are_phases_too() -> None:
    timing = heard(first(0.0), StageStarted(Stage.CHECKING), 4.0)
    assert pace_of(timing, PACES, 6.0).phase == "Checking the server and the disks"
    assert kind_of("Copying disk 3/4") == COPYING


def test_the_whole_of_one_to_come_is_its_phases_and_its_bytes() -> None:
    whole = whole_seconds(100 * GIB, Paces())
    assert whole > 100 * GIB / DEFAULT_RATE
    assert whole_seconds(100 * GIB, PACES) != whole


def test_a_copy_of_a_moment_tells_nothing_about_the_rate_of_another() -> None:
    timing = heard(first(0.0, (disk(None),)), PhaseStarted("Copying disk 1/1", 0.0), 0.0)
    assert timing.paces(1.0).rate is None
    assert timing.paces(10.0).rate == pytest.approx(100 * GIB / 10.0)


def test_what_a_conversion_took_is_remembered(tmp_path: Path) -> None:
    book = PaceBook(tmp_path / "state/paces.json")
    timing = phases(("Opening the source", 0.0), ("Converting Debian", 40.0), ("Copying disk 1/1", 140.0))
    timing = heard(timing, PhaseStarted("Creating output metadata", 1140.0), 2145.0)
    book.remember("conv", timing.paces(2146.0))
    remembered = book.paces("conv")
    assert remembered.of("Opening the source") == pytest.approx(40.0)
    assert remembered.of("Converting") == pytest.approx(100.0)
    assert remembered.rate == pytest.approx(100 * GIB / 1000.0)
    # The phases are told for every server, the line only for this one; somebody may have been asked in the stages.
    assert book.paces("another").rate is None and book.paces("another").of("Converting") == pytest.approx(100.0)
    assert STAGES not in remembered.seconds
    book.remember("conv", Paces({"Converting": 300.0}))
    assert book.paces("conv").of("Converting") == pytest.approx(200.0)
    assert book.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2}', '{"version": 1, "seconds": {"Converting": "x"}, "rates": {}}', "[" * 9999],
)
def test_a_book_that_cannot_be_read_is_empty(tmp_path: Path, content: str) -> None:
    path = tmp_path / "paces.json"
    path.write_text(content)
    assert PaceBook(path).paces("conv") == Paces()


def test_a_book_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    PaceBook(tmp_path / "file/paces.json").remember("conv", PACES)


def test_the_book_is_in_the_users_own_place() -> None:
    assert default_path({"XDG_STATE_HOME": "/x"}) == Path("/x/p2v-tui/paces.json")
    expected = "/var/lib" if os.geteuid() == 0 else "/home/u/.local/state"
    assert default_path({"HOME": "/home/u"}) == Path(expected, "p2v-tui/paces.json")


# In words.


def pace(kind: str, *, reading: bool) -> Pace:
    return Pace(750.0, 4800.0, 13, "Opening the source", 200.0, kind, reading)


def test_times_are_short() -> None:
    assert [clock_text(seconds) for seconds in (0.0, 59.9, 200.0, 3723.0)] == ["0:00", "0:59", "3:20", "1:02:03"]
    assert whole_text(pace(COPYING, reading=True)) == "12 min so far, about 1 h 20 min left"


@pytest.mark.parametrize(
    ("kind", "reading", "words"),
    [
        (STAGES, False, ""),
        ("Converting", False, NOT_READ),
        (COPYING, False, NOT_COPIED),
        ("Converting", True, "virt-v2v is running"),
    ],
)
def test_it_is_said_what_it_means_that_nothing_is_read(kind: str, reading: bool, words: str) -> None:
    assert activity_text(pace(kind, reading=reading)) == words


def test_a_quiet_console_gets_the_phase_and_the_whole() -> None:
    assert quiet_line(pace("Opening the source", reading=False)) == (
        f"Opening the source, for 3 min 20 s: {NOT_READ} (13%, 12 min so far, about 1 h 20 min left)"
    )


def test_the_slower_of_the_measured_line_and_of_earlier_copies_counts() -> None:
    assert Paces(rate=100.0 * MB, line=10.0 * MB).copy_rate == 10.0 * MB
    assert Paces(rate=100.0 * MB, line=900.0 * MB).copy_rate == 100.0 * MB
    assert Paces(line=10.0 * MB).copy_rate == 10.0 * MB
    assert whole_seconds(1000 * MB, Paces(line=10.0 * MB)) > whole_seconds(1000 * MB, Paces()) + 89
