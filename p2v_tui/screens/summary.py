"""The screen between the second and the third: what is going to be done, for a person to check, and Start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll

from p2v_tui.front.summary import Part, as_text, summary
from p2v_tui.hwprobe import Machine
from p2v_tui.screens.base import BaseScreen
from p2v_tui.screens.labels import on_screen
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action, Help, Line, Panel, Row, more_of
from p2v_tui.session.plan.plan import Plan


class SummaryText(Line):
    """The summary, wrapped to the width that it has."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__(id="summary")
        self._parts = parts

    def on_resize(self) -> None:
        self.show(as_text(self._parts, self.size.width))


class SummaryScreen(BaseScreen):
    """plan: what Start starts. machine: as it was when the plan was made."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "scroll_text(1)", show=False),
        Binding("pageup", "scroll_text(-1)", show=False),
    ]
    CSS = """
    SummaryScreen #summary-panel { height: 1fr; }
    SummaryScreen #summary-scroll { height: 1fr; }
    SummaryScreen #summary { height: auto; }
    SummaryScreen #more { height: 1; }
    /* The text is wrapped before Textual knows whether it needs a scrollbar. */
    .-rich SummaryScreen #summary-scroll { scrollbar-gutter: stable; }
    """
    step = 1
    more_keys = "PageUp, PageDown     the page before, the next page"

    def __init__(self, state: State, plan: Plan, machine: Machine) -> None:
        super().__init__(state)
        parts = summary(plan, machine, state.checks, state.paces(plan))
        self._parts = [Part(part.name, tuple(map(on_screen, part.lines))) for part in parts]

    @property
    def heading(self) -> str:
        return "Summary: nothing has been started yet"

    def compose(self) -> ComposeResult:
        yield self.title_line()
        with (
            Panel("Summary", titled=False, id="summary-panel"),
            VerticalScroll(id="summary-scroll", can_focus=False),
        ):
            yield SummaryText(self._parts)
        yield Row(id="more")
        with Horizontal(classes="buttons"):
            yield Action(
                "Start",
                id="start",
                help=Help(
                    "Start", "Starts the conversion. It only reads the disks of this machine, and can be cancelled."
                ),
            )
            yield Action(
                "Back", id="back", help=Help("Back", "Returns to your choices, which are kept. Nothing was started.")
            )
        yield self.keys_line()

    def on_mount(self) -> None:
        for name in ("scroll_y", "virtual_size"):
            self.watch(self.query_one("#summary-scroll"), name, self._show_more_later, init=False)
        self.query_one("#start").focus()

    def on_resize(self) -> None:
        self._show_more_later()

    def _show_more_later(self) -> None:
        self.call_after_refresh(self._show_more)

    def _show_more(self) -> None:
        self.query_one("#more", Row).show(more_of(self.query_one("#summary-scroll")))

    def action_scroll_text(self, direction: int) -> None:
        text = self.query_one("#summary-scroll", VerticalScroll)
        text.scroll_relative(y=direction * max(1, text.size.height - 1), animate=False)

    @on(Action.Pressed, "#start")
    async def _start_pressed(self) -> None:
        # Back on the running screen leads to the choices, not here.
        self.app.pop_screen()
        await self.app.run_action("app.start_conversion")

    @on(Action.Pressed, "#back")
    async def _back_pressed(self) -> None:
        await self.action_back()
