"""The figures of the copy: bytes, rates, percentages and the time left, on a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.session.conversion.progress import RATE_WINDOW, ProgressTracker
from tests.unit.machines import SDA, SDB

MIB = 1 << 20


def test_each_disk_has_its_name_its_size_and_its_bytes_in_the_guests_order() -> None:
    disks = ProgressTracker([SDA, SDB]).sample([10, 20], 0.0).disks
    assert [(disk.name, disk.size, disk.served) for disk in disks] == [("sda", SDA.size, 10), ("sdb", SDB.size, 20)]


def test_the_first_sample_has_no_rate() -> None:
    assert ProgressTracker([SDA]).sample([500 * MIB], 100.0).disks[0].rate == 0.0


def test_the_rate_is_bytes_by_seconds() -> None:
    tracker = ProgressTracker([SDA])
    tracker.sample([0], 100.0)
    assert tracker.sample([50 * MIB], 105.0).disks[0].rate == 10 * MIB


def test_the_rate_forgets_what_lies_further_back_than_its_window() -> None:
    tracker = ProgressTracker([SDA])
    tracker.sample([0], 0.0)
    tracker.sample([1000 * MIB], 1.0)
    for second in range(2, 30):
        progress = tracker.sample([1000 * MIB], float(second))
    assert progress.disks[0].rate == 0.0


def test_two_samples_of_one_moment_do_not_divide_by_zero() -> None:
    tracker = ProgressTracker([SDA])
    tracker.sample([0], 5.0)
    assert tracker.sample([MIB], 5.0).disks[0].rate == 0.0


def test_before_the_copy_there_is_neither_a_percentage_nor_a_time_left() -> None:
    disk = ProgressTracker([SDA]).sample([MIB], 10.0).disks[0]
    assert disk.percent is None
    assert disk.seconds_left is None


def test_the_time_left_is_what_the_percentage_so_far_took_per_percent() -> None:
    tracker = ProgressTracker([SDA])
    tracker.percent(0, 0, 100.0)
    tracker.percent(0, 25, 130.0)
    assert tracker.sample([0], 130.0).disks[0].seconds_left == 90.0


def test_at_a_hundred_percent_nothing_is_left() -> None:
    tracker = ProgressTracker([SDA])
    tracker.percent(0, 10, 0.0)
    tracker.percent(0, 100, 50.0)
    assert tracker.sample([0], 60.0).disks[0].seconds_left == 0.0


def test_at_zero_percent_the_time_left_is_not_guessed() -> None:
    tracker = ProgressTracker([SDA])
    tracker.percent(0, 0, 0.0)
    assert tracker.sample([0], 10.0).disks[0].seconds_left is None


def test_the_second_disks_time_counts_from_its_own_copy() -> None:
    tracker = ProgressTracker([SDA, SDB])
    tracker.percent(0, 1, 0.0)
    tracker.percent(0, 100, 1000.0)
    tracker.percent(1, 0, 1000.0)
    tracker.percent(1, 50, 1010.0)
    assert tracker.sample([0, 0], 1010.0).disks[1].seconds_left == 10.0


@pytest.mark.parametrize("number", [-1, 1, 99])
def test_a_percentage_of_a_disk_that_does_not_exist_is_not_believed(number: int) -> None:
    tracker = ProgressTracker([SDA])
    tracker.percent(number, 50, 1.0)
    assert tracker.sample([0], 2.0).disks[0].percent is None


@given(st.lists(st.tuples(st.floats(0, RATE_WINDOW * 3), st.integers(0, 10**12), st.integers(0, 100)), max_size=30))
def test_no_history_makes_a_figure_negative(steps: list[tuple[float, int, int]]) -> None:
    tracker = ProgressTracker([SDA])
    now, served = 0.0, 0
    for seconds, count, percent in steps:
        now += seconds
        served += count
        tracker.percent(0, percent, now)
        disk = tracker.sample([served], now).disks[0]
        assert disk.rate >= 0
        assert disk.seconds_left is None or disk.seconds_left >= 0


def test_what_is_copied_follows_the_percentage_and_not_what_was_read() -> None:
    tracker = ProgressTracker([SDA])
    assert tracker.sample([SDA.size // 2], 0.0).disks[0].copied is None
    tracker.percent(0, 0, 1.0)
    assert tracker.sample([SDA.size // 2], 1.0).disks[0].copied == 0
    tracker.percent(0, 25, 2.0)
    assert tracker.sample([SDA.size], 2.0).disks[0].copied == SDA.size // 4 + SDA.size // 100
    tracker.percent(0, 100, 3.0)
    disk = tracker.sample([3 * SDA.size], 3.0).disks[0]
    assert (disk.copied, disk.served) == (SDA.size, 3 * SDA.size)


def test_between_two_percentages_it_grows_with_what_is_read() -> None:
    tracker = ProgressTracker([SDA])
    tracker.percent(0, 0, 0.0)
    tracker.sample([0], 0.0)
    tracker.percent(0, 10, 1.0)
    assert tracker.sample([MIB], 1.0).disks[0].copied == SDA.size // 10 + MIB
    assert tracker.sample([3 * MIB], 2.0).disks[0].copied == SDA.size // 10 + 3 * MIB


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 100)), min_size=1, max_size=30))
def test_the_copied_bytes_never_fall_and_never_exceed_the_disk(steps: list[tuple[int, int]]) -> None:
    tracker = ProgressTracker([SDA])
    served = before = 0
    for second, (count, percent) in enumerate(steps):
        served += count
        tracker.percent(0, percent, float(second))
        copied = tracker.sample([served], float(second)).disks[0].copied
        assert copied is not None
        assert before <= copied <= SDA.size
        before = copied
