"""Shows the screens on consoles: the terminal's settings, and one tmux session that all consoles share.

A serial line, a Linux VT or an IPMI console is slow, garbles bytes, hangs up and does not know its size. tmux handles
all of that, so there the screens run in their own tmux session: the first p2v-tui starts it, others on further
consoles join it. A desktop's terminal needs none of this. docs/consoles.md has the operator's view.

    console ── p2v-tui ── tmux client ──┐
                                        ├── tmux server ── p2v-tui's screens (`python -m p2v_tui.consoles FIFO`)
    console ── p2v-tui ── tmux client ──┘

On the live image (--iso) the session has two more windows, a shell and the system's log.

The settings contain passwords, so they go through a named pipe in a private directory: not in arguments, the
environment or a file. The exit code comes back by letting tmux replace its clients by `exit CODE`.
"""

from __future__ import annotations

import contextlib
import curses
import fcntl
import os
import pickle
import re
import shlex
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from p2v_tui.config import Settings
from p2v_tui.errors import P2VError, SettingsError
from p2v_tui.screens.look import colour_system, is_capable

SESSION: Final = "p2v-tui"

# Textual reads these when it is imported. The usual sixteen colours, unless the terminal has more; no animations; no
# kitty keyboard protocol, which prints `25u` on terminals that do not know it; an escape sequence may arrive in
# pieces (Serial over LAN), so ESC alone counts as the key only after half a second.
TEXTUAL_ENVIRONMENT: Final = {
    "TEXTUAL_DRIVER": "p2v_tui.screens.textual_private:ConsoleDriver",
    "TEXTUAL_THEME": "ansi-dark",
    "TEXTUAL_COLOR_SYSTEM": "standard",
    "TEXTUAL_ANIMATIONS": "none",
    "TEXTUAL_DISABLE_KITTY_KEY": "1",
    "TEXTUAL_SMOOTH_SCROLL": "0",
    "ESCDELAY": "500",
}
# NO_COLOR makes Textual draw black on black; systemd sets COLORTERM=truecolor on every console; LINES and COLUMNS
# would hide later changes of the size.
_MISLEADING: Final = ("NO_COLOR", "COLORTERM", "LINES", "COLUMNS")

DEFAULT_SIZE: Final = (24, 80)
_SERIAL_TERM, _VT_TERM = "vt220", "linux"

KEY_TABLE: Final = "p2v-tui"
# tmux's name for a client whose size does not count.
_UNCOUNTED: Final = "ignore-size"
_DOES_NOT_COUNT: Final = f"#{{&&:#{{m:*{_UNCOUNTED}*,#{{client_flags}}}},#{{!=:#{{session_attached}},1}}}}"
_COUNT: Final = f"refresh-client -f '!{_UNCOUNTED}'; set-option -g window-size smallest"
_OPTIONS: Final = (
    # No status line: the screen is the application's, and every change of the line would cost bytes.
    ("set-option", "-g", "status", "off"),
    # All keys are the application's. Ctrl-B is tmux's own prefix and means nothing here.
    ("set-option", "-g", "prefix", "None"),
    ("set-option", "-g", "prefix2", "None"),
    # A table of our own, without tmux's keys. (unbind-key -a would fail, and end the line, where it was done before.)
    ("set-option", "-g", "key-table", KEY_TABLE),
    ("set-option", "-g", "mouse", "off"),
    # tmux passes on a lone ESC after this many ms; the application joins it with what comes within ESCDELAY.
    ("set-option", "-s", "escape-time", "200"),
    # Sequences that a VT220 prints as text.
    ("set-option", "-s", "focus-events", "off"),
    ("set-option", "-s", "set-clipboard", "off"),
    # The title of the conversion, for clients whose terminfo has one (tsl): not a VT220, not a Linux VT.
    ("set-option", "-g", "set-titles", "on"),
    ("set-option", "-g", "set-titles-string", "#T"),
    # The size is that of the smallest console that counts, as a larger one would crop dialogs there. A console counts
    # from its first key on, so that a serial line that nobody uses does not make the others small. (As long as none
    # counts, all do. Setting the size again makes tmux look at it.) That redraws the console, 750 bytes: not where it
    # is the only one.
    ("set-option", "-g", "window-size", "smallest"),
    ("bind-key", "-T", KEY_TABLE, "Any", f"if-shell -F '{_DOES_NOT_COUNT}' {{{_COUNT}}}; send-keys"),
    # tmux's terminal type for the application, whatever the consoles are; every system with ncurses has it.
    ("set-option", "-g", "default-terminal", "screen"),
    ("set-option", "-g", "remain-on-exit", "off"),
    ("set-option", "-g", "destroy-unattached", "off"),
    ("set-option", "-g", "detach-on-destroy", "on"),
    # Enough for the last output of a failed program.
    ("set-option", "-g", "history-limit", "500"),
    # Do not take over the environment of further consoles.
    ("set-option", "-g", "update-environment", ""),
)
# -P: do not import from the current directory. tmux's panes use UTF-8, whatever the locale is.
INSIDE: Final = (sys.executable, "-P", "-X", "utf8", "-m", "p2v_tui.consoles")
# The live image's further windows, each with what runs in it, again and again; and the keys to the next window.
# Ctrl-G for terminals without F-keys: the screens and nmtui do not use it, shells and editors hardly do.
NEXT_WINDOW: Final = ("F6", "C-g")
_WINDOWS: Final = {
    "shell": 'echo "A shell. F6 or Ctrl-G: the next window. exit: back to the screens."; '
    '"${SHELL:-/bin/sh}" -l; tmux select-window -t :=p2v-tui',
    "log": 'echo "The log of the system. F6 or Ctrl-G: the next window."; '
    "journalctl --follow --lines=100 --no-hostname --output=short-monotonic; sleep 1",
}
# Ends the session, with its other windows, however the screens end.
_LAST_TO_LEAVE: Final = ("/bin/sh", "-c", '"$@"; exec tmux kill-session', "sh")
# On the live image, the process whose line on the consoles says how the start goes on. It clears that at SIGTERM.
_START_LINE: Final = Path("/run/p2v-starting.pid")
# Added to the application's exit code on its way through the tmux client: tmux itself exits with 0 or 1.
_ENDED: Final = 64


