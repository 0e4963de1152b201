"""Whether Textual still is as `p2v_tui/screens/textual_private.py` takes it to be; says in words what is not.

What fails here after a new Textual is to be mended there; the screens themselves need not be looked at first.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import os
import signal
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar

import pytest
from textual import constants, events
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.drivers.headless_driver import HeadlessDriver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Input, Static

import p2v_tui
from p2v_tui import screens
from p2v_tui.consoles import TEXTUAL_ENVIRONMENT
from p2v_tui.screens.painter import CLEAR, is_frame
from p2v_tui.screens.textual_private import (
    ConsoleDriver,
    HungUp,
    clear_terminal,
    report_mouse,
    run_binding,
    screen_strips,
)
from p2v_tui.screens.widgets import FieldInput

HEIGHT = 10
TEXT = "What is shown"


class Small(App[int]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "press('a')"),
        Binding("f2", "press('2')", priority=True),
    ]
    pressed = ""

    def __init__(self) -> None:
        super().__init__(ansi_color=True)

    def compose(self) -> ComposeResult:
        yield Static(TEXT)
        yield FieldInput(value="secret", password=True, id="password")

    async def action_press(self, key: str) -> None:
        # What is not waited for has not happened when the binding has been run.
        await asyncio.sleep(0)
        self.pressed += key


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the application writes to its terminal, piece by piece."""
    pieces: list[str] = []
    monkeypatch.setattr(HeadlessDriver, "is_headless", False)
    monkeypatch.setattr(HeadlessDriver, "write", lambda _, data: pieces.append(data))
    return pieces


@pytest.fixture
def signals() -> Iterator[None]:
    """Textual's driver takes some."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (Driver, "__init__", ("self", "app", "debug", "mouse", "size")),
        (LinuxDriver, "__init__", ("self", "app", "debug", "mouse", "size")),
        (LinuxDriver, "write", ("self", "data")),
        (LinuxDriver, "stop_application_mode", ("self",)),
        (LinuxDriver, "run_input_thread", ("self",)),
        (LinuxDriver, "process_message", ("self", "message")),
        (LinuxDriver, "_enable_mouse_support", ("self",)),
        (LinuxDriver, "_disable_mouse_support", ("self",)),
        (XTermParser, "__init__", ("self", "debug")),
        (XTermParser, "feed", ("self", "data")),
        (XTermParser, "tick", ("self",)),
        (App, "_check_bindings", ("self", "key", "priority")),
    ],
)
def test_textual_has_what_we_override_or_call(owner: type, name: str, parameters: tuple[str, ...]) -> None:
    found = getattr(owner, name, None)
    assert found is not None, f"Textual's {owner.__name__} has no {name} any more"
    actual = tuple(inspect.signature(found).parameters)
    assert actual == parameters, f"Textual's {owner.__name__}.{name} takes {actual}, and not {parameters}"


@pytest.mark.parametrize("name", TEXTUAL_ENVIRONMENT)
def test_textual_reads_the_environment_that_we_set(name: str) -> None:
    said = f'"{name}"' in inspect.getsource(constants)
    assert said, f"Textual does not read {name} any more: see TEXTUAL_ENVIRONMENT in consoles.py"


async def test_a_frame_is_told_from_a_change(written: list[str]) -> None:
    async with Small().run_test(size=(40, HEIGHT)) as pilot:
        await pilot.pause()
        frames = [piece for piece in written if TEXT in piece]
        assert frames, "Textual paints without Driver.write"
        assert is_frame(frames[0], HEIGHT), f"Textual's frames look otherwise: {frames[0]!r}"
        assert frames[0].count("\n") == HEIGHT - 1, "Textual's frames have other line ends than one between two lines"
        assert frames[0].rpartition("\x1b")[2].endswith("H"), "Textual's frames do not end with the cursor's place"
        written.clear()
        pilot.app.query_one(Static).update("What is new")
        await pilot.pause()
        changes = [piece for piece in written if "new" in piece]
        assert changes, "Textual does not paint a change"
        assert not is_frame(changes[0], HEIGHT), f"Textual paints all for a change: {changes[0]!r}"


async def test_the_terminal_is_cleared_through_the_driver(written: list[str]) -> None:
    async with Small().run_test(size=(40, HEIGHT)) as pilot:
        await pilot.pause()
        written.clear()
        clear_terminal(pilot.app)
        assert written == [CLEAR], "App._driver is not what writes to the terminal any more"


async def test_what_is_on_the_screen_is_read_line_by_line() -> None:
    async with Small().run_test(size=(40, HEIGHT)) as pilot:
        await pilot.pause()
        lines = [strip.text.rstrip() for strip in screen_strips(pilot.app.screen)]
        assert lines[0] == TEXT, "Screen._compositor does not render what is shown"
        assert len(lines) == HEIGHT
        assert any("******" in line for line in lines), "Textual hides a password otherwise than behind bullets"


async def test_a_binding_is_run_to_its_end() -> None:
    async with Small().run_test() as pilot:
        app = pilot.app
        assert isinstance(app, Small)
        app.set_focus(None)
        assert await run_binding(app, "a"), "App._check_bindings does not find a binding"
        assert app.pressed == "a", "App._check_bindings does not wait for the action"
        assert not await run_binding(app, "a", priority=True), "App._check_bindings takes any binding for a first one"
        assert not await run_binding(app, "c")


async def test_a_dialog_leaves_the_keys_of_the_application_that_come_first() -> None:
    async with Small().run_test() as pilot:
        app = pilot.app
        assert isinstance(app, Small)
        await app.push_screen(ModalScreen[None]())
        assert not await run_binding(app, "a"), "A dialog leaves all keys to what is below it"
        assert await run_binding(app, "f2", priority=True), "A dialog keeps the first keys for itself"


@pytest.mark.usefixtures("signals")
async def test_the_driver_reads_keys_drops_noise_and_tells_of_a_hang_up() -> None:
    heard: list[Message] = []

    class Keys(ConsoleDriver):
        def process_message(self, message: Any) -> None:
            heard.append(message)

    class Told(Small):
        def post_message(self, message: Message) -> bool:
            heard.append(message)
            return True

    driver = Keys(Told())
    # Twice: a program that was run outside of the screens had the terminal between the two.
    for _ in range(2):
        heard.clear()
        reading, writing = os.pipe()
        driver.fileno = reading
        os.write(writing, b"a\xff\x1b[A\xc3\xa9")
        os.close(writing)
        try:
            await asyncio.to_thread(driver.run_input_thread)
        finally:
            os.close(reading)
        keys = [message.key for message in heard if isinstance(message, events.Key)]
        assert keys[:2] == ["a", "up"], "Textual's parser reads keys otherwise"
        characters = [message.character for message in heard if isinstance(message, events.Key)]
        assert characters[2:] == ["\N{LATIN SMALL LETTER E WITH ACUTE}"], "Textual's parser reads letters otherwise"
        assert isinstance(heard[-1], HungUp), "A terminal that hangs up is not told of"


@pytest.mark.usefixtures("signals")
async def test_the_driver_writes_what_waits_before_it_leaves_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[str] = []
    monkeypatch.setattr(LinuxDriver, "write", lambda _, data: pieces.append(data))
    monkeypatch.setattr(LinuxDriver, "flush", lambda _: None)
    monkeypatch.setattr(LinuxDriver, "disable_input", lambda _: None)
    driver = ConsoleDriver(Small())
    frame = "\x1b[1;1H" + "\n".join("x" * 79 for _ in range(24)) + "\x1b[1;1H"
    driver.write(frame)
    assert pieces == []
    driver.stop_application_mode()
    assert "x" * 79 in pieces[0], "What waited is not written when the application leaves the terminal"


@pytest.mark.usefixtures("signals")
async def test_the_mouse_can_be_reported_and_not_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[str] = []
    monkeypatch.setattr(LinuxDriver, "write", lambda _, data: pieces.append(data))
    monkeypatch.setattr(LinuxDriver, "flush", lambda _: None)
    app = Small()
    monkeypatch.setattr(app, "_driver", ConsoleDriver(app, mouse=False))
    report_mouse(app, True)
    assert "\x1b[?1000h" in pieces, "Textual does not ask for the mouse"
    pieces.clear()
    report_mouse(app, False)
    assert "\x1b[?1000l" in pieces, "Textual does not leave the mouse alone again"
    pieces.clear()
    report_mouse(app, False)
    assert not pieces, "Textual writes of a mouse that it does not use"


_PRIVATE_MODULES = ("textual._", "textual.driver")
_OURS = Path(p2v_tui.__file__).parents[1]
_MODULES = ("p2v_tui.app", *(f"p2v_tui.screens.{module.name}" for module in iter_modules(screens.__path__)))


def _tree(owner: type) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(owner)))


def _attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def _of_self(node: ast.Attribute) -> bool:
    return ast.unparse(node.value) in {"self", "cls", "super()"}


def _defined(tree: ast.AST) -> set[str]:
    """The names of functions and of what is assigned to, methods and class variables among them."""
    functions = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return functions | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


@cache
def _private_names(owner: type) -> frozenset[str]:
    """The private attributes of a class of Textual's: of the class itself, and of its objects."""
    stored = {node.attr for node in _attributes(_tree(owner)) if isinstance(node.ctx, ast.Store)}
    return frozenset(name for name in stored | set(vars(owner)) if name.startswith("_") and not name.startswith("__"))


