"""What the checks lead to, and which of their warnings p2v.accept_warnings accepts."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from p2v_tui import cli, cmdline
from p2v_tui.errors import PreflightRefused, SettingsError
from p2v_tui.kinds import AcceptedWarnings
from p2v_tui.session.preflight.output_checks import COPY, LOGS
from p2v_tui.session.preflight.preflight import SUBJECTS, check_keys, enforce
from p2v_tui.session.preflight.server_checks import CLOCK, KVM
from p2v_tui.session.words.checks import Check, Verdict

NOTHING = AcceptedWarnings()
ALL = AcceptedWarnings(every=True)
_SLOW = KVM.noted("There is no KVM.", "Load kvm.")
_SPACE = COPY.warning("There is little space.", "Free some.")
_LATE = CLOCK.warning("The clock is late.", "Set it.")
_FULL = LOGS.refused("/tmp is full.", "Empty it.")


def accepted(text: str) -> AcceptedWarnings:
    return cmdline.parse(text).settings.accept_warnings


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("", NOTHING),
        ("p2v.accept_warnings", ALL),
        ("p2v.accept_warnings=", NOTHING),
        ("p2v.accept_warnings=true", ALL),
        ("p2v.accept_warnings=Yes", ALL),
        ("p2v.accept_warnings=0", NOTHING),
        ("p2v.accept_warnings=false", NOTHING),
        ("p2v.accept_warnings=space", AcceptedWarnings(keys=("space",))),
        ("p2v.accept_warnings=space,clock,space", AcceptedWarnings(keys=("space", "clock"))),
    ],
)
def test_warnings_are_accepted_all_or_none_or_by_the_names_of_checks(words: str, meaning: AcceptedWarnings) -> None:
    assert accepted(words) == meaning


@pytest.mark.parametrize("value", ["space,", ",", "Space", "space clock", "space;clock", "1,2"])
def test_what_cannot_be_names_of_checks_is_wrong(value: str) -> None:
    with pytest.raises(SettingsError, match="accept_warnings"):
        accepted(f'p2v.accept_warnings="{value}"')


def test_a_name_that_no_check_has_is_wrong_and_those_that_there_are_are_listed() -> None:
    with pytest.raises(SettingsError) as caught:
        check_keys(accepted("p2v.accept_warnings=space,clokc"))
    assert "'clokc'" in caught.value.message
    assert caught.value.advice.startswith("Did you mean clock? ")
    for key in ("space", "clock", "failing-disks", "windows-tools"):
        assert re.search(rf"[ ,]{key}[,.]", caught.value.advice)
    assert caught.value.setting == "accept_warnings"


def test_the_program_ends_over_an_unknown_name_before_anything_is_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--cmdline", "p2v.server=127.0.0.1 p2v.accept_warnings=xyzzy"]) == 2
    said = capsys.readouterr()
    assert "no check is called 'xyzzy'" in said.err
    assert "Did you mean" not in said.err
    assert not said.out


@pytest.mark.parametrize(
    ("checks", "setting", "asked"),
    [
        ([], NOTHING, []),
        ([_SLOW], NOTHING, []),
        ([_SPACE, _LATE], NOTHING, [_SPACE, _LATE]),
        ([_SPACE, _LATE], ALL, []),
        ([_SPACE, _LATE], AcceptedWarnings(keys=("space", "clock")), []),
        ([_SPACE, _LATE], AcceptedWarnings(keys=("space",)), [_LATE]),
        ([_SPACE, _LATE], AcceptedWarnings(keys=("kvm",)), [_SPACE, _LATE]),
    ],
)
def test_the_operator_is_asked_about_the_warnings_that_the_setting_does_not_accept(
    checks: list[Check], setting: AcceptedWarnings, asked: list[Check]
) -> None:
    questions: list[Sequence[Check]] = []

    def ask(warnings: Sequence[Check]) -> bool:
        questions.append(warnings)
        return True

    enforce(checks, setting, ask)
    assert questions == ([asked] if asked else [])


def test_a_refusal_names_the_setting_that_starts_all_the_same_whole() -> None:
    with pytest.raises(PreflightRefused) as caught:
        enforce([_SPACE, _LATE], NOTHING)
    assert caught.value.message == "There is little space. The clock is late."
    assert caught.value.advice == "Free some. Set it. p2v.accept_warnings=space,clock starts despite them."
    # What was accepted already is in it: the line can replace the old one.
    with pytest.raises(PreflightRefused) as caught:
        enforce([_SPACE, _LATE], AcceptedWarnings(keys=("space",)))
    assert caught.value.message == "The clock is late."
    assert caught.value.advice == "Set it. p2v.accept_warnings=space,clock starts despite them."
    with pytest.raises(PreflightRefused, match=r"p2v\.accept_warnings=clock starts despite it\."):
        enforce([_LATE], NOTHING)


def test_what_a_refusal_names_is_taken_and_starts() -> None:
    with pytest.raises(PreflightRefused) as caught:
        enforce([_SPACE, _LATE], NOTHING)
    named = re.search(r"p2v\.accept_warnings=\S+", caught.value.advice)
    assert named
    check_keys(accepted(named[0]))
    enforce([_SPACE, _LATE], accepted(named[0]))


def test_nothing_accepts_what_a_check_refuses() -> None:
    with pytest.raises(PreflightRefused, match="/tmp is full"):
        enforce([_FULL, _LATE], ALL, lambda _: True)


def test_every_check_that_can_warn_has_a_name_to_type() -> None:
    for part in SUBJECTS.values():
        for subject in part:
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", subject.key)
            assert subject.key not in {"true", "false", "yes", "no", "on", "off", "t", "f", "y", "n"}
            assert subject.warning("Text.", "Advice.").key == subject.key
            assert subject.warning("Text.", "Advice.").verdict is Verdict.WARNING