class Handover(NamedTuple):
    """What the screens get from the options of the p2v-tui that started them."""

    settings: Settings
    image: Path | None
    iso: bool
    warnings: Sequence[str] = ()


def run_interactive(
    settings: Settings, image: Path | None = None, iso: bool = False, warnings: Sequence[str] = ()
) -> int:
    """Shows the screens on this console until the operator leaves them, and returns the exit code.

    If another console has started them, `settings` are ignored. warnings: about the kernel command line, for the
    screens, as nobody can read what is printed before. Raises SettingsError without a terminal, P2VError in a shell
    that was opened from the screens.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if settings.server is not None:
            raise SettingsError(
                "The screens need a terminal; the standard input or output is not one.",
                "Without --interactive and p2v.interactive nothing is asked.",
                setting="interactive",
            )
        raise SettingsError(
            "No conversion server is given, and p2v-tui can ask for it only on a terminal.",
            "Give p2v.server=HOST on the kernel command line or by --cmdline; see p2v-tui --help.",
            setting="remote.server",
        )
    tmux = shutil.which("tmux")
    session = None if tmux is None else Session(tmux, private_directory())
    if session is not None and session.is_around(os.environ):
        raise P2VError("This is a shell inside p2v-tui's own screens.", "Leave the shell by exit to see them.")
    os.environ.update(terminal_environment(sys.stdin.fileno(), os.environ))
    set_size_where_unknown(sys.stdin.fileno())
    handover = Handover(settings, image, iso, tuple(warnings))
    if session is not None and (needs_tmux(os.environ, iso=iso) or session.exists()):
        code = session.run(handover)
        if code is not None:
            return code
        print("p2v-tui: tmux cannot use this terminal; continuing without it.", file=sys.stderr)
    return show_screens(handover)


def show_screens(handover: Handover) -> int:
    """Runs the screens on this terminal, without tmux."""
    set_textual_environment()
    from p2v_tui import app  # noqa: PLC0415 - Textual reads the environment when it is imported.

    return app.run(handover.settings, image=handover.image, iso=handover.iso, warnings=handover.warnings)


def set_textual_environment() -> None:
    """Call before the first import of Textual. The values suit consoles and desktop terminals."""
    colours = colour_system(os.environ)
    for name in _MISLEADING:
        os.environ.pop(name, None)
    os.environ.update(TEXTUAL_ENVIRONMENT, TEXTUAL_COLOR_SYSTEM=colours)


def needs_tmux(environment: Mapping[str, str], *, iso: bool) -> bool:
    """Whether the screens are better off in our tmux session.

    Not on a fast terminal that knows its type and size, nor inside another tmux or screen, which does the same. But
    always on the live image: consoles, ssh logins included, may come and go there at any time.
    """
    multiplexed = "TMUX" in environment or "STY" in environment
    return iso or not (is_capable(environment) or multiplexed)


def terminal_environment(terminal: int, environment: Mapping[str, str]) -> dict[str, str]:
    """TERM for the terminal behind a file descriptor: that of `environment`, if it is usable.

    A getty that does not know the terminal sets `dumb`, `unknown` or nothing.
    """
    term = environment.get("TERM", "")
    if not _can_move_cursor(term, terminal):
        term = _VT_TERM if _is_virtual_terminal(os.ttyname(terminal)) else _SERIAL_TERM
    return {"TERM": term}


def set_size_where_unknown(terminal: int) -> None:
    """A serial line does not know its size and reports 0x0. It gets 80x24, also for later programs on it."""
    size = os.get_terminal_size(terminal)
    if size.columns > 0 and size.lines > 0:
        return
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *DEFAULT_SIZE, 0, 0))


def private_directory() -> Path:
    """The directory of the session's socket and pipe, for this user alone. Raises P2VError if it is not private.

    Root's is the same for all consoles and logins, so not in $XDG_RUNTIME_DIR. TMUX_TMPDIR moves it, like tmux's own
    sockets.
    """
    user = os.geteuid()
    base = os.environ.get("TMUX_TMPDIR") or ("/run" if user == 0 else tempfile.gettempdir())
    path = Path(base, f"p2v-tui-{user}")
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077:
        raise P2VError(f"{path} is not a private directory of this user.", f"Remove {path} and try again.")
    return path


class Session:
    """The tmux session of the screens on this machine, running or not."""

    def __init__(self, tmux: str, directory: Path) -> None:
        self._tmux = tmux
        self._directory = directory
        self._socket = directory / "tmux"

    def is_around(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with this environment runs inside the session."""
        return environment.get("TMUX", "").partition(",")[0] == str(self._socket)

    def exists(self) -> bool:
        return self._command("has-session", "-t", f"={SESSION}").returncode == 0

    def run(self, handover: Handover, inside: Sequence[str] = INSIDE) -> int | None:
        """Starts the session, or joins the one that runs, and shows it on this console until it ends.

        inside: the program of the session, which is given the pipe. Returns the exit code of the screens, 1 when they
        ended without one; None when tmux cannot use the console.
        """
        existed = self.exists()
        if handover.iso:
            _end_start_line()
        with self._pipe(handover) as pipe:
            options = (*_OPTIONS, *_locale_for_children(os.environ))
            # -A: the first one starts the session, even if two consoles start at the same time.
            chain = [word for option in options for word in (*option, ";")]
            leader = _LAST_TO_LEAVE if handover.iso else ()
            flags = () if self._count_used() else ("-f", _UNCOUNTED)
            start = ["new-session", "-A", *flags, "-s", SESSION, "-n", SESSION, "--", *leader, *inside, str(pipe)]
            command = [self._tmux, "-S", str(self._socket), "-f", "/dev/null", *chain, *start]
            code = _run_client(command, _client_environment(os.environ))
            started = existed or not pipe.exists()
        if code >= _ENDED:
            return code - _ENDED
        return 1 if started else None

    def _count_used(self) -> bool:
        """Makes those consoles count on which somebody has typed. Whether there are any: one that joins these is
        somebody's who looks at it.
        """
        listed = self._command(
            "list-clients", "-t", f"={SESSION}", "-F", "#{client_activity} #{client_created} #{client_tty}"
        )
        clients = [line.split() for line in listed.stdout.splitlines()]
        # A client without a terminal has no third word.
        used = [tty[0] for activity, created, *tty in clients if tty and int(activity) > int(created)]
        for terminal in used:
            self._command("refresh-client", "-t", terminal, "-f", f"!{_UNCOUNTED}")
        return bool(used)

    def open_windows(self) -> None:
        """The live image's further windows. Called from inside."""
        for key in NEXT_WINDOW:
            self._command("bind-key", "-T", KEY_TABLE, key, "next-window")
        for name, command in _WINDOWS.items():
            self._command("new-window", "-d", "-n", name, "-t", f"={SESSION}:", f"while :; do {command}; done")

    def end(self, code: int) -> None:
        """Ends every client with the screens' exit code. Called last, from inside. Output that a failed program left
        on its screen, such as a traceback, is repeated on the consoles.
        """
        command = f"exit {_ENDED + code}"
        report = self._last_words(code) if code else None
        if report is not None:
            command = f"cat {shlex.quote(str(report))}; {command}"
        # The clients run the command in the session's shell, which may be any: make it /bin/sh.
        self._command("set-option", "-g", "default-shell", "/bin/sh")
        self._command("detach-client", "-s", f"={SESSION}", "-E", command)

    def _last_words(self, code: int) -> Path | None:
        """A file with the screen's content after the application has left it; None if that is empty."""
        mark = f"p2v-tui: exit code {code}"
        print(mark, file=sys.stderr, flush=True)
        deadline = time.monotonic() + 2.0
        text = ""
        while mark not in text and time.monotonic() < deadline:
            text = self._command("capture-pane", "-p", "-J", "-S", "-", "-t", f"={SESSION}:").stdout
        if text.partition(mark)[0].strip() == "":
            return None
        report = self._directory / "last-words"
        with os.fdopen(os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text.rstrip() + "\n")
        return report

    @contextlib.contextmanager
    def _pipe(self, handover: Handover) -> Iterator[Path]:
        """A named pipe that holds the handover until the screens take it; an unread one is lost at the end."""
        path = self._directory / f"settings-{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        os.mkfifo(path, 0o600)
        # Open for reading and writing: that does not wait for the other end, and the bytes stay in the kernel.
        pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = pickle.dumps(tuple(handover))
            os.write(pipe, struct.pack("!I", len(content)) + content)
            yield path
        finally:
            os.close(pipe)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._tmux, "-S", str(self._socket), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            check=False,
        )


