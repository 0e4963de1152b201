"""Events as JSON lines: what another program reads of each."""

from __future__ import annotations

import datetime
import io
import json
from typing import Any, get_args

import pytest

from p2v_tui.errors import ConversionFailed, SettingsError
from p2v_tui.front.pace import Paces
from p2v_tui.json_lines import JsonLines
from p2v_tui.session.words.checks import Check, Verdict
from p2v_tui.session.words.events import (
    CONTROL,
    Checked,
    Connection,
    ConnectionLost,
    Converted,
    DiskProgress,
    Event,
    OutputKind,
    PhaseStarted,
    Progress,
    RemoteOutput,
    Stage,
    StageStarted,
    Status,
)

NOON = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
SPACE = Check("space", Verdict.WARNING, "1 GB is free.", "Make room.", "space")


class Lines:
    def __init__(self, *, verbose: bool = False) -> None:
        self.out = io.StringIO()
        self.seconds = 0.0
        self.printer = JsonLines(self.out, verbose=verbose, clock=lambda: self.seconds, now=lambda: NOON)

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def of(self, event: Event) -> dict[str, Any]:
        self.printer.show(event)
        return self.objects[-1]


def test_an_event_is_its_time_its_name_and_its_fields() -> None:
    assert Lines().of(PhaseStarted("Opening the source", 1.5)) == {
        "time": "2026-11-28T12:00:00.000+00:00",
        "event": "phase-started",
        "name": "Opening the source",
        "seconds": 1.5,
    }


@pytest.mark.parametrize(
    ("event", "name", "field", "value"),
    [
        (StageStarted(Stage.CHECKING), "stage-started", "stage", "Checking the server and the disks"),
        (RemoteOutput("virt-v2v: error: x", OutputKind.ERROR), "remote-output", "kind", "error"),
        (ConnectionLost(CONTROL, "It is gone.", 5.0), "connection-lost", "connection", {"disk": None}),
        (ConnectionLost(Connection("sda"), "It is gone.", 5.0), "connection-lost", "connection", {"disk": "sda"}),
        (Converted("db1", "x", "/tmp/x", 5, next_steps=("a", "b")), "converted", "next_steps", ["a", "b"]),
        (
            Checked(SPACE),
            "checked",
            "check",
            {
                "name": "space",
                "verdict": "warning",
                "text": "1 GB is free.",
                "advice": "Make room.",
                "key": "space",
                "setting": None,
            },
        ),
    ],
)
def test_what_is_in_an_event_has_the_kinds_that_json_has(event: Event, name: str, field: str, value: object) -> None:
    line = Lines().of(event)
    assert (line["event"], line[field]) == (name, value)


def test_no_field_of_an_event_is_called_as_what_each_line_has() -> None:
    fields = {name for event in get_args(Event) for name in event.__dataclass_fields__}
    assert fields.isdisjoint({"time", "event", "percent", "seconds_left"})


def test_progress_has_the_whole_beside_each_disk() -> None:
    lines = Lines()
    disks = (DiskProgress("sda", 1000, 500, 10.0, percent=50, seconds_left=50.0, copied=500),)
    assert "percent" not in lines.of(Progress(disks))
    lines.printer.expect(Paces(rate=10.0))
    lines.printer.show(PhaseStarted("Copying disk 1/1", 0.0))
    lines.seconds = 50.0
    progress = lines.of(Progress(disks))
    # 50 s of the copy, and a moment each for the two phases after it.
    assert (progress["percent"], progress["seconds_left"]) == (100 * 50 // (50 + 52), 52)
    assert progress["disks"][0]["copied"] == 500


def test_a_check_that_is_made_again_is_one_line() -> None:
    lines = Lines()
    lines.of(Checked(SPACE))
    lines.of(Checked(SPACE))
    assert len(lines.objects) == 1


@pytest.mark.parametrize(("verbose", "count"), [(False, 0), (True, 1)])
def test_debugging_is_there_only_where_it_was_asked_for(verbose: bool, count: int) -> None:
    lines = Lines(verbose=verbose)
    lines.printer.show(RemoteOutput("libguestfs: trace: launch", OutputKind.DEBUG))
    assert len(lines.objects) == count


def test_secrets_and_what_drives_a_terminal_are_left_out() -> None:
    lines = Lines()
    assert lines.of(Status("\x1b[31mhttp://u:hunter2@h/\x1b[0m"))["text"] == "http://u:***@h/"
    lines.printer.text("one\ntwo\x07")
    assert lines.objects[-1]["text"] == "one\ntwo"


def test_a_failure_says_its_kind_and_the_phase() -> None:
    lines = Lines()
    lines.of(PhaseStarted("Opening the source", 1.0))
    lines.printer.error(ConversionFailed("No space left on device.", "Make room."))
    assert lines.objects[-1] == {
        "time": "2026-11-28T12:00:00.000+00:00",
        "event": "failed",
        "exit_code": 5,
        "title": "The conversion failed",
        "message": "No space left on device.",
        "advice": "Make room.",
        "phase": "Opening the source",
        "setting": None,
    }
    lines.printer.error(SettingsError("No such port.", setting="remote.port"))
    assert (lines.objects[-1]["phase"], lines.objects[-1]["setting"]) == ("", "p2v.remote.port")


def test_a_verdict_says_whether_it_can_start() -> None:
    lines = Lines()
    lines.printer.verdict("Ready: sda", good=True)
    assert (lines.objects[-1]["event"], lines.objects[-1]["ready"]) == ("verdict", True)
