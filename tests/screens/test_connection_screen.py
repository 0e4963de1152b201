"""The connection screen: what its fields do, and the test of the connection against a real sshd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual import events
from textual.pilot import Pilot

from p2v_tui import cmdline
from p2v_tui.app import P2VTui
from p2v_tui.errors import Cancelled, PreflightRefused
from p2v_tui.screens.connection import host_key_dialog
from p2v_tui.screens.look import Look
from p2v_tui.screens.state import State
from p2v_tui.screens.widgets import Action, FormField, Line, Toggle
from p2v_tui.session.ssh.errors import password_refused
from p2v_tui.session.words.checks import Check, Verdict
from p2v_tui.session.words.events import Checked, ConnectionStep, StepDone, StepStarted
from tests.lab.conversion_server import ConversionServer, Identity, identity
from tests.lab.ports import closed_port, silent_port
from tests.screens.conftest import SIZES, screen_text, wait_until
from tests.screens.connection_screen import FINGERPRINT, STEPS, app_for, end, hear, screen_of
from tests.screens.judged import FOUND


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="module")
def server(key: Identity) -> Iterator[ConversionServer]:
    with ConversionServer(authorized=[key.public_key]) as made:
        yield made


def at(server: ConversionServer, key: Identity) -> str:
    return f"p2v.server={server.host} p2v.port={server.port} p2v.identity={key.url}"


def status(app: P2VTui) -> str:
    return app.screen.query_one("#status", Line).text


async def press_action(pilot: Pilot[int], name: str) -> None:
    pilot.app.screen.query_one(f"#{name}", Action).focus()
    await pilot.press("enter")


async def succeed(pilot: Pilot[int]) -> None:
    """Tests the connection, accepting the host key by the keyboard."""
    await press_action(pilot, "test")
    await wait_until(pilot, lambda: "Is this the conversion server?" in screen_text(pilot.app))
    await pilot.press("right", "enter")
    await wait_until(pilot, lambda: not pilot.app.screen.query_one("#next", Action).disabled)


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_as_it_opens(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("")
    async with app.run_test(size=SIZES[size]):
        assert screen_text(app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_filled_from_the_kernel_command_line(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("p2v.server=conv.example.com p2v.port=2022 p2v.username=conv p2v.password=secret p2v.sudo")
    async with app.run_test(size=SIZES[size]):
        assert "secret" not in screen_text(app)
        assert screen_text(app) == snapshot


async def test_enter_in_a_field_goes_on_to_the_next_one() -> None:
    app = app_for("")
    async with app.run_test(size=SIZES["80x24"]) as pilot:
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.focused is not None and app.focused.id == "port-input")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", ["f1", "ctrl+w"])
async def test_help_is_about_the_focused_field(size: str, keys: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("")
    async with app.run_test(size=SIZES[size]) as pilot:
        await pilot.press("down", keys)
        await pilot.pause()
        assert "| SSH port " in screen_text(app)
        assert "On the kernel command line: p2v.port" in screen_text(app)
        assert screen_text(app) == snapshot(name=size)


@pytest.mark.parametrize("size", SIZES)
async def test_the_about_dialog(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("")
    async with app.run_test(size=SIZES[size]) as pilot:
        await press_action(pilot, "more")
        await wait_until(pilot, lambda: "Load settings" in screen_text(app))
        await pilot.press("right", "right", "enter")
        await wait_until(pilot, lambda: "About p2v-tui" in screen_text(app))
        assert screen_text(app) == snapshot


async def test_the_rich_look_is_a_key_away_and_back() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        await press_action(pilot, "more")
        await pilot.pause()
        assert screen_text(app).isascii()
        await pilot.press("ctrl+t")
        await pilot.pause()
        assert "╭" in screen_text(app)
        await pilot.press("f4")
        await pilot.pause()
        assert screen_text(app).isascii()


async def test_password_and_identity_exclude_each_other() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        password, key_url = (app.screen.query_one(name, FormField) for name in ("#password", "#identity"))
        password.input.focus()
        await pilot.press("x")
        assert key_url.input.disabled
        await pilot.press("backspace")
        assert not key_url.input.disabled
        key_url.input.focus()
        await pilot.press("f")
        assert password.input.disabled


async def test_sudo_is_off_limits_for_root() -> None:
    app = app_for("p2v.username=roo")
    async with app.run_test(size=(80, 24)) as pilot:
        sudo = app.screen.query_one("#sudo", Toggle)
        assert not sudo.disabled
        app.screen.query_one("#username", FormField).input.focus()
        await pilot.press("end", "t")
        assert sudo.disabled


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("", "server-input"),
        ("p2v.server=nosuch.invalid p2v.password=x", "server-input"),
    ],
)
async def test_an_error_puts_the_focus_on_the_field_that_caused_it(words: str, field: str) -> None:
    app = app_for(words)
    async with app.run_test(size=(80, 24)) as pilot:
        await press_action(pilot, "test")
        await wait_until(pilot, lambda: app.focused is not None and app.focused.id == field)
        assert '"Conversion server"' in status(app) or "nosuch.invalid" in status(app)


async def test_an_error_stands_until_a_field_is_edited() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        await press_action(pilot, "test")
        await wait_until(pilot, lambda: "is empty" in status(app))
        await pilot.press("x")
        await wait_until(pilot, lambda: status(app).startswith("Fill in the fields"))


async def test_a_wrong_port_is_named_and_focused() -> None:
    app = app_for("p2v.server=127.0.0.1")
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.query_one("#port", FormField).value = "65536"
        await press_action(pilot, "test")
        assert app.focused is not None
        assert app.focused.id == "port-input"
        assert "1 to 65535" in status(app)


async def test_a_new_test_leaves_the_title_where_it_is() -> None:
    app = app_for("p2v.server=127.0.0.1")
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.query_one("#port", FormField).value = "65536"
        await press_action(pilot, "test")
        await wait_until(pilot, lambda: "1 to 65535" in status(app))
        assert "Conversion server (1 of 3)" in screen_text(app).splitlines()[0]


async def test_a_field_that_is_not_used_says_so() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "(root needs none)" in screen_text(app)
        app.screen.query_one("#password", FormField).value = "x"
        await wait_until(pilot, lambda: "SSH identity (unused):" in screen_text(app))
        app.screen.query_one("#password", FormField).value = ""
        await wait_until(pilot, lambda: "unused" not in screen_text(app))
        app.screen.query_one("#identity", FormField).value = "file:///x"
        await wait_until(pilot, lambda: "Password (unused):" in screen_text(app))


@pytest.mark.parametrize("size", SIZES)
async def test_a_refused_connection(size: str) -> None:
    with closed_port() as port:
        app = app_for(f"p2v.server=127.0.0.1 p2v.port={port} p2v.password=x")
        async with app.run_test(size=SIZES[size]) as pilot:
            await press_action(pilot, "test")
            await wait_until(pilot, lambda: "refuses connections" in status(app))
            await wait_until(pilot, lambda: "[fail] network: Connecting to 127.0.0.1" in screen_text(app))
            await wait_until(pilot, lambda: app.focused is not None and app.focused.id == "port-input")


async def test_the_test_can_be_interrupted() -> None:
    with silent_port() as port:
        app = app_for(f"p2v.server=127.0.0.1 p2v.port={port} p2v.password=x")
        async with app.run_test(size=(80, 24)) as pilot:
            await press_action(pilot, "test")
            await wait_until(pilot, lambda: "[ .. ] network: Connecting to 127.0.0.1" in screen_text(app))
            assert app.screen.query_one("#test", Action).label == "Stop the test"
            await pilot.press("enter")
            await wait_until(pilot, lambda: "Cancelled" in status(app))


@pytest.mark.integration
@pytest.mark.parametrize("size", SIZES)
async def test_a_successful_test_opens_next_and_an_edit_closes_it(
    size: str, server: ConversionServer, key: Identity
) -> None:
    app = app_for(at(server, key))
    async with app.run_test(size=SIZES[size]) as pilot:
        assert app.screen.query_one("#next", Action).disabled
        await succeed(pilot)
        shown = screen_text(app)
        for words in (
            "[ ok ] network",
            f"[ ok ] host key: {server.fingerprint}",
            "[ ok ] login: as root",
            "[ ok ] virt-v2v: 2",
        ):
            assert words in shown
        assert app.state.server is not None
        app.screen.query_one("#port", FormField).input.focus()
        await pilot.press("end", "1")
        await wait_until(pilot, lambda: app.screen.query_one("#next", Action).disabled)
        assert app.state.server is None


@pytest.mark.integration
async def test_an_accepted_host_key_is_not_asked_for_again(server: ConversionServer, key: Identity) -> None:
    app = app_for(at(server, key))
    async with app.run_test(size=(80, 24)) as pilot:
        await succeed(pilot)
        await press_action(pilot, "test")
        await wait_until(pilot, lambda: not app.screen.query_one("#next", Action).disabled)


@pytest.mark.integration
async def test_a_host_key_that_is_not_accepted_ends_the_test(server: ConversionServer, key: Identity) -> None:
    app = app_for(at(server, key))
    async with app.run_test(size=(80, 24)) as pilot:
        await press_action(pilot, "test")
        await wait_until(pilot, lambda: "Is this the conversion server?" in screen_text(app))
        assert server.fingerprint in screen_text(app)
        # The safe answer has the focus.
        await pilot.press("enter")
        await wait_until(pilot, lambda: "was not accepted" in status(app))
        assert app.screen.query_one("#next", Action).disabled


async def test_nothing_is_left_of_a_test_that_was_stopped() -> None:
    before = set(Path("/tmp").glob("p2v-tui-*"))
    with silent_port() as port:
        app = app_for(f"p2v.server=127.0.0.1 p2v.port={port} p2v.password=x")
        async with app.run_test(size=(80, 24)) as pilot:
            await press_action(pilot, "test")
            await wait_until(pilot, lambda: "[ .. ] network: Connecting to 127.0.0.1" in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: set(Path("/tmp").glob("p2v-tui-*")) == before)


async def test_leaving_is_asked_with_stay_preselected() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("escape")
        await wait_until(pilot, lambda: "Leave p2v-tui?" in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: "Conversion server (1 of 3)" in screen_text(app))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "Leave p2v-tui?" in screen_text(app))
        await pilot.press("right", "enter")
    assert app.return_value == Cancelled.exit_code


async def test_typing_replaces_a_default_and_moving_in_it_keeps_it() -> None:
    app = app_for("")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("tab", "2", "2", "tab", "b", "o", "b", "up", "2", "tab", "end", "x")
        assert app.screen.query_one("#port", FormField).value == "222"
        assert app.screen.query_one("#username", FormField).value == "bobx"
        await pilot.press(*["backspace"] * 4, *"root", "up", "down", "end", "1")
        assert app.screen.query_one("#username", FormField).value == "root1"


async def test_keys_that_come_together_are_taken_in_their_order() -> None:
    """A slow line delivers what was typed in lumps; Textual alone lets text overtake Backspace and Tab."""
    app = app_for("p2v.server=old.example.com")
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ["end", *["backspace"] * 30, *"new", "tab", *["backspace"] * 5, *"2022", "tab", "end", *"x"]:
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await wait_until(pilot, lambda: app.screen.query_one("#username", FormField).value == "rootx")
        assert app.screen.query_one("#server", FormField).value == "new"
        assert app.screen.query_one("#port", FormField).value == "2022"


@pytest.mark.parametrize("size", SIZES)
async def test_the_question_about_the_host_key(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("p2v.server=conv.example.com")
    async with app.run_test(size=SIZES[size]) as pilot:
        app.push_screen(host_key_dialog("conv.example.com port 22", FINGERPRINT, "ED25519"))
        await wait_until(pilot, lambda: "Is this the conversion server?" in screen_text(app))
        assert screen_text(app) == snapshot


async def test_the_question_about_the_host_key_names_the_file_of_its_type() -> None:
    app = app_for("p2v.server=conv.example.com")
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(host_key_dialog("conv.example.com port 22", FINGERPRINT, "RSA"))
        await wait_until(pilot, lambda: "ssh-keygen -lf /etc/ssh/ssh_host_rsa_key.pub" in screen_text(app))


@pytest.mark.parametrize("size", SIZES)
async def test_the_question_whether_to_leave(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("")
    async with app.run_test(size=SIZES[size]) as pilot:
        await pilot.press("escape")
        await wait_until(pilot, lambda: "Leave p2v-tui?" in screen_text(app))
        assert screen_text(app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_the_steps_of_the_test_as_they_happen(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("p2v.server=conv.example.com p2v.password=secret")
    async with app.run_test(size=SIZES[size]) as pilot:
        for event in (
            StepDone(ConnectionStep.NETWORK, "ready"),
            StepDone(ConnectionStep.HOST_KEY, FINGERPRINT),
            StepDone(ConnectionStep.LOGIN, "as root"),
            StepStarted(ConnectionStep.VERSION, "Logged in; asking virt-v2v for its version and features"),
        ):
            screen_of(app).show_event(event)
        await wait_until(pilot, lambda: "[ .. ] virt-v2v" in screen_text(app))
        assert screen_text(app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_a_refused_password(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("p2v.server=conv.example.com p2v.password=secret")
    async with app.run_test(size=SIZES[size]) as pilot:
        screen_of(app).show_event(StepStarted(ConnectionStep.LOGIN, "Logging in as root"))
        screen_of(app).show_failure(password_refused("root", "conv.example.com"))
        await wait_until(pilot, lambda: "[fail] login" in screen_text(app))
        await wait_until(pilot, lambda: app.focused is not None and app.focused.id == "password-input")
        await pilot.pause()
        assert screen_text(app) == snapshot


# The checks of the test.


def check(name: str, verdict: Verdict, text: str) -> Check:
    return Check(name, verdict, text, "" if verdict is Verdict.PASSED else f"What to do about {name}.")


@pytest.mark.parametrize("size", SIZES)
async def test_a_test_that_works_with_warnings(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("p2v.server=conv.example.com p2v.password=secret")
    async with app.run_test(size=SIZES[size]) as pilot:
        checked = [Checked(each) for each in FOUND]
        await hear(app, pilot, *STEPS, *checked, StepDone(ConnectionStep.PREFLIGHT, "2 warnings"))
        end(app)
        await wait_until(pilot, lambda: "with 2 warnings and 1 note" in screen_text(app))
        await wait_until(pilot, lambda: ">[ Next ]" in screen_text(app))
        assert "[warn] memory" in screen_text(app) and "[ ok ] KVM" not in screen_text(app)
        assert screen_text(app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_all_checks_and_what_to_do(size: str, snapshot: SnapshotAssertion) -> None:
    app = app_for("")
    async with app.run_test(size=SIZES[size]) as pilot:
        assert app.screen.query_one("#checks", Action).disabled
        await hear(app, pilot, *(Checked(each) for each in FOUND))
        await press_action(pilot, "checks")
        await wait_until(pilot, lambda: "Checks of the conversion server" in screen_text(app))
        text = " ".join(screen_text(app).replace("|", " ").split())
        assert text.index("[warn] reconnecting") < text.index("[warn] memory") < text.index("[note] server's clock")
        assert "apt install python3" in text
        assert screen_text(app) == snapshot
        if SIZES[size] == (80, 24):
            assert "v more below (PageUp, PageDown)" in screen_text(app)
            await pilot.press("pagedown", "pagedown")
            await wait_until(pilot, lambda: "^  more above (PageUp, PageDown)" in screen_text(app))
            assert "more below" not in screen_text(app)


async def test_a_refusal_is_an_error_with_what_to_do() -> None:
    app = app_for("p2v.server=conv.example.com p2v.password=secret")
    refused = [check(name, Verdict.REFUSED, f"{name} is missing.") for name in ("nbdkit", "nbdcopy")]
    async with app.run_test(size=(80, 24)) as pilot:
        await hear(app, pilot, *STEPS, *(Checked(each) for each in (*FOUND, *refused)))
        end(app, PreflightRefused("nbdkit is missing. nbdcopy is missing.", "What to do about both."))
        await wait_until(pilot, lambda: "The conversion cannot start" in status(app))
        assert "nbdkit is missing.\nWhat to do about nbdkit. Checks shows 1 more." in status(app)
        assert app.screen.query_one("#next", Action).disabled
        await wait_until(pilot, lambda: "[fail] preflight" in screen_text(app))


async def test_what_a_server_says_of_itself_cannot_drive_the_terminal() -> None:
    app = app_for("")
    hostile = check("space", Verdict.WARNING, "\x1b[2J\x07free \u2588 /var\x9b31m/tmp")
    async with app.run_test(size=(80, 24)) as pilot:
        await hear(app, pilot, StepDone(ConnectionStep.VERSION, "2.2\x1b[31m\n\u2588"), Checked(hostile))
        await wait_until(pilot, lambda: "[warn] space: free ? /var31m/tmp" in screen_text(app))
        assert screen_text(app).isascii()
        await press_action(pilot, "checks")
        await wait_until(pilot, lambda: "What to do about space" in screen_text(app))
        assert screen_text(app).isascii()


async def test_another_test_begins_without_the_checks_of_the_last_one() -> None:
    with silent_port() as port:
        app = app_for(f"p2v.server=127.0.0.1 p2v.port={port} p2v.password=x")
        async with app.run_test(size=(80, 24)) as pilot:
            await hear(app, pilot, *(Checked(each) for each in FOUND))
            await wait_until(pilot, lambda: "[warn] memory" in screen_text(app))
            await press_action(pilot, "test")
            await wait_until(pilot, lambda: "[warn] memory" not in screen_text(app))
            assert app.screen.query_one("#checks", Action).disabled


async def test_what_is_wrong_with_the_kernel_command_line_is_said() -> None:
    parsed = cmdline.parse("p2v.server=conv.example.com p2v.sevrer=x")
    assert len(parsed.warnings) == 1
    app = P2VTui(State(parsed.settings, warnings=parsed.warnings), look=Look.PLAIN)
    async with app.run_test(size=(80, 24)):
        assert f"Warning: {parsed.warnings[0]}" in status(app)
        assert "p2v.sevrer" in screen_text(app)
