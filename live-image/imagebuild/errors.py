"""The one failure that the build command reports: what happened, and what to do about it."""

from __future__ import annotations


class BuildError(Exception):
    """message: sentences that name the input concerned; advice: what to do next, if anything."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
