"""The documentation says what the code does: generated pages are current, links lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.recording import COLUMNS, FILE, LINES
from tests.screens.pictures import PICTURES

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def test_the_pages_made_from_the_code_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_picture_is_shown_by_a_page_and_made_by_a_command() -> None:
    pictures = {file.name for file in (ROOT / "docs/pictures").iterdir()}
    shown = {name for page in PAGES for name in re.findall(r"\]\((?:docs/)?pictures/([^)]+)\)", page.read_text())}
    assert pictures == shown == {*(f"{name}.svg" for name in PICTURES), FILE.name}


def test_the_recording_is_of_a_whole_conversion() -> None:
    header, *events = map(json.loads, FILE.read_text().splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, COLUMNS, LINES)
    said = "".join(text for _, _, text in events)
    steps = (
        "Test connection",
        "The connection works",
        "Start conversion",
        "Copying disk 1/1",
        "finished successfully",
    )
    assert [said.index(step) for step in steps] == sorted(said.index(step) for step in steps)


def anchors(page: Path) -> set[str]:
    """Those of the headings: lower case, blanks as hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_heading_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text())
    assert not [link for link in links if link[1] not in anchors(page.parent / link[0] if link[0] else page)]


@pytest.mark.parametrize("page", ["troubleshooting.md", "conversion-server.md"])
def test_the_messages_in_the_tables_are_those_of_the_program(page: str) -> None:
    """`...` stands for what is filled in, which messages.txt has in braces."""
    shown = " ".join((ROOT / "docs/messages.txt").read_text().split())
    rows = re.findall(r'^\| "(.*?)"', (ROOT / "docs" / page).read_text(), re.MULTILINE)
    parts = [part.strip(" .,;:") for row in rows for part in row.split("...")]
    assert len(rows) > 10
    assert not [part for part in parts if part not in shown]


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(docs/([^)#]+)", (ROOT / "README.md").read_text()))
    assert {page.name for page in PAGES if page.name != "README.md"} <= linked


def test_every_place_that_the_developers_page_names_is_there() -> None:
    names = re.findall(r"`([\w*/-]+(?:\.py|/))`", (ROOT / "docs/hacking.md").read_text())
    rooms = ("", "p2v_tui", "p2v_tui/session", "tests/unit")
    assert len(names) > 50
    assert not [name for name in names if not any(list((ROOT / room).glob(name)) for room in rooms)]


def test_every_table_and_class_that_the_developers_page_names_is_there() -> None:
    names = set(re.findall(r"`(_?[A-Z]\w*)`", (ROOT / "docs/hacking.md").read_text()))
    sources = [ROOT / "pin_requirements.py", *(ROOT / "p2v_tui").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    code = "\n".join(source.read_text() for source in sources)
    defined = re.findall(r"^class (\w+)|^ *(_?[A-Z]\w*)(?:: .*)? = ", code, re.MULTILINE)
    assert len(names) > 20
    assert names <= {name for found in defined for name in found}
