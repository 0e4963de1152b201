"""What the lab says while it builds."""

from __future__ import annotations

import io
import re
import threading

from tests.lab.debian import signs_of_life


class Stream(io.StringIO):
    """Tells when it was written to for the third time: the beginning, and two signs of life."""

    def __init__(self) -> None:
        super().__init__()
        self.third = threading.Event()

    def flush(self) -> None:
        if self.getvalue().count("\n") >= 3:
            self.third.set()


def test_a_long_build_says_that_it_goes_on() -> None:
    stream = Stream()
    with signs_of_life("The guest disk is made once, and then kept", stream, interval=0.01):
        assert stream.third.wait(60)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "The guest disk is made once, and then kept ..."
    assert re.fullmatch(r"\.\.\. \d+ s so far", lines[1])
