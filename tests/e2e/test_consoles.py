"""The screens on consoles: real ptys, a real tmux, and all that a serial line does to a program."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from bench.terminal import Terminal
from p2v_tui import consoles
from p2v_tui.errors import P2VError
from tests.e2e.program import PROGRAM
from tests.e2e.test_secrets import processes_that_show
from tests.lab import terminal as lab_terminal

TIMEOUT = 20.0
UP, DOWN, BACKSPACE = b"\x1b[A", b"\x1b[B", b"\x7f"


class Machine:
    """One machine with consoles. Their tmux session is separate from all others on this host."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._terminals: list[Terminal] = []
        self._socket = directory / f"p2v-tui-{os.geteuid()}" / "tmux"

    def console(
        self,
        term: str = "vt220",
        words: str = "p2v.username=fred",
        size: tuple[int, int] = (24, 80),
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> Terminal:
        """Starts p2v-tui on one more console. words: the kernel command line."""
        variables = {"TMUX_TMPDIR": str(self.directory), **(environment or {})}
        terminal = Terminal([PROGRAM, f"--cmdline={words}", *options], term, variables, *size)
        self._terminals.append(terminal)
        return terminal

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *words], capture_output=True, text=True, errors="replace", check=False
        )
        return done.stdout

    def screen(self) -> str:
        """The text on all the consoles."""
        return self.tmux("capture-pane", "-p")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits for the condition, and reads the consoles meanwhile, so that nothing is blocked by them."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, self.screen()
            for terminal in self._terminals:
                terminal.read_for(0.02)

    def shows(self, text: str) -> None:
        self.wait_for(lambda: text in self.screen())

    def field(self, label: str) -> str:
        """The text in a field."""
        lines = [line for line in self.screen().splitlines() if f"{label}:" in line]
        return lines[0].partition("[")[2].partition("]")[0].strip() if lines else ""

    def focused(self) -> str:
        lines = [line for line in self.screen().splitlines() if line.startswith(">")]
        return lines[0] if lines else ""

    def running(self) -> bool:
        return self.tmux("has-session") == "" and bool(self.tmux("list-sessions"))

    def quit(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends the screens as a shutdown does, without the question that an operator gets."""
        pid = int(self.tmux("display-message", "-p", "#{pane_pid}"))
        os.kill(pid, number)

    def end(self) -> None:
        self.tmux("kill-server")
        for terminal in self._terminals:
            terminal.__exit__(None, None, None)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.end()


def ready(machine: Machine, console: Terminal) -> Terminal:
    """Waits until the console shows the first screen, and returns the console."""
    console.read_until(b"F1/^W help")
    machine.wait_for(lambda: "Conversion server:" in machine.focused())
    return console


def test_line_noise_does_no_harm(machine: Machine) -> None:
    console = ready(machine, machine.console())
    noise = bytes(range(0x80, 0x100)) + b"\xc3\x28\xe2\x82\xf0\x9f\xff\xfe" + b"\x00\x05\x06\x0f\x1c\x1d\x1f"
    for byte in noise:
        console.write(bytes([byte]))
    console.write(noise)
    console.read_until_quiet()
    assert "Conversion server" in machine.screen()
    console.write(DOWN)
    machine.wait_for(lambda: "SSH port:" in machine.focused())
    console.write(b"77")
    # What is typed first replaces the default.
    machine.wait_for(lambda: machine.field("SSH port") == "77")


def test_an_arrow_key_in_pieces_arrives_whole(machine: Machine) -> None:
    console = ready(machine, machine.console())
    for piece in (b"\x1b", b"[", b"B"):
        console.write(piece)
        console.read_for(0.3)  # The delay is what is tested.
    machine.wait_for(lambda: "SSH port:" in machine.focused())
    assert machine.field("SSH port") == "22"


def test_flow_control_bytes_do_no_harm(machine: Machine) -> None:
    console = ready(machine, machine.console())
    console.write(b"\x13a\x11b\x13c")
    machine.wait_for(lambda: machine.field("Conversion server") == "abc")
    assert machine.running()


def test_tmux_keeps_no_key_for_itself(machine: Machine) -> None:
    console = ready(machine, machine.console())
    # Ctrl-B and `d` would detach, `c` open a window, `:` ask for a command.
    console.write(b"\x02d\x02c\x02:")
    console.write(b"x")
    machine.wait_for(lambda: machine.field("Conversion server").endswith("x"))
    assert machine.tmux("list-clients").count("\n") == 1
    assert machine.tmux("list-windows").count("\n") == 1


def test_a_hang_up_leaves_the_session_to_the_next_console(machine: Machine) -> None:
    first = ready(machine, machine.console())
    first.write(b"conv.example.com")
    machine.wait_for(lambda: machine.field("Conversion server") == "conv.example.com")
    first.hang_up()
    first.process.wait(TIMEOUT)
    assert machine.running()
    second = machine.console(term="vt100")
    second.read_until(b"conv.example.com")
    assert machine.field("User name") == "fred"
    second.write(b"!")
    machine.wait_for(lambda: machine.field("Conversion server") == "conv.example.com!")


def test_two_consoles_of_different_kinds_show_the_same_at_once(machine: Machine) -> None:
    serial, virtual = ready(machine, machine.console("vt220")), machine.console("linux", words="p2v.username=other")
    virtual.read_until(b"Esc: back")
    serial.write(b"from-one")
    virtual.read_until(b"e")
    virtual.write(b"-from-two")
    machine.wait_for(lambda: machine.field("Conversion server") == "from-one-from-two")
    assert machine.field("User name") == "fred"
    assert machine.tmux("list-clients", "-F", "#{client_termname}").split() == ["vt220", "linux"]
    machine.quit()
    assert (serial.process.wait(TIMEOUT), virtual.process.wait(TIMEOUT)) == (6, 6)


def test_consoles_that_start_at_the_same_time_share_one_session(machine: Machine) -> None:
    started = [machine.console() for _ in range(3)]
    for console in started:
        console.read_until(b"F1/^W help")
    assert machine.tmux("list-sessions").count("\n") == 1
    assert machine.tmux("list-clients").count("\n") == 3


def test_a_console_without_a_size_is_80x24(machine: Machine) -> None:
    ready(machine, machine.console(size=(0, 0)))
    assert machine.tmux("display-message", "-p", "#{window_width}x#{window_height}").strip() == "80x24"


def test_every_console_that_is_used_sees_the_whole_of_a_dialog(machine: Machine) -> None:
    def size() -> str:
        return machine.tmux("display-message", "-p", "#{window_width}x#{window_height}").strip()

    large = ready(machine, machine.console("linux", size=(50, 160)))
    assert size() == "160x50"
    unused = machine.console(size=(22, 80))
    unused.read_until(b"Esc: back")
    # As long as nobody types anywhere, everybody sees everything.
    assert size() == "80x22"
    large.write(b"first")
    machine.wait_for(lambda: size() == "160x50" and machine.field("Conversion server") == "first")
    with lab_terminal.Terminal([PROGRAM], environment={"TMUX_TMPDIR": str(machine.directory)}) as small:
        # It joins consoles of which one is used.
        small.wait_for("Esc: back")
        assert size() == "80x24"
        large.write(b"\x1b")
        small.wait_for(r"Leave p2v-tui\?")
        machine.wait_for(lambda: small.screen().split() == machine.screen().split())
        assert size() == "80x24"
    machine.wait_for(lambda: size() == "160x50")
    unused.write(b"\t")
    machine.wait_for(lambda: size() == "80x22")


@pytest.mark.parametrize("term", ["", "dumb", "unknown", "no-such-terminal"])
def test_an_unknown_terminal_is_treated_as_a_vt220(machine: Machine, term: str) -> None:
    ready(machine, machine.console(term))
    assert machine.tmux("list-clients", "-F", "#{client_termname}").strip() == "vt220"


def test_only_ascii_reaches_a_vt220(machine: Machine) -> None:
    console = ready(machine, machine.console())
    console.write("b\u00fccher.example".encode())
    machine.wait_for(lambda: machine.field("Conversion server").endswith("cher.example"))
    console.read_until_quiet()
    assert console.received.isascii()


def test_the_screen_is_the_same_after_it_is_drawn_again(machine: Machine) -> None:
    console = ready(machine, machine.console())
    for key in (
        b"abc",
        b"\t",
        b"1",
        BACKSPACE,
        b"\t",
        UP,
        b"7",
        BACKSPACE,
        DOWN,
        b"\t",
        b"pw",
        b"\t",
        UP,
        BACKSPACE * 2,
    ):
        console.write(key)
        console.read_until_quiet(0.3)
        before = machine.tmux("capture-pane", "-p", "-e")
        console.write(b"\x0c")
        console.read_until_quiet(0.3)
        assert machine.tmux("capture-pane", "-p", "-e").split() == before.split()


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"COLORTERM": "truecolor"}, {"LINES": "50", "COLUMNS": "9"}]
)
def test_wrong_environment_variables_do_no_harm(machine: Machine, environment: dict[str, str]) -> None:
    console = ready(machine, machine.console(environment=environment))
    assert b"\x1b[38;2" not in console.received
    assert machine.tmux("display-message", "-p", "#{window_width}").strip() == "80"


def test_the_exit_code_arrives_and_nothing_is_left(machine: Machine) -> None:
    console = ready(machine, machine.console())
    machine.quit()
    assert console.process.wait(TIMEOUT) == 6
    machine.wait_for(lambda: not machine.running())
    left = [path.name for path in (machine.directory / f"p2v-tui-{os.geteuid()}").iterdir()]
    assert set(left) <= {"tmux"}


def test_killed_screens_are_not_a_success(machine: Machine) -> None:
    console = ready(machine, machine.console())
    machine.quit(signal.SIGKILL)
    assert console.process.wait(TIMEOUT) == 1


def test_the_live_image_has_a_shell_and_a_log_beside_the_screens(machine: Machine) -> None:
    console = ready(machine, machine.console(options=["--iso"]))
    machine.wait_for(lambda: machine.tmux("list-windows", "-F", "#W").split() == ["p2v-tui", "shell", "log"])
    console.write(b"\x07")
    machine.shows("A shell. F6 or Ctrl-G")
    console.write(b"echo $((6 * 7))-is-the-answer\r")
    machine.shows("42-is-the-answer")
    console.write(b"\x1b[17~")  # F6
    machine.shows("The log of the system.")
    console.write(b"\x07")
    machine.shows("Conversion server:")
    console.write(b"\x07")
    machine.shows("42-is-the-answer")
    console.write(b"exit\r")
    machine.shows("Conversion server:")
    assert machine.field("User name") == "fred"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_live_images_windows_end_with_the_screens(machine: Machine, number: signal.Signals) -> None:
    joined = [ready(machine, machine.console(options=["--iso"])) for _ in range(2)]
    machine.wait_for(lambda: machine.tmux("list-windows").count("\n") == 3)
    shell = psutil.Process(int(machine.tmux("display-message", "-p", "-t", ":p2v-tui", "#{pane_pid}")))
    shell.children()[0].send_signal(number)
    assert {console.process.wait(TIMEOUT) for console in joined} == {6 if number == signal.SIGTERM else 1}
    machine.wait_for(lambda: not machine.running())


def test_p2v_tui_that_gets_sigterm_leaves_the_session_running(machine: Machine) -> None:
    console = ready(machine, machine.console())
    console.process.terminate()
    assert console.process.wait(TIMEOUT) == 128 + signal.SIGTERM
    assert machine.running()


def test_a_password_of_the_command_line_shows_nowhere(machine: Machine) -> None:
    password = f"pw-{secrets.token_hex(16)}"
    ready(machine, machine.console(words=f"p2v.username=fred p2v.password={password}"))
    assert machine.field("Password") == "*" * len(password)
    assert not processes_that_show(password)
    assert [path.name for path in (machine.directory / f"p2v-tui-{os.geteuid()}").iterdir()] == ["tmux"]
    assert password not in machine.tmux("show-environment", "-g") + machine.tmux("show-messages")


def test_the_shell_of_the_screens_does_not_start_them_again(machine: Machine) -> None:
    ready(machine, machine.console())
    environment = {"TMUX": machine.tmux("display-message", "-p", "#{socket_path},#{pid},0").strip()}
    inner = machine.console(environment=environment)
    inner.read_until(b"inside p2v-tui's own screens")
    assert inner.process.wait(TIMEOUT) == 1


def test_a_desktop_terminal_needs_no_tmux() -> None:
    desktop = {"TERM": "xterm-256color", "LANG": "en_GB.UTF-8"}
    assert not consoles.needs_tmux(desktop, iso=False)
    assert consoles.needs_tmux(desktop, iso=True)
    assert consoles.needs_tmux({"TERM": "vt220", "LANG": "en_GB.UTF-8"}, iso=False)
    assert not consoles.needs_tmux({"TERM": "vt220", "TMUX": "/tmp/tmux-0/default,1,0"}, iso=False)


def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    directory = consoles.private_directory()
    directory.chmod(0o777)
    with pytest.raises(P2VError, match="not a private directory"):
        consoles.private_directory()
