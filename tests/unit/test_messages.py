"""The texts that operators read: all of them are found in the source, fit the width, and are plain English."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

# German word order and words of its own, which a native speaker does not use so.
STILTED = (
    r"(?<!there )\b(?:is|are) no (?:valid |known )?(?:SSH |network |Unix )?"
    r"(?:terminal|name|directory|line|volume|character|UTF-8|disk of|one of)",
    r"\bin spite of\b",
    r"\bcalled so\b",
    r"\bcannot be had\b",
    r"\bcan be had\b",
    r"\bmend\b",
    r"\bfrom over there\b",
    r"\bnothing against it\b",
    r"\bit is none\b",
    r"\bis none of\b",
    r"\bgoes on with it\b",
    r"\bof no use\b",
    r"\bwhat is known of\b",
    r"\bswitched? off the machine\b",
    r"\bread-only only\b",
    r"\ba \w+ or two\b",
    r"\bthere by sudo\b",
)


def _messages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("messages", ROOT / "docs" / "messages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MESSAGES = _messages()
SHOWN = {
    (path.relative_to(ROOT).as_posix(), text)
    for path in sorted((ROOT / "p2v_tui").rglob("*.py"))
    for block in MESSAGES.texts(path)
    for text in block
}


def test_the_page_of_all_messages_has_80_columns_and_every_text() -> None:
    page = MESSAGES.page()
    assert max(map(len, page.splitlines())) <= MESSAGES.COLUMNS
    # Without spaces and line breaks: a long path may be broken anywhere.
    letters = "".join(page.split())
    for where, text in SHOWN:
        if Path(where).name not in MESSAGES.SILENT:
            assert "".join(text.split()) in letters, (where, text)


@pytest.mark.parametrize(
    "name", ["P2VError", "SettingsError", "ConnectionFailed", "PreflightRefused", "ConversionFailed"]
)
def test_no_error_is_missed(name: str) -> None:
    """Whatever is given to an error as a literal is among the texts."""
    shown = {text for _, text in SHOWN}
    for path in (ROOT / "p2v_tui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                given = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
                assert not [text for text in given if " " in text and text not in shown]


@pytest.mark.parametrize("pattern", STILTED)
def test_no_message_has_wording_that_no_native_speaker_would_use(pattern: str) -> None:
    assert not [(where, text) for where, text in sorted(SHOWN) if re.search(pattern, text, re.IGNORECASE)]
