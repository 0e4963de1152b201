"""What the running screen shows, without the screen: the run's snapshot and lines, phases, bars, words."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.config import Settings
from p2v_tui.errors import Cancelled, ConversionFailed, PreflightRefused
from p2v_tui.front import conversion_run
from p2v_tui.front.ascii_text import ascii_text
from p2v_tui.front.conversion_run import ConversionRun, Snapshot
from p2v_tui.front.phases import (
    Phase,
    PhaseState,
    current_phase,
    first_phases,
    when_ended,
    with_stage,
    with_started,
)
from p2v_tui.kinds import Secret
from p2v_tui.screens.progress import bar, disk_row, phases_text, window
from p2v_tui.session.plan.plan import make_plan
from p2v_tui.session.preflight.preflight import ChecksRefused
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.events import (
    CONTROL,
    Checked,
    ConnectionLost,
    ConnectionRestored,
    DiskProgress,
    Event,
    LogDirectory,
    LogDirectoryRemoved,
    PhaseStarted,
    Stage,
    StageStarted,
    StillLost,
    Warned,
)
from tests.lab.ports import silent_port
from tests.screens.judged import SPACE
from tests.screens.scripted_conversion import (
    COPYING,
    FINISHED,
    GB,
    INSPECTING,
    MADE,
    MB,
    NoServer,
    Preflight,
    ScriptedConversion,
    copied,
    output,
    plan,
    ran,
    said,
)
from tests.unit.machines import SERVER


def marks(phases: tuple[Phase, ...]) -> dict[str, PhaseState]:
    return {phase.name: phase.state for phase in phases}


# The run.


def test_a_run_that_has_not_started_shows_the_disks_of_the_plan() -> None:
    snapshot = ConversionRun(NoServer().as_server(), plan(), convert=ScriptedConversion()).snapshot
    assert [(disk.name, disk.size) for disk in snapshot.disks] == [("sda", 500 * GB), ("sdb", 250 * GB)]
    assert not snapshot.finished


def test_success_ends_with_the_outcome_and_all_phases_done() -> None:
    snapshot = ran(*FINISHED).snapshot
    assert snapshot.outcome == MADE and snapshot.error is None
    assert {phase.state for phase in snapshot.phases} == {PhaseState.DONE}


def test_failure_ends_with_the_error_and_the_phase_that_failed() -> None:
    error = ConversionFailed("virt-v2v failed: no.")
    snapshot = ran(*INSPECTING, error).snapshot
    assert snapshot.error is error and snapshot.outcome is None
    assert marks(snapshot.phases)["Inspecting the source"] is PhaseState.FAILED


def test_warnings_of_both_sides_are_kept() -> None:
    snapshot = ran(*said("virt-v2v: warning: theirs\n"), Warned("ours"), MADE).snapshot
    assert snapshot.warnings == ("virt-v2v: warning: theirs", "ours")


def test_lines_are_numbered_and_fetched_once() -> None:
    run = ran(*output("one", "two", "three"), MADE)
    assert [(line.number, line.text) for line in run.lines_from(1)][:2] == [(1, "two"), (2, "three")]
    assert run.lines_from(run.snapshot.lines) == ()


def test_too_many_lines_lose_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion_run, "MAX_LINES", 10)
    run = ran(*output(*map(str, range(100))), MADE)
    kept = run.lines_from(0)
    assert len(kept) == 10
    assert kept[-1].number == run.snapshot.lines - 1 and kept[0].number == run.snapshot.lines - 10


def test_long_lines_count_by_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion_run, "MAX_CHARACTERS", 1000)
    assert sum(len(line.text) for line in ran(*output(*("x" * 300 for _ in range(9))), MADE).lines_from(0)) <= 1000


def test_cancelling_ends_it_and_later_ones_change_nothing() -> None:
    run = ConversionRun(NoServer().as_server(), plan(), convert=ScriptedConversion())
    run.start()
    run.cancel()
    assert run.wait(10)
    assert isinstance(run.snapshot.error, Cancelled)
    run.cancel()
    assert not run.snapshot.cancelling


def test_listeners_are_told_until_they_have_heard_enough() -> None:
    conversion = ScriptedConversion()
    run = ConversionRun(NoServer().as_server(), plan(), convert=conversion)
    heard: list[Snapshot] = []
    told = threading.Event()

    def listen() -> None:
        heard.append(run.snapshot)
        told.set()

    end = run.listen(listen)
    run.start()
    conversion.say(*output("one"))
    assert told.wait(10)
    end()
    count = len(heard)
    conversion.say(*output("two"), MADE)
    assert run.wait(10)
    assert len(heard) == count
    end()


def test_the_status_is_not_that_of_the_start_while_virt_v2v_runs() -> None:
    run = ConversionRun(NoServer().as_server(), plan(), convert=ScriptedConversion())
    for event in INSPECTING:
        run._report(event)
    assert run.snapshot.status == "virt-v2v is running"


def test_a_status_of_an_outage_ends_with_it() -> None:
    run = ConversionRun(NoServer().as_server(), plan(), convert=ScriptedConversion())
    for event in (
        ConnectionLost(CONTROL, "reset.", 60),
        StillLost(CONTROL, "refused."),
        ConnectionRestored(CONTROL, 5),
    ):
        run._report(event)
    assert run.snapshot.status == "The control connection is back after 5 s."


def test_where_nobody_attends_warnings_are_not_asked_about_and_every_event_is_heard() -> None:
    conversion, heard = ScriptedConversion(), list[Event]()
    conversion.say(Preflight((SPACE,)))
    run = ConversionRun(NoServer().as_server(), plan(), convert=conversion, attended=False, hear=heard.append)
    run.start()
    assert run.wait(10)
    assert heard == [Checked(SPACE)]
    error = run.snapshot.error
    assert isinstance(error, ChecksRefused) and error.checks == (SPACE,)
    assert [line.text for line in run.lines_from(0)][-2:] == ["The conversion cannot start.", error.how_to_accept]


def test_the_thread_outlives_the_screens() -> None:
    run = ConversionRun(NoServer().as_server(), plan(), convert=ScriptedConversion())
    assert not run._thread.daemon


# Phases.


def test_a_phase_that_is_not_known_comes_after_the_current_one() -> None:
    phases = with_started(with_started(first_phases(), "Opening the source"), "Checking filesystem integrity")
    names = [phase.name for phase in phases]
    assert names.index("Checking filesystem integrity") == names.index("Opening the source") + 1
    assert phases[current_phase(phases)].name == "Checking filesystem integrity"


def test_a_refusal_names_the_stage_in_which_it_came_and_no_directory_that_is_gone() -> None:
    events: list[Event] = [LogDirectory("/tmp/virt-p2v-x"), StageStarted(Stage.CHECKING), LogDirectoryRemoved()]
    snapshot = ran(*events, PreflightRefused("There is no room.", "Make some.")).snapshot
    failed = [name for name, state in marks(snapshot.phases).items() if state is PhaseState.FAILED]
    assert failed == [Stage.CHECKING.value]
    assert snapshot.log_directory is None


def test_a_stage_is_none_any_more_when_virt_v2v_speaks() -> None:
    phases = with_started(first_phases(), "Opening the source")
    assert with_stage(phases, Stage.CHECKING) == phases


def test_phases_that_were_passed_over_are_left_out_until_they_come_after_all() -> None:
    phases = with_started(first_phases(), "Closing the overlay")
    assert marks(phases)["Inspecting the source"] is PhaseState.LEFT_OUT
    phases = with_started(phases, "Inspecting the source")
    assert marks(phases)["Inspecting the source"] is PhaseState.RUNNING
    assert marks(phases)["Closing the overlay"] is PhaseState.DONE


def test_the_next_disk_takes_the_place_of_the_one_before() -> None:
    names = [phase.name for phase in ran(*FINISHED).snapshot.phases]
    assert "Copying disk 2/2" in names and "Copying disk 1/2" not in names and len(names) == len(first_phases())


def test_the_operating_system_is_named_when_it_is_known() -> None:
    assert "Converting Debian GNU/Linux 12 (bookworm) to run on KVM" in marks(
        ran(*COPYING, Cancelled()).snapshot.phases
    )


def test_the_phases_of_virt_v2v_1_are_shown_as_they_come() -> None:
    told = [
        "Opening the source -i libvirtxml physical.xml",
        "Creating an overlay to protect the source",
        "Opening the overlay",
    ]
    phases = first_phases()
    for name in told:
        phases = with_started(phases, name)
    assert phases[current_phase(phases)].name == "Opening the overlay"
    assert marks(phases)["Creating an overlay to protect the source"] is PhaseState.DONE


@given(
    st.lists(
        st.sampled_from(["Opening the source", "x", "y", "Copying disk 1/2", "Copying disk 2/2", "Finishing off"])
    )
)
def test_exactly_one_phase_runs_until_the_end(names: list[str]) -> None:
    phases = first_phases()
    for name in names:
        phases = with_started(phases, name)
        assert [phase.state for phase in phases].count(PhaseState.RUNNING) == 1
    assert PhaseState.RUNNING not in marks(when_ended(phases, succeeded=True)).values()


@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_the_current_phase_always_shows(extra: int, height: int, data: st.DataObject) -> None:
    phases = first_phases()
    for number in range(extra):
        phases = with_started(phases, f"Running command {number}")
    for _ in range(data.draw(st.integers(0, 1))):
        phases = with_started(phases, "Finishing off")
    lines = phases_text(phases, 80, height).plain.split("\n")
    assert len(lines) == height and all(len(line) <= 80 for line in lines)
    if height >= 2:
        assert sum(line.count("[ .. ]") for line in lines) == 1


@given(st.integers(0, 50), st.integers(1, 20), st.data())
def test_the_window_holds_the_current_one(count: int, room: int, data: st.DataObject) -> None:
    current = data.draw(st.integers(0, max(0, count - 1)))
    first, last = window(count, current, room)
    assert 0 <= first <= last <= count and last - first == min(count, room)
    assert not count or first <= current < last


# Bars and words.


@pytest.mark.parametrize(
    "percent, expected",
    [(None, "----------"), (0, "----------"), (42, "####------"), (99, "#########-"), (100, "##########")],
)
def test_a_bar_in_characters(percent: int | None, expected: str) -> None:
    assert bar(percent, 10) == expected


@given(
    st.integers(1, 1 << 50),
    st.floats(0, 1e10),
    st.one_of(st.none(), st.integers(0, 100)),
    st.one_of(st.none(), st.floats(0, 3e5)),
)
def test_the_bar_does_not_jump_and_the_line_fits(
    served: int, rate: float, percent: int | None, left: float | None
) -> None:
    copied = None if percent is None else min(served, 1 << 49)
    disk = DiskProgress("nvme0n1", 1 << 49, served, rate, percent, left, copied)
    row = disk_row("nvme0n1", disk, disk, 80)
    assert len(row) <= 80 and row.index("]") == 7 + 2 + 1 + 10
    assert left is None or percent == 100 or row.endswith(" left")


def test_a_disk_in_words() -> None:
    (disk, _) = copied(42, seconds_left=100.0).disks
    assert disk_row("sda", disk, disk, 80).endswith("42%  210.0 of 500.0 GB         112 MB/s  2 min left")
    half = DiskProgress("sda", 2 * 1000 * GB, 300 * GB, 1.0 * MB, 11, 5.0, 230 * GB)
    assert disk_row("sda", half, half, 80).endswith("0.23 of 2.00 TB             1 MB/s  10 s left")


def test_a_disk_never_shows_more_than_it_has() -> None:
    inspected = DiskProgress("sda", 3 * GB, 4 * GB, 1.0 * MB)
    assert disk_row("sda", inspected, inspected, 80).endswith("--  4 GB read                   1 MB/s")
    begun = DiskProgress("sda", 3 * GB, 5 * GB, 1.0 * MB, 25, None, 3 * GB // 4)
    assert "25%  0.8 of 3.0 GB  " in disk_row("sda", begun, begun, 80)
    done = DiskProgress("sda", 3 * GB, 8 * GB, 0.0, 100, 0.0, 3 * GB)
    assert disk_row("sda", done, done, 80).rstrip().endswith("100%  3.0 of 3.0 GB")


@pytest.mark.parametrize(
    "text, expected",
    [("plain\x1b[31m", "plain\x1b[31m"), ("naïve…", "naive..."), ("“a” → 字", '"a" -> ?'), ("e\u0301", "e")],
)
def test_the_nearest_ascii(text: str, expected: str) -> None:
    assert ascii_text(text) == expected


@given(st.text())
def test_ascii_text_is_ascii_and_adds_no_control_characters(text: str) -> None:
    shown = ascii_text(text)
    assert shown.isascii()
    assert {c for c in shown if not c.isprintable()} <= {c for c in text if not c.isprintable()}


def test_phases_without_output_count_too() -> None:
    assert marks(ran(PhaseStarted("Finishing off", 1.0), MADE).snapshot.phases)["Finishing off"] is PhaseState.DONE


def test_cancelling_stops_a_connection_that_is_being_opened(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(bytes(1 << 20))
    with silent_port() as port:
        chosen = Settings(server="127.0.0.1", port=port, guestname="db1", password=Secret("x"), disks=(str(image),))
        server = ControlConnection(chosen, cpu_has_aes=True)
        with server:
            run = ConversionRun(server, make_plan(chosen, SERVER, image))
            run.start()
            try:
                opening = threading.Event()
                run.listen(lambda: opening.set() if "control connection" in run.snapshot.status else None)
                assert "control connection" in run.snapshot.status or opening.wait(10)
            finally:
                run.cancel()
            # ssh alone would wait for minutes.
            assert run.wait(20)
            assert isinstance(run.snapshot.error, Cancelled)