def _inherited(owner: type) -> set[str]:
    bases = (base for base in owner.__mro__ if base.__module__.startswith("textual."))
    return {name for base in bases for name in _private_names(base)}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


@pytest.mark.parametrize("module", [module for module in _MODULES if not module.endswith(".textual_private")])
def test_no_class_of_ours_uses_or_hides_a_private_attribute_of_textuals(module: str) -> None:
    for owner in vars(importlib.import_module(module)).values():
        if inspect.isclass(owner) and owner.__module__ == module and (inherited := _inherited(owner)):
            tree = _tree(owner)
            used = {node.attr for node in _attributes(tree) if _of_self(node)} | _defined(tree)
            assert not used & inherited, f"{owner.__name__} takes {used & inherited} from Textual: textual_private.py"


def test_no_other_module_names_a_private_part_of_textual() -> None:
    private = {name for owner in (App, Screen, Widget, Input, Driver, Pilot) for name in _inherited(owner)}
    wrong = []
    for part in ("p2v_tui", "tests", "bench"):
        for path in sorted((_OURS / part).rglob("*.py")):
            if path.stem.endswith("textual_private"):
                continue
            tree = ast.parse(path.read_text())
            # What is defined in the same file, or set on `self`, is the file's own.
            own = _defined(tree) | {node.attr for node in _attributes(tree) if _of_self(node)}
            others = (
                node.attr for node in _attributes(tree) if not _of_self(node) and ast.unparse(node.value) != "os"
            )
            named = sorted(private.intersection(others) - own)
            imported = (name for name in _imported(tree) if name.startswith(_PRIVATE_MODULES))
            wrong += [f"{path.relative_to(_OURS)}: {name}" for name in (*imported, *named)]
    assert not wrong, "Private parts of Textual belong into textual_private.py:\n" + "\n".join(wrong)
