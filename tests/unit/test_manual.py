"""What p2v-tui says of its settings: `--help SETTING`, the man page, and the hint behind a wrong value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2v_tui import cli, cmdline, errors, manual
from p2v_tui.config import BY_KEY, SETTINGS
from p2v_tui.setting import Setting

SHARE = Path(__file__).parents[2] / "share"
WRONG_SETTINGS = 2


def help_on(setting: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help", setting])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_example_is_a_setting_with_a_value_that_it_takes(setting: Setting) -> None:
    parsed = cmdline.parse_words(cmdline.split_words(manual.example(setting)))
    assert parsed.warnings == ()
    assert getattr(parsed.settings, setting.attribute) != setting.default


@pytest.mark.parametrize("name", ["p2v.oo", "oo", "p2v.output.misc", "p2v.oo=os-user=me"])
def test_help_on_a_setting_shows_its_names_values_default_and_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = help_on(name, capsys)
    assert said.startswith("p2v.output.misc, p2v.oo\n\n")
    assert BY_KEY["p2v.oo"].help in " ".join(said.split())
    for label in ("Value: ", "Default: ", "Example: ", "Given again: "):
        assert f"\n{label}" in said


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_help_on_a_setting_fits_a_console(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, help_on(setting.name, capsys).splitlines())) < 80


def test_help_without_a_setting_shows_the_options_and_where_the_documentation_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help", "--cmdline", "p2v.server=x"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "--dry-run" in said
    directory = re.search(r"README.md and docs/ are in (/\S+)\.$", said, re.MULTILINE)
    assert directory and (Path(directory[1]) / "docs/settings.md").exists()


def test_help_on_an_unknown_setting_names_those_that_are_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help", "p2v.memori"]) == WRONG_SETTINGS
    said = capsys.readouterr().err
    assert "p2v.memori is not a setting." in said
    assert "Did you mean p2v.memory?" in said


def test_a_wrong_value_is_followed_by_the_command_that_explains_the_setting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--cmdline", "p2v.remote.port=x"]) == WRONG_SETTINGS
    assert capsys.readouterr().err.endswith("p2v-tui: `p2v-tui --help p2v.port` explains this setting.\n")


def test_the_man_page_has_every_option_setting_and_exit_code() -> None:
    page = (SHARE / "man/man1/p2v-tui.1").read_text().replace("\\-", "-")
    names = [name for setting in SETTINGS for name in manual.names(setting)]
    options = [name for action in cli.parser()._actions for name in action.option_strings]
    codes = re.findall(r"^  (\d)  ", cli.EXIT_CODES, re.MULTILINE)
    assert [name for name in (*names, *options, *codes) if f"\\fB{name}\\fR" not in page] == []


def test_every_exit_code_of_a_failure_is_told_and_no_other() -> None:
    told = {int(number) for number in re.findall(r"(?m)^  (\d+)  ", cli.EXIT_CODES)}
    kinds: list[type[errors.P2VError]] = [errors.P2VError, *errors.P2VError.__subclasses__()]
    assert told == {0, *(kind.exit_code for kind in kinds)}


def test_settings_that_stand_on_their_own_get_where_they_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--dry-run", "p2v.server=1", "p2v.password=swordfish"]) == WRONG_SETTINGS
    said = capsys.readouterr().err
    assert "p2v.server=1 is not an option." in said
    assert "--cmdline='p2v.server=HOST" in said
    assert "swordfish" not in said
