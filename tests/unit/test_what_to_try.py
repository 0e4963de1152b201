"""What is advised after virt-v2v's failures, and that the documentation knows the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.session.conversion.failure_reason import Reason
from p2v_tui.session.conversion.outcome import failed
from p2v_tui.session.conversion.what_to_try import ADVICE, what_to_try

TROUBLESHOOTING = Path(__file__).parents[2] / "docs/troubleshooting.md"


@pytest.mark.parametrize("words", [words for words, _ in ADVICE])
def test_the_documentation_has_the_same_failures(words: str) -> None:
    assert f"| {words}" in TROUBLESHOOTING.read_text()


def test_a_full_disk_is_looked_at_on_the_server() -> None:
    error = failed(1, Reason("qemu-img: error while writing: No space left on device"), "The log is there.", "/tmp")
    assert error.advice.startswith("The output directory or") and error.advice.endswith("The log is there.")
    assert "df -h" in error.advice


def test_words_that_are_not_known_bring_no_advice() -> None:
    assert what_to_try("nobody has said this before") == ""
    assert failed(1, Reason("nobody has said this before"), "The log is there.", "/tmp").advice == "The log is there."