def take_handover(path: Path) -> Handover:
    """Reads the pipe that `Session` filled, and removes it. Raises P2VError if the p2v-tui that filled it is gone."""
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    path.unlink()
    with os.fdopen(pipe, "rb", buffering=0) as file:
        header = file.read(4)
        if not header:
            raise P2VError("The console that started p2v-tui is gone.", "Start p2v-tui again.")
        content = file.read(struct.unpack("!I", header)[0])
    # Trusted: from our own program, through a directory that nobody else can write to.
    return Handover(*pickle.loads(content))


def main(arguments: list[str]) -> int:
    """The inside of the session. arguments: the pipe."""
    tmux = shutil.which("tmux")
    pipe = Path(arguments[0])
    code = 1
    try:
        handover = take_handover(pipe)
        if handover.iso and tmux is not None:
            Session(tmux, pipe.parent).open_windows()
        code = show_screens(handover)
    except P2VError as error:
        print(f"p2v-tui: {error.title}: {error}", file=sys.stderr)
        code = error.exit_code
    except Exception as error:  # Nobody else would report it.
        print(f"p2v-tui: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        if tmux is not None:
            Session(tmux, pipe.parent).end(code)
    return code


def _run_client(command: list[str], environment: Mapping[str, str]) -> int:
    """Runs a tmux client on this terminal until it ends. A signal to end is passed to the client first."""
    client = subprocess.Popen(command, env=environment)

    def end(number: int, _frame: object) -> None:
        client.terminate()
        sys.exit(128 + number)

    caught = (signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, end) for number in caught}
    try:
        return client.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_start_line() -> None:
    """Returns when nothing writes to the consoles any more."""
    with contextlib.suppress(OSError, ValueError):
        process = int(_START_LINE.read_text())
        while True:  # Until it has gone, which is an OSError.
            os.kill(process, signal.SIGTERM)
            # It is not our child, so its end gives no event.
            time.sleep(0.05)


