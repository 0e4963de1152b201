"""The dialog that asks where a file is kept, and writes or reads it there.

It stays open until that has worked: what was typed can be corrected, and meanwhile nothing else is done that needs
the connection to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.widgets import Input

from p2v_tui.errors import Cancelled, P2VError
from p2v_tui.front.jobs import AwaitedJob
from p2v_tui.front.kept_file import Exists, Kept, KeptFile, Means, save, stick_line
from p2v_tui.front.last_places import Kind, Place
from p2v_tui.hwprobe.sticks import Stick, find_sticks
from p2v_tui.screens.dialogs import Answer, Dialog, Question, error_dialog, is_open
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Choice, FormField, Help, Line
from p2v_tui.session.words.cancellation import Cancellation

Result = TypeVar("Result")
_LABEL_WIDTH: Final = 18
_WHERE: Final = Help(
    "Where",
    "this machine: a directory or a file, such as one on a stick that you have mounted.\n"
    "USB stick: one that is plugged in and not in use. It is mounted for just this file, and unmounted again. Disks "
    "that are built in, and those that are to be converted, are never written to.\n"
    "URL: a web server. It is written to by HTTP PUT.\n"
    "conversion server: a file in the home directory of the account there, over the connection that is open. It is "
    "offered when the connection is tested and no conversion needs it.",
)
_STICK_HELP: Final = Help(
    "Stick", "The file systems on the sticks that are plugged in. To look again, choose USB stick once more."
)
_FIELDS: Final = {
    Kind.HERE: ("Directory or file", "A path that starts with /. A directory must exist: the file is made in it."),
    Kind.STICK: ("File on the stick", "Its name; with a directory of the stick before it, that must exist."),
    Kind.WEB: (
        "URL",
        "https://HOST/DIRECTORY/ or https://HOST/FILE, or https://USER:PASSWORD@HOST/FILE. https is never left for "
        "http. Over http, everybody on the way can read the file.",
    ),
    Kind.SERVER: ("File name", "The name of a file in the home directory of the account there."),
}


class PlaceDialog(Question[Result | None]):
    """Answers what `work` returns; None when the operator went back.

    verb: the button, as in Save; doing: what is said meanwhile. work: writes or reads at a place, in a thread; it is
    told whether it may replace what is there, and raises Exists to have that asked. text_for: what to propose for a
    kind of place. means: by which a place can be reached.
    """

    def __init__(
        self,
        state: State,
        title: str,
        text: str,
        *,
        verb: str,
        doing: str,
        work: Callable[[Place, bool, Cancellation], Result],
        text_for: Callable[[Kind], str],
        means: Means,
    ) -> None:
        answers = [
            Answer[Result | None]("no", "Back", None, "Goes back. While something is under way, it is stopped."),
            Answer[Result | None]("yes", verb, None, text),
        ]
        super().__init__(title, text, *answers, escape=None)
        self._state = state
        self._doing = doing
        self._work = work
        self._taken = means.taken
        self._sticks: dict[str, Stick] = {}
        self._job: AwaitedJob[Result] | None = None
        self._result: Result | None = None
        kinds = [kind for kind in Kind if means.server or kind is not Kind.SERVER]
        self._kind = state.places.kind if state.places.kind in kinds else Kind.HERE
        self._texts = {kind: text_for(kind) for kind in kinds}
        values = [kind.value for kind in kinds]
        self._where = Choice(
            "Where", values, id="where", help=_WHERE, value=self._kind.value, label_width=_LABEL_WIDTH
        )
        self._stick = Choice("Stick", (), id="stick", help=_STICK_HELP, value="", label_width=_LABEL_WIDTH)
        self._field = FormField("", id="text", label_width=_LABEL_WIDTH, help=Help("", ""))
        self._status = Line("", id="place-status")

    def compose_fields(self) -> ComposeResult:
        yield self._where
        yield self._stick
        yield self._field
        yield self._status

    def on_mount(self) -> None:
        self._show_kind()
        # The question's own focus comes after this.
        self.call_later(self._field.input.focus)

    def _show_kind(self) -> None:
        label, help = _FIELDS[self._kind]
        self._field.set_label(label)
        self._field.help = Help(label, f"{help}\n\nEnter: {self._answers[1].label}.")
        self._field.value = self._texts[self._kind]
        self._stick.display = self._kind is Kind.STICK
        self._say("")
        if self._kind is Kind.STICK:
            self.run_worker(self._look_for_sticks(), exclusive=True, group="sticks")

    def _say(self, text: str) -> None:
        self._status.display = bool(text)
        self._status.show(text)

    @on(Choice.Changed, "#where")
    def _another_kind(self, message: Choice.Changed) -> None:
        self._texts[self._kind] = self._field.value
        self._kind = Kind(message.value)
        self._show_kind()

    async def _look_for_sticks(self) -> None:
        self._say("Looking for sticks...")
        try:
            found = await self._add(AwaitedJob("sticks", lambda *_: find_sticks(self._taken), wanted=self._is_there))
        except P2VError as error:
            self._say(f"{error.message} {error.advice}")
            return
        self._sticks = {stick_line(stick): stick for stick in found}
        if (last := self._state.places.stick) in found and last is not None and not self._stick.value:
            self._stick.value = stick_line(last)
        self._stick.set_options(tuple(self._sticks))
        self._stick.refresh(layout=True)
        nothing = "No stick with a file system was found. Plug one in, then choose USB stick once more."
        self._say("" if found else nothing)

    def _is_there(self) -> bool:
        return is_open(self)

    def _add(self, job: AwaitedJob[Any]) -> AwaitedJob[Any]:
        return self._state.jobs.add(job)

    # Writing or reading.

    def choose(self, answer: Answer[Result | None]) -> None:
        if answer.id == "yes":
            self._start(replace=False)
        else:
            self.action_escape()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._start(replace=False)

    def action_escape(self) -> None:
        if self._job is not None:
            self._job.cancel()
        else:
            self.dismiss(None)

    def _start(self, *, replace: bool) -> None:
        if self._job is not None:
            return
        stick = self._sticks.get(self._stick.value) if self._kind is Kind.STICK else None
        place = Place(self._kind, self._field.value, stick)
        self._job = AwaitedJob(
            "kept file", lambda _, cancellation: self._work(place, replace, cancellation), wanted=self._is_there
        )
        self._add(self._job)
        self._say(f"{self._doing} Esc stops it.")
        self.run_worker(self._end(self._job))

    async def _end(self, job: AwaitedJob[Result]) -> None:
        try:
            result = await job
        except Cancelled:
            self._say("Stopped. What was under way may have been done all the same.")
        except Exists as error:
            self._say("")
            self._ask_whether_to_replace(error)
        except P2VError as error:
            self._say("")
            self.app.push_screen(error_dialog(error, labels=False))
        else:
            self._result = result
            self._close()
        finally:
            self._job = None

    @on(events.ScreenResume)
    def _close(self) -> None:
        """Not below another dialog, such as that of F10: Textual would take that one away."""
        if self.is_active and self._result is not None:
            self.dismiss(self._result)

    def _ask_whether_to_replace(self, error: Exists) -> None:
        def decide(answer: bool | None) -> None:
            if answer:
                self._start(replace=True)

        self.app.push_screen(Dialog(error.title, error.message, yes="Replace it", no="No"), decide)


class SaveDialog(PlaceDialog[Kept]):
    """Saves a file. text: what it holds. taken: the names of the disks that are to be converted."""

    def __init__(self, state: State, title: str, text: str, file: KeptFile, taken: Collection[str]) -> None:
        means = Means(state.idle_server, taken)
        super().__init__(
            state,
            title,
            text,
            verb="Save",
            doing="Saving...",
            work=lambda place, replace, cancellation: save(file, place, means, cancellation, replace=replace),
            text_for=lambda kind: state.places.to_save(kind, file.name),
            means=means,
        )
