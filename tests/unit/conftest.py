"""What holds for all unit tests."""

from __future__ import annotations

from hypothesis import settings

# No deadline for an example: on a busy machine the start of a shell takes as long as it takes, and that is no bug.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
