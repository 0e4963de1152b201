"""Text from the server cannot drive the operator's terminal, whatever bytes it is made of."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2v_tui.session.words.terminal_text import SGR, harmless, plain

# Text that is rich in what escape sequences are made of: plain st.text() would hardly ever form one.
HOSTILE = st.one_of(
    st.text(),
    st.text(alphabet="\x1b[]0123;?mHJ K\\P_^X\x07\x9b\x9d\x90\x9c\r\n\t\x08a"),
    st.lists(
        st.sampled_from(
            ["\x1b", "[", "0;32", "m", "\x1b[0;32m", "\x1b[2J", "\x1b]0;t", "\x07", "\x1b\\", "\x9b", "x"]
        )
    ).map("".join),
)


def controls(text: str) -> list[str]:
    return [character for character in text if unicodedata.category(character) == "Cc" and character != "\t"]


@given(HOSTILE)
@example("\x1b\x1b[31m")
@example("\x1b[3\x071m")
def test_plain_text_holds_no_control_character_but_the_tab(text: str) -> None:
    assert controls(plain(text)) == []


@given(HOSTILE)
@example("\x1b[\x1b[32m2J")
def test_harmless_text_holds_colours_and_no_other_control(text: str) -> None:
    assert controls(SGR.sub("", harmless(text))) == []


@given(HOSTILE)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert harmless(harmless(text)) == harmless(text)


@given(HOSTILE)
def test_plain_is_harmless_without_its_colours(text: str) -> None:
    assert plain(harmless(text)) == plain(text)


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_ordinary_text_passes_unchanged(text: str) -> None:
    assert plain(text) == harmless(text) == text


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[2J",
        "\x1b[10;10H",
        "\x1b[?1049h",
        "\x1b]0;new title\x07",
        "\x1b]52;c;cm0gLXJm\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1bc",
        "\x1b(0",
        "\x9b2J",
        "\x08\x08\x08",
        "\u202e",
    ],
)
def test_what_moves_clears_retitles_or_reverses_is_taken_out(sequence: str) -> None:
    cleaned = harmless(f"before{sequence}after")
    assert cleaned.startswith("before")
    assert cleaned.endswith("after")
    assert not re.search(r"[\x1b\x9b\x08\u202e]", cleaned)


def test_virt_v2vs_colours_are_kept_by_one_and_taken_out_by_the_other() -> None:
    line = "\x1b[0;32m[   0.0] Opening the source\x1b[0m"
    assert harmless(line) == line
    assert plain(line) == "[   0.0] Opening the source"
