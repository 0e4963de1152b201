"""The fields' labels in the texts of the screens."""

from __future__ import annotations

import pytest

from p2v_tui.config import BY_KEY
from p2v_tui.errors import SettingsError
from p2v_tui.screens.labels import LABELS, on_screen


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Check p2v.port, and on the server", 'Check "SSH port", and on the server'),
        ("Run virt-v2v with sudo: p2v.sudo.", 'Run virt-v2v with sudo: "Use sudo when running virt-v2v".'),
        ("another name, as in p2v.name=db1-2. Accept", 'another name, as in "Guest name": db1-2. Accept'),
        ('another name, as in p2v.name="my db-2".', 'another name, as in "Guest name": "my db-2".'),
        ("p2v.os=/srv/vm.d;", '"Storage (-os)": /srv/vm.d;'),
        ("on itself (p2v.server=kvm1) and", 'on itself ("Conversion server": kvm1) and'),
        ("Name it: p2v.output.storage=/x", 'Name it: "Storage (-os)": /x'),
    ],
)
def test_a_setting_is_called_by_the_label_of_its_field(text: str, shown: str) -> None:
    assert on_screen(text) == shown


@pytest.mark.parametrize(
    "text", ["p2v.accept_warnings=space starts despite it.", "p2v.key=sda2:URL", "p2v.tui", "p2v-tui", "p2v.nosuch=x"]
)
def test_what_has_no_field_keeps_its_name(text: str) -> None:
    assert on_screen(text) == text


@pytest.mark.parametrize("name", LABELS)
def test_a_wrong_value_is_told_with_the_label(name: str) -> None:
    declared = BY_KEY[f"p2v.{name}"]
    try:
        declared.parse("\x07")
    except SettingsError as error:
        assert "p2v." not in on_screen(error.message)
        assert f'"{LABELS[declared.name]}"' in on_screen(error.message)
