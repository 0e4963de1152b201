"""The console's lines: what they say, how often, and that nothing on them drives a terminal without colours."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2v_tui.console import COPY_LINE_INTERVAL, QUIET_LINE_INTERVAL, Console
from p2v_tui.errors import ConnectionFailed, ConversionFailed
from p2v_tui.session.preflight.output_checks import COPY
from p2v_tui.session.preflight.preflight import ChecksRefused
from p2v_tui.session.words.events import (
    CONTROL,
    Checked,
    ConnectionLost,
    ConnectionRestored,
    Converted,
    DiskProgress,
    HostKeyLearnt,
    LogDirectory,
    OutputKind,
    PhaseStarted,
    Progress,
    RemoteOutput,
    ServerVersion,
    Status,
    StillLost,
    Warned,
)
from p2v_tui.session.words.quantities import memory_text, size_text
from p2v_tui.session.words.terminal_text import plain

GB = 1_000_000_000
MB = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """A console on a text buffer, with a clock that the test turns."""

    def __init__(self, *, colours: bool = False, verbose: bool = False) -> None:
        self.out = io.StringIO()
        self.clock = Clock()
        self.console = Console(self.out, colours=colours, verbose=verbose, clock=self.clock)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    def copy(self, seconds: int, *, step: int = 0) -> None:
        """A second-by-second copy. step: how much the percentage grows each second."""
        percent = 0
        for _ in range(seconds):
            self.clock.now += 1
            percent = min(100, percent + step)
            self.console.show(Progress((DiskProgress("sda", 500 * GB, 10 * GB, 100.0 * MB, percent=percent),)))


def test_a_status_is_one_line_with_the_programs_name() -> None:
    screen = Screen()
    screen.console.show(Status("Opening the control connection"))
    assert screen.lines == ["p2v-tui: Opening the control connection"]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Warned("a cable is missing"), ["warning", "a cable is missing"]),
        (HostKeyLearnt("SHA256:abc"), ["SHA256:abc", "p2v.remote.hostkey=SHA256:abc"]),
        (ServerVersion("2.2.0", ("local", "null")), ["2.2.0", "local, null"]),
        (LogDirectory("/tmp/virt-p2v-x"), ["/tmp/virt-p2v-x"]),
        (Converted("g", "the disks /d/g-sd*", "/tmp/x", 3725), ["successfully in 1 h 2 min", "/d/g-sd*"]),
        (Converted("g", "x", "/tmp/x", 65), ["1 min 5 s"]),
        (Converted("g", "x", "/tmp/x", 59.6), ["1 min 0 s"]),
    ],
)
def test_each_event_says_what_it_knows(event: Warned, words: list[str]) -> None:
    screen = Screen()
    screen.console.show(event)
    text = screen.out.getvalue()
    assert [word for word in words if word not in text] == []
    assert all(line.startswith("p2v-tui: ") for line in screen.lines)


def test_virt_v2vs_lines_are_its_own() -> None:
    screen = Screen()
    screen.console.show(RemoteOutput("[   0.0] Opening the source", OutputKind.PHASE))
    screen.console.show(PhaseStarted("Opening the source", 0.0))
    assert screen.lines == ["[   0.0] Opening the source"]


@pytest.mark.parametrize(("verbose", "count"), [(False, 0), (True, 1)])
def test_debugging_shows_only_where_it_was_asked_for(verbose: bool, count: int) -> None:
    screen = Screen(verbose=verbose)
    screen.console.show(RemoteOutput("libguestfs: trace: launch", OutputKind.DEBUG))
    assert len(screen.lines) == count


def test_an_error_is_its_title_its_message_and_its_advice() -> None:
    screen = Screen()
    screen.console.error(ConnectionFailed("conv does not answer.", "Check the address."))
    assert screen.lines == [
        "p2v-tui: No connection to the conversion server: conv does not answer.",
        "p2v-tui: Check the address.",
    ]


def test_a_failed_conversion_names_the_phase_and_what_to_try() -> None:
    screen = Screen()
    screen.console.show(PhaseStarted("Inspecting the source", 12.5))
    screen.console.error(ConversionFailed("virt-v2v failed: no.", "Try this."))
    assert screen.lines == [
        "p2v-tui: The conversion failed: virt-v2v failed: no.",
        "p2v-tui: Failed during: Inspecting the source",
        "p2v-tui: Try this.",
    ]


def test_a_success_ends_with_what_to_do_next() -> None:
    screen = Screen()
    screen.console.show(Converted("g", "x", "/tmp/x", 65, next_steps=("To start it:", "  virsh start g")))
    assert screen.lines[2:4] == ["p2v-tui: To start it:", "p2v-tui:   virsh start g"]


NO_SPACE = COPY.refused("3 GB are free.", "Make room.")
TIGHT = COPY.warning("100 GB are free.", "Make room.")


def test_a_refusal_by_a_check_is_said_once() -> None:
    screen = Screen()
    screen.console.show(Checked(NO_SPACE))
    screen.console.error(ChecksRefused([NO_SPACE]))
    assert screen.lines == [
        f"p2v-tui: refused: {COPY.name}: 3 GB are free.",
        "p2v-tui: Make room.",
        "p2v-tui: The conversion cannot start.",
    ]


def test_a_refusal_that_no_check_has_shown_yet_is_shown_with_the_error() -> None:
    screen = Screen()
    screen.console.error(ChecksRefused([NO_SPACE]))
    assert screen.lines == ["p2v-tui: The conversion cannot start: 3 GB are free.", "p2v-tui: Make room."]


def test_how_to_accept_warnings_is_said_though_they_were_said() -> None:
    screen = Screen()
    screen.console.show(Checked(TIGHT))
    screen.console.error(ChecksRefused([TIGHT], "p2v.accept_warnings=space starts despite it."))
    assert screen.lines[2:] == [
        "p2v-tui: The conversion cannot start.",
        "p2v-tui: p2v.accept_warnings=space starts despite it.",
    ]


def test_a_check_that_is_made_again_is_said_again_where_it_finds_something_else() -> None:
    screen = Screen()
    for check in (TIGHT, TIGHT, NO_SPACE):
        screen.console.show(Checked(check))
    assert [line.split()[1] for line in screen.lines if COPY.name in line] == ["warning:", "refused:"]


def test_a_lost_connection_is_named_until_it_is_back() -> None:
    screen = Screen()
    for event in (
        ConnectionLost(CONTROL, "reset.", 3600),
        StillLost(CONTROL, "refused."),
        ConnectionRestored(CONTROL, 5),
    ):
        screen.console.show(event)
    assert [line for line in screen.lines if "ontrol connection" in line] == [
        "p2v-tui: Lost the control connection: reset.",
        "p2v-tui: Still without the control connection: refused.",
        "p2v-tui: The control connection is back after 5 s.",
    ]


def test_without_colours_virt_v2vs_own_are_taken_out() -> None:
    screen = Screen()
    screen.console.show(RemoteOutput("\x1b[0;31mvirt-v2v: error: x\x1b[0m", OutputKind.ERROR))
    assert screen.lines == ["virt-v2v: error: x"]


def test_with_colours_each_line_ends_its_own() -> None:
    screen = Screen(colours=True)
    screen.console.show(Status("working"))
    screen.console.show(RemoteOutput("\x1b[0;31mvirt-v2v: error: several", OutputKind.ERROR))
    screen.console.show(RemoteOutput("lines\x1b[0m", OutputKind.ERROR))
    coloured = [line for line in screen.lines if "\x1b" in line]
    assert len(coloured) == 3
    assert all(line.endswith("\x1b[0m") for line in coloured)


@given(st.text(), st.sampled_from([Status, Warned, HostKeyLearnt, LogDirectory]))
def test_without_colours_no_text_drives_the_terminal(text: str, event: type[Status]) -> None:
    screen = Screen()
    screen.console.show(event(text))
    screen.console.show(RemoteOutput(text, OutputKind.MESSAGE))
    screen.console.error(ConnectionFailed(text, text))
    for line in screen.out.getvalue().removesuffix("\n").split("\n"):
        assert plain(line) == line


def test_a_copy_says_a_line_for_each_interval_and_not_for_each_second() -> None:
    screen = Screen()
    screen.copy(100, step=1)
    assert len(screen.lines) == 100 // COPY_LINE_INTERVAL


def test_a_copy_that_stands_still_says_fewer_lines_but_is_never_silent() -> None:
    screen = Screen()
    screen.copy(600)
    assert len(screen.lines) == pytest.approx(600 / QUIET_LINE_INTERVAL, abs=1)


def test_a_day_of_copying_fits_on_a_slow_serial_line() -> None:
    screen = Screen()
    screen.copy(3600, step=1)
    # A 9600 baud line takes 960 characters a second; the console must leave it nearly idle.
    assert len(screen.out.getvalue()) / 3600 < 20


def test_a_line_of_progress_says_how_far_how_fast_and_how_long() -> None:
    screen = Screen()
    screen.clock.now += COPY_LINE_INTERVAL
    # The whole disk was read once before, to inspect the guest.
    disk = DiskProgress("sda", 500 * GB, 625 * GB, 100.0 * MB, percent=25, seconds_left=3725.0, copied=125 * GB)
    screen.console.show(Progress((disk,)))
    assert screen.lines == ["p2v-tui: sda: 25% copied, 125 GB of 500 GB, 100 MB/s, about 1 h 2 min left"]


def test_before_the_copy_a_line_says_what_was_read_and_not_of_how_much() -> None:
    screen = Screen()
    screen.clock.now += QUIET_LINE_INTERVAL
    screen.console.show(Progress((DiskProgress("sda", 3 * GB, 4 * GB, 1.0 * MB),)))
    assert screen.lines == ["p2v-tui: sda: 4 GB read, 1 MB/s"]


def test_each_disk_has_its_line() -> None:
    screen = Screen()
    screen.clock.now += QUIET_LINE_INTERVAL
    screen.console.show(Progress(tuple(DiskProgress(name, GB, 0, 0.0) for name in ("sda", "sdb"))))
    assert [line.split(":")[1].strip() for line in screen.lines] == ["sda", "sdb"]


def test_a_finished_disk_has_no_time_left() -> None:
    screen = Screen()
    screen.clock.now += COPY_LINE_INTERVAL
    screen.console.show(Progress((DiskProgress("sda", GB, GB, 0.0, percent=100, seconds_left=0.0),)))
    assert "left" not in screen.out.getvalue()


class Broken(io.StringIO):
    """A console whose other end is gone."""

    def write(self, _text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_console_that_is_gone_does_not_end_the_conversion() -> None:
    Console(Broken(), colours=False).show(Status("working"))


def test_a_console_that_lacks_a_character_shows_another_one() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Console(out, colours=False).show(RemoteOutput("unknown device “sdc”", OutputKind.MESSAGE))
    assert b"unknown device" in raw.getvalue()
    assert b"sdc" in raw.getvalue()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1536, "1.5 kB"),
        (999_600, "1 MB"),
        (500_107_862_016, "500 GB"),
        (5 << 40, "5.5 TB"),
        (3_072_000_000_000_000, "3072 TB"),
    ],
)
def test_the_size_of_a_disk_is_told_in_powers_of_1000(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(1023, "1023 bytes"), (300 << 20, "300 MiB"), (5 << 29, "2.5 GiB"), (23 << 30, "23 GiB")]
)
def test_memory_is_told_in_powers_of_1024(count: int, text: str) -> None:
    assert memory_text(count) == text
