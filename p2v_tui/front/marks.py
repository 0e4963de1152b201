"""The marks at the beginning of a line: a step's progress or a check's verdict. In ASCII, all of one width."""

from __future__ import annotations

from typing import Final

from p2v_tui.session.words.checks import Verdict

TO_COME: Final = "[    ]"
CURRENT: Final = "[ .. ]"
DONE: Final = "[ ok ]"
LEFT_OUT: Final = "[ -- ]"
FAILED: Final = "[fail]"

# The worst first.
OF_VERDICT: Final = {
    Verdict.REFUSED: FAILED,
    Verdict.WARNING: "[warn]",
    Verdict.NOTED: "[note]",
    Verdict.PASSED: DONE,
}
