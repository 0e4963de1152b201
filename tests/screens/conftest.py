"""What the tests of the screens share: the screen as text, snapshots of it as plain files, waiting for something."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation
from textual.app import App
from textual.pilot import Pilot

from p2v_tui.screens.textual_private import screen_strips
from p2v_tui.session.plan import volume_keys

SIZES = {"80x24": (80, 24), "132x43": (132, 43)}
# With the size at which the looks are compared, too.
ALL_SIZES = {**SIZES, "200x60": (200, 60)}
_TRIES = 400


def cells(size: str) -> tuple[int, int]:
    """Columns and lines of a size such as 80x24."""
    columns, _, lines = size.partition("x")
    return int(columns), int(lines)


def screen_lines(app: App[int]) -> list[str]:
    """What stands on the screen, line by line, without the blanks at the end."""
    return [strip.text.rstrip() for strip in screen_strips(app.screen)]


def screen_text(app: App[int]) -> str:
    return "\n".join(screen_lines(app)) + "\n"


async def wait_until(pilot: Pilot[int], condition: Callable[[], object]) -> None:
    """Lets the application work until the condition holds; fails when it never does."""
    for _ in range(_TRIES):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"It never came to be. The screen:\n{screen_text(pilot.app)}")


@pytest.fixture(autouse=True)
def no_disk_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of made-up disks are not tried on real ones that have the same names."""
    monkeypatch.setattr(volume_keys, "NODES", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick loop has the tests that compare a whole screen; the others that open the application take as long."""
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents or not isinstance(item, pytest.Function):
            continue
        if inspect.iscoroutinefunction(item.function) and "snapshot" not in item.fixturenames:
            item.add_marker(pytest.mark.application)


class ScreenFile(SingleFileSnapshotExtension):
    """A snapshot is a text file that a person can read, tests/snapshots/<test module>/<test>.txt."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        module = Path(test_location.filepath)
        return str(module.parents[1] / "snapshots" / module.stem)

    def serialize(self, data: object, **_: object) -> str:
        return str(data)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(ScreenFile)