def _client_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for tmux's client: without TMUX, which would forbid it to run in another tmux. Terminals that
    show UTF-8 get it; all others only ASCII, with tmux's `_` for anything else. A Linux VT has few glyphs, but
    substitutes those that it lacks.
    """
    found = {name: value for name, value in environment.items() if name not in (*_MISLEADING, "TMUX", "TMUX_PANE")}
    if not is_capable(found) and found["TERM"] != _VT_TERM:
        found["LC_ALL"] = "C"
    return found


def _locale_for_children(environment: Mapping[str, str]) -> list[tuple[str, ...]]:
    """tmux options for the screens' locale, which `_client_environment` removed from the client."""
    locale = environment.get("LC_ALL")
    return [("set-environment", "-gu", "LC_ALL") if locale is None else ("set-environment", "-g", "LC_ALL", locale)]


def _can_move_cursor(term: str, terminal: int) -> bool:
    """Whether terminfo says that the terminal can move its cursor and clear its screen."""
    if not term:
        return False
    try:
        curses.setupterm(term, terminal)
    except curses.error:
        return False
    return bool(curses.tigetstr("cup") and curses.tigetstr("clear"))


def _is_virtual_terminal(name: str) -> bool:
    if name == "/dev/console":
        with contextlib.suppress(OSError, IndexError):
            name = "/dev/" + Path("/sys/class/tty/console/active").read_text().split()[-1]
    return re.fullmatch(r"/dev/tty\d+", name) is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
