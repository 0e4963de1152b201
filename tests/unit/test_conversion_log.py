"""virt-v2v's log, read as it grows: the same events however it is cut, and nothing in them that drives a terminal."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2v_tui.session.conversion.log import MAX_LINE, ConversionLog, CopyPercent, LogEvent
from p2v_tui.session.words.events import OutputKind, PhaseStarted, RemoteOutput
from p2v_tui.session.words.terminal_text import harmless

# As virt-v2v 2.2 --colours writes it on both streams, with nbdcopy's bar and the appliance's serial console among it.
RECORDED = (
    b"virt-v2v: virt-v2v 2.2.0 (x86_64)\n"
    b"\x1b[0;32m[   0.0] Setting up the source: -i libvirtxml /tmp/virt-p2v-20260309-abcdefgh/physical.xml\x1b[0m\n"
    b"\x1b[0;32m[   1.1] Opening the source\x1b[0m\n"
    b"[    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)\r\n"
    b"[    1.234567] EXT4-fs (sda1): mounted filesystem\r\n"
    b"\x1b[0;32m[  12.5] Inspecting the source\x1b[0m\n"
    b"\x1b[0;34mvirt-v2v: warning: /files/boot/grub/device.map references unknown device \xe2\x80\x9csdc\xe2\x80\x9d."
    b" You may have to fix this entry manually after conversion.\x1b[0m\n"
    b"\x1b[0;35mvirt-v2v: This guest has virtio drivers installed.\x1b[0m\n"
    b"a line in Latin-1: Gr\xfc\xdfe\n"
    b"\n" + b"long " * 100 + b"\n"
    b"\x1b[0;32m[  60.0] Copying disk 1/2\x1b[0m\n"
    b"\r\xe2\x96\x9d   0% [----------------------------------------]"
    b"\r\xe2\x96\x97  42% [****************------------------------]"
    b"\r\xe2\x96\x96 100% [****************************************]\n"
    b"\x1b[0;32m[ 120.0] Copying disk 2/2\x1b[0m\n"
    b"    (0.00/100%)\r    (42.10/100%)\r    (100.00/100%)\r\n"
    b"\x1b[0;31mvirt-v2v: error: cannot open file\xe2\x80\xa6:\n"
    b"  no such storage pool\n"
    b"\n"
    b"If reporting bugs, run virt-v2v with debugging enabled and include the complete output:\n"
    b"\n"
    b"  virt-v2v -v -x [...]\x1b[0m\n"
    b"rm -rf -- '/tmp/v2v.XXXX'\n"
    b"no newline at the end"
)


def read(pieces: list[bytes], *, debug: bool = False) -> tuple[list[LogEvent], ConversionLog]:
    log = ConversionLog(debug=debug)
    events = [event for piece in pieces for event in log.feed(piece)]
    return events + log.feed(b"", final=True), log


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def without_repeats(events: list[LogEvent]) -> list[LogEvent]:
    """A percentage may be said again: what counts is when it changes."""
    return [event for event, _ in groupby(events)] if events else []


def lines(events: list[LogEvent]) -> list[RemoteOutput]:
    return [event for event in events if isinstance(event, RemoteOutput)]


WHOLE, _ = read([RECORDED])


@given(st.lists(st.integers(0, len(RECORDED)), max_size=12))
@example([RECORDED.index(b"\r\n") + 1])
@example([RECORDED.index(b"\xe2\x80\x9c") + 1])
@example(list(range(RECORDED.index(b"\r\xe2\x96\x9d"), RECORDED.index(b"\x1b[0;32m[ 120.0]"))))
def test_the_events_are_the_same_however_the_log_is_cut(places: list[int]) -> None:
    pieces, _ = read(cut(RECORDED, places))
    assert lines(pieces) == lines(WHOLE)
    assert without_repeats(pieces) == without_repeats(WHOLE)


def test_a_log_that_comes_byte_by_byte_gives_the_same_events_too() -> None:
    pieces, log = read([bytes([byte]) for byte in RECORDED])
    assert without_repeats(pieces) == without_repeats(WHOLE)
    assert log.reason == read([RECORDED])[1].reason


@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([b"\r", b"\n", b"\x1b[", b"7% [*--]", b"[  1.0] x"]), max_size=20
    )
)
def test_any_bytes_give_the_same_lines_however_they_are_cut(pieces: list[bytes]) -> None:
    assert lines(read(pieces)[0]) == lines(read([b"".join(pieces)])[0])


@given(st.binary() | st.text().map(str.encode), st.booleans())
@example(b"\x1b]0;title\x07\x9b2J\x1b[2J\n", False)
def test_no_bytes_give_anything_but_harmless_lines_phases_and_percentages(data: bytes, debug: bool) -> None:
    for event in read([b"\x1b[0;32m[ 60.0] Copying disk 1/1\x1b[0m\n", data], debug=debug)[0]:
        match event:
            case RemoteOutput(text, kind):
                assert harmless(text) == text
                assert isinstance(kind, OutputKind)
            case PhaseStarted(name, seconds):
                assert harmless(name) == name
                assert seconds >= 0
            case CopyPercent(disk, percent):
                assert disk == 0
                assert 0 <= percent <= 100


def test_the_phases_come_with_their_seconds() -> None:
    phases = [(event.name, event.seconds) for event in WHOLE if isinstance(event, PhaseStarted)]
    assert phases == [
        ("Setting up the source: -i libvirtxml /tmp/virt-p2v-20260309-abcdefgh/physical.xml", 0.0),
        ("Opening the source", 1.1),
        ("Inspecting the source", 12.5),
        ("Copying disk 1/2", 60.0),
        ("Copying disk 2/2", 120.0),
    ]


def test_the_percentage_is_that_of_the_disk_being_copied() -> None:
    percents = [event for event in without_repeats(WHOLE) if isinstance(event, CopyPercent)]
    assert percents[-1] == CopyPercent(1, 100)
    assert CopyPercent(0, 100) in percents
    pieces, _ = read([bytes([byte]) for byte in RECORDED])
    steps = [event for event in without_repeats(pieces) if isinstance(event, CopyPercent)]
    assert steps == [CopyPercent(disk, percent) for disk in (0, 1) for percent in (0, 42, 100)]


def test_a_percentage_shows_before_its_line_ends() -> None:
    log = ConversionLog(debug=False)
    log.feed(b"[  60.0] Copying disk 1/1\n")
    assert log.feed("\r▝  42% [****------]".encode()) == [CopyPercent(0, 42)]


def test_a_percentage_before_any_copy_belongs_to_no_disk() -> None:
    assert read([b"\r 42% [****------]\n"])[0] == []


def test_no_bar_is_shown_as_a_line() -> None:
    assert not [line for line in lines(WHOLE) if "%" in line.text]


def test_the_kernels_lines_are_no_phases_and_lose_their_carriage_return() -> None:
    texts = [line.text for line in lines(WHOLE)]
    assert "[    1.234567] EXT4-fs (sda1): mounted filesystem" in texts


def test_a_line_that_is_not_understood_is_shown_all_the_same() -> None:
    assert RemoteOutput("a line in Latin-1: Gr\ufffd\ufffde", OutputKind.MESSAGE) in WHOLE
    assert RemoteOutput("no newline at the end", OutputKind.MESSAGE) in WHOLE


def test_colours_are_kept_and_do_not_hide_what_a_line_is() -> None:
    assert RemoteOutput("\x1b[0;32m[  12.5] Inspecting the source\x1b[0m", OutputKind.PHASE) in WHOLE


def test_a_warning_is_known_as_one_and_collected_without_its_colours() -> None:
    (line,) = (line for line in lines(WHOLE) if line.kind is OutputKind.WARNING)
    assert "device.map" in line.text
    (warning,) = read([RECORDED])[1].warnings.first
    assert warning.startswith("/files/boot/grub/device.map")
    assert "\x1b" not in warning


def test_an_error_of_several_lines_is_one_sentence_without_the_advice_on_bugs() -> None:
    assert read([RECORDED])[1].reason.text == "cannot open file…: no such storage pool"


def test_the_first_of_two_errors_counts() -> None:
    assert read([b"virt-v2v: error: one\nmore\nvirt-v2v: error: two\n"])[1].reason.text == "one more"


def test_without_a_word_there_is_no_reason() -> None:
    assert read([b"[   0.0] Opening the source\n"])[1].reason.text == ""


@pytest.mark.parametrize(("debug", "kind"), [(True, OutputKind.DEBUG), (False, OutputKind.MESSAGE)])
def test_an_unmarked_line_is_noise_only_where_debugging_was_asked_for(debug: bool, kind: OutputKind) -> None:
    assert read([b"libguestfs: trace: launch\n"], debug=debug)[0] == [RemoteOutput("libguestfs: trace: launch", kind)]


def test_a_line_without_an_end_is_shown_in_parts_and_not_kept() -> None:
    events, _ = read([b"x" * (3 * MAX_LINE)])
    assert "".join(line.text for line in lines(events)) == "x" * (3 * MAX_LINE)
    assert all(len(line.text) <= MAX_LINE for line in lines(events))


def test_a_line_that_is_too_long_is_parted_at_the_same_places_however_it_comes() -> None:
    line = b"x" * MAX_LINE + b"y" * 100 + b"\rz\n"
    pieces = [line[start : start + 1000] for start in range(0, len(line), 1000)]
    assert lines(read(pieces)[0]) == lines(read([line])[0])


@pytest.mark.parametrize("number", [b"0", b"-1", b"9" * 9000])
def test_a_disk_number_that_no_conversion_has_breaks_nothing(number: bytes) -> None:
    events = read([b"[  60.0] Copying disk " + number + b"/1\n"])[0]
    assert [type(event) for event in events] == [RemoteOutput, PhaseStarted]


def test_an_error_without_an_end_does_not_grow_without_end() -> None:
    log = read([b"virt-v2v: error: it went wrong\n" + b"and more\n" * 10000])[1]
    assert len(log.reason.text) < 1000
