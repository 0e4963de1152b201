"""The looks: what each shows at three sizes, that the colours can be read and mean something, the mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from rich.color import Color, ColorSystem
from rich.segment import Segment
from syrupy.assertion import SnapshotAssertion
from textual.app import App
from textual.events import MouseScrollUp
from textual.widget import Widget

from p2v_tui.screens.dialogs import Dialog
from p2v_tui.screens.look import RICH, Look
from p2v_tui.screens.textual_private import screen_strips
from p2v_tui.screens.widgets import Action, Choice, FormField
from tests.screens import conversion_screen, running_screen
from tests.screens.conftest import ALL_SIZES, screen_lines, screen_text, wait_until
from tests.screens.connection_screen import app_for
from tests.screens.conversion_screen import DB1, MadeUpState
from tests.screens.scenes import SCENES as SCREENS
from tests.screens.scenes import Opened, asked, choosing, connected, copying, ended, summarized
from tests.screens.scripted_conversion import COPYING
from tests.unit.machines import DISKLESS

# The plain look at the other sizes is in the tests of each screen.
CASES = [(Look.DARK, size) for size in ALL_SIZES] + [(Look.PLAIN, "200x60")]


@pytest.mark.parametrize(("look", "size"), CASES)
async def test_the_server_screen(look: Look, size: str, snapshot: SnapshotAssertion) -> None:
    async with connected(look, size) as pilot:
        assert screen_text(pilot.app) == snapshot


@pytest.mark.parametrize(("look", "size"), CASES)
async def test_the_conversion_screen(look: Look, size: str, snapshot: SnapshotAssertion) -> None:
    async with choosing(look, size) as pilot:
        assert screen_text(pilot.app) == snapshot


@pytest.mark.parametrize(("look", "size"), CASES)
async def test_the_summary(look: Look, size: str, snapshot: SnapshotAssertion) -> None:
    async with summarized(look, size) as pilot:
        assert screen_text(pilot.app) == snapshot


@pytest.mark.parametrize(("look", "size"), CASES)
async def test_the_running_screen(look: Look, size: str, snapshot: SnapshotAssertion) -> None:
    async with copying(look, size) as pilot:
        assert screen_text(pilot.app) == snapshot


@pytest.mark.parametrize(("look", "size"), CASES)
async def test_the_end(look: Look, size: str, snapshot: SnapshotAssertion) -> None:
    async with ended(look, size) as pilot:
        assert screen_text(pilot.app) == snapshot


@pytest.mark.parametrize(("look", "size"), CASES)
async def test_a_question(look: Look, size: str, snapshot: SnapshotAssertion) -> None:
    async with asked(look, size) as pilot:
        assert screen_text(pilot.app) == snapshot


# Colours.


def luminance(color: Color) -> float:
    """WCAG 2.1, relative luminance."""
    channels = [value / 255 for value in color.get_truecolor()]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Color, other: Color) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def is_text(segment: Segment) -> bool:
    """Whether there is something to read: not only blanks, frames, bars and graphs."""
    drawn = range(ord("\N{BOX DRAWINGS LIGHT HORIZONTAL}"), ord("\N{BLACK SQUARE}"))
    return any(not character.isspace() and ord(character) not in drawn for character in segment.text)


def texts(app: App[int]) -> Iterator[Segment]:
    """What can be read on the screen; of a dialog only itself, not what is in its shade."""
    dialog = isinstance(app.screen, Dialog)
    region = app.screen.query_one("Question > Vertical").region if dialog else app.screen.region
    for y, strip in enumerate(screen_strips(app.screen)):
        if region.y <= y < region.bottom:
            yield from filter(is_text, strip.crop(region.x, region.right))


@pytest.mark.parametrize("look", RICH)
@pytest.mark.parametrize("opened", SCREENS)
async def test_every_text_can_be_read_on_what_is_behind_it(opened: Callable[[Look, str], Opened], look: Look) -> None:
    """As WCAG AA asks, in true colour and in 256 colours."""
    async with opened(look, "200x60") as pilot:
        poor = []
        for segment in texts(pilot.app):
            assert segment.style is not None and segment.style.color and segment.style.bgcolor, segment
            assert not segment.style.dim and not segment.style.reverse, segment
            pair = (segment.style.color, segment.style.bgcolor)
            fewer = tuple(color.downgrade(ColorSystem.EIGHT_BIT) for color in pair)
            if min(contrast(*pair), contrast(*fewer)) < 4.5:
                poor.append((segment.text, contrast(*pair), contrast(*fewer)))
        assert not poor


def colour_of(app: App[int], text: str) -> str | None:
    """The colour of the first text that is or begins so."""
    for strip in screen_strips(app.screen):
        for segment in strip:
            if segment.text.strip().startswith(text) and segment.style and segment.style.color:
                return segment.style.color.name
    return None


async def test_a_check_has_the_colour_of_its_verdict() -> None:
    palette = Look.DARK.palette
    async with connected(Look.DARK) as pilot:
        assert colour_of(pilot.app, Look.DARK.glyphs.marks["[ ok ]"]) == palette.good
        assert colour_of(pilot.app, Look.DARK.glyphs.marks["[warn]"]) == palette.caution
        assert colour_of(pilot.app, Look.DARK.glyphs.marks["[note]"]) == palette.remark


async def test_the_state_of_a_disk_has_a_colour() -> None:
    palette = Look.DARK.palette
    async with conversion_screen.opened(size="132x43", look=Look.DARK) as it:
        assert colour_of(it.app, "boots") == palette.good
        await it.switch("sda")
        await wait_until(it.pilot, lambda: colour_of(it.app, "left out") == palette.muted)
        # The volume group is on both.
        assert colour_of(it.app, "incomplete") == palette.caution


async def test_how_it_ended_has_a_colour() -> None:
    async with ended(Look.DARK) as pilot:
        assert colour_of(pilot.app, "Outcome") == Look.DARK.palette.good


async def test_the_plain_look_has_no_colour_of_its_own() -> None:
    async with connected(Look.PLAIN) as pilot:
        styles = [segment.style for strip in screen_strips(pilot.app.screen) for segment in strip if segment.style]
        colours = {color.name for style in styles for color in (style.color, style.bgcolor) if color}
        assert colours == {"default"}


# Changing the look.


async def test_the_colours_go_round_and_the_rich_look_comes_back_with_them() -> None:
    app = app_for("", look=Look.DARK)
    async with app.run_test(size=(80, 24)) as pilot:
        seen = []
        for key in ("f7", "ctrl+y", "f4", "f7", "ctrl+t", "f7"):
            await pilot.press(key)
            seen.append(app.look)
        assert seen == [Look.LIGHT, Look.CONTRAST, Look.PLAIN, Look.PLAIN, Look.CONTRAST, Look.DARK]


@pytest.mark.parametrize("opened", SCREENS)
async def test_plain_is_the_same_whether_it_was_rich_before(opened: Callable[[Look, str], Opened]) -> None:
    async with opened(Look.PLAIN, "80x24") as pilot:
        plain = screen_text(pilot.app)
        await pilot.press("f4")
        await pilot.pause()
        assert not screen_text(pilot.app).isascii()
        await pilot.press("f4")
        await pilot.pause()
        await wait_until(pilot, lambda: screen_text(pilot.app) == plain)


async def test_a_device_that_was_named_and_is_not_there_is_a_row_of_the_table() -> None:
    state = MadeUpState(DB1, words="p2v.server=conv.example.com p2v.disks=sda,sdx")
    async with conversion_screen.opened(state, "132x43", Look.DARK) as it:
        assert "sdx  not found on this machine" in screen_text(it.app)


async def test_a_machine_with_nothing_has_no_titles_of_columns() -> None:
    async with conversion_screen.opened(MadeUpState(DISKLESS), "132x43", Look.DARK) as it:
        assert "None was found." in screen_text(it.app)
        assert "What is on it" not in screen_text(it.app)


async def test_what_the_columns_cut_is_told_beside_them() -> None:
    async with choosing(Look.DARK, "200x60") as pilot:
        side = [line[155:] for line in screen_lines(pilot.app)]
        assert any("Serial: Z3TA1B2C" in line for line in side)
        assert any('sda2  1.1 GB  ext4 "boot"' in line for line in side)


# The mouse.


async def test_a_click_does_what_the_key_does() -> None:
    async with conversion_screen.opened(size="132x43", look=Look.DARK) as it:
        sda = it.toggle("sda")
        assert await it.pilot.click(sda)
        assert not sda.value and sda.has_focus
        mode = it.screen.query_one("#mode", Choice)
        before = mode.value
        assert await it.pilot.click(mode, offset=(37, 0))
        assert mode.value != before
        assert await it.pilot.click(mode, offset=(27, 0))
        assert mode.value == before
        assert await it.pilot.click(it.screen.query_one("#storage", FormField).input)
        assert it.focused.id == "storage-input"
        assert await it.pilot.click(it.screen.query_one("#start", Action))
        await wait_until(it.pilot, lambda: it.app.started)


async def test_a_key_of_the_last_line_can_be_clicked() -> None:
    app = app_for("", look=Look.DARK)
    async with app.run_test(size=(80, 24)) as pilot:
        assert await pilot.click(".keys", offset=(screen_lines(app)[-1].index("Help"), 0))
        await wait_until(pilot, lambda: isinstance(app.screen, Dialog))


async def test_the_wheel_moves_the_log() -> None:
    async with running_screen.opened(look=Look.DARK) as screen:
        await screen.hear(*COPYING)
        screen.log.post_message(wheel_up(screen.log))
        await screen.until(lambda: not screen.log.following)


def wheel_up(widget: Widget) -> MouseScrollUp:
    return MouseScrollUp(widget, 1, 1, 0, -1, 0, False, False, False)
