"""The scripts that run in the live image at boot, each by itself on this machine; whole boots are elsewhere."""

from __future__ import annotations

import os
import pty
import re
import runpy
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.cli import EXIT_CODES
from tests.e2e.program import PROGRAM
from tests.lab.commands import program, run_command
from tests.lab.ports import closed_port

ROOT = Path(__file__).resolve().parents[2] / "live-image" / "root"
SCRIPTS = ROOT / "usr/libexec/p2v-tui"
GENERATOR = ROOT / "etc/systemd/system-generators/p2v-consoles"


def shell_scripts() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        if (
            path.is_file()
            and not path.is_symlink()
            and path.read_text().startswith(("#!/bin/sh", "#!/bin/busybox sh"))
        ):
            yield path


def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    scripts = [*shell_scripts(), SCRIPTS / "common"]
    # What is sourced exists in the image only, and the variables come from there.
    run_command(["shellcheck", "--external-sources", "--exclude=SC1091,SC2154", *scripts], timeout=60)


def test_the_keys_for_logins_come_from_a_url_of_which_no_password_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(SCRIPTS / "ssh-key"))
    keys = tmp_path / "keys"
    keys.write_text("ssh-ed25519 AAAA me\n")
    # Public keys may be read by everybody.
    keys.chmod(0o644)
    assert script["fetched"](f"file://{keys}") == "ssh-ed25519 AAAA me\n"
    script["fetched"].__globals__["NETWORK_SECONDS"] = 0
    with closed_port() as port, pytest.raises(SystemExit) as ended:
        script["fetched"](f"http://me:swordfish@127.0.0.1:{port}/keys")
    assert f"was not fetched from http://me:***@127.0.0.1:{port}/keys: connection refused" in str(ended.value)
    assert "swordfish" not in str(ended.value) + capsys.readouterr().err


# Their drivers are loaded after the generator has run.
HYPERVISORS = ("hvc0", "xvc0", "hvsi0")


class Consoles:
    """A machine's consoles as the generator of systemd units sees them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.active = ["tty0"]
        self.dev = Path("/nowhere")

    def units(self, cmdline: str) -> dict[str, str]:
        """The console services that are made, each with what it is wanted by; the hypervisors' are left out."""
        proc, sys, units = (self._directory / name for name in ("proc", "sys", "units"))
        (sys / "class/tty/console").mkdir(parents=True, exist_ok=True)
        (sys / "class/tty/console/active").write_text(" ".join(self.active) + "\n")
        proc.mkdir()
        (proc / "cmdline").write_text(f"{cmdline}\n")
        units.mkdir()
        places = {"P2V_PROC": str(proc), "P2V_SYS": str(sys), "P2V_DEV": str(self.dev)}
        run_command([GENERATOR, units, units, units], timeout=20, environment=places)
        self.made = units
        links = [path for path in units.rglob("*") if path.is_symlink()]
        assert {str(link.readlink()) for link in links} == {"/etc/systemd/system/p2v-console@.service"}
        found = {link.name: link.parent.name for link in links}
        assert {found.pop(f"p2v-console@{name}.service") for name in HYPERVISORS} == {
            f"dev-{name}.device.wants" for name in HYPERVISORS
        }
        return found


@pytest.fixture
def consoles(tmp_path: Path) -> Consoles:
    return Consoles(tmp_path)


def test_every_console_of_the_command_line_and_the_keyboard_gets_the_screens(consoles: Consoles) -> None:
    consoles.active = ["tty0", "ttyS0"]
    assert consoles.units("quiet console=tty0 console=ttyS1,9600n8r console=ttyS0,115200n8 p2v.server=h") == {
        "p2v-console@tty1.service": "multi-user.target.wants",
        "p2v-console@ttyS0.service": "dev-ttyS0.device.wants",
        "p2v-console@ttyS1.service": "dev-ttyS1.device.wants",
    }


def test_a_console_that_the_kernel_does_not_know_yet_comes_with_its_device(consoles: Consoles) -> None:
    assert "p2v-console@ttyUSB0.service" in consoles.units("console=ttyUSB0,115200n8")
    bound = (consoles.made / "p2v-console@ttyUSB0.service.d/device.conf").read_text()
    assert "BindsTo=dev-ttyUSB0.device\n" in bound
    assert "After=dev-ttyUSB0.device\n" in bound


def test_without_a_word_there_are_the_keyboard_and_a_hypervisors_console(consoles: Consoles) -> None:
    assert set(consoles.units("quiet")) == {"p2v-console@tty1.service"}


@pytest.mark.parametrize("word", ["console=", "console=null", "console=uart8250,io,0x3f8,115200n8", "console=../x1"])
def test_a_word_that_names_no_terminal_adds_none(consoles: Consoles, word: str) -> None:
    found = consoles.units(f"quiet {word} xconsole=ttyS9")
    assert set(found) - {"p2v-console@uart8250.service"} == {"p2v-console@tty1.service"}


def test_a_serial_port_that_is_not_there_is_left_out(consoles: Consoles) -> None:
    # A character device that is no terminal answers as a port without hardware does.
    consoles.dev = consoles._directory / "dev"
    consoles.dev.mkdir()
    os.mknod(consoles.dev / "ttyS3", 0o600 | 0o020000, os.makedev(1, 3))
    assert set(consoles.units("console=ttyS3")) == {"p2v-console@tty1.service"}


def common(commands: str, tmp_path: Path, cmdline: str = "", **streams: int) -> str:
    """What shell commands print after `common` was read on a machine with that kernel command line."""
    (tmp_path / "cmdline").write_text(f"{cmdline}\n")
    environment = {**os.environ, "P2V_PROC": str(tmp_path), "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-u", "-c", f". {SCRIPTS}/common\n{commands}"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        timeout=30,
        check=True,
        **streams,  # type: ignore[call-overload]
    )
    return str(done.stdout)


@pytest.mark.parametrize(
    ("cmdline", "unattended"),
    [
        ("quiet p2v.server=conv.example.com", True),
        ("p2v.remote.server=192.0.2.10", True),
        ("quiet", False),
        ("p2v.servers=x xp2v.server=y p2v.port=2022", False),
        ("p2v.server=conv p2v.interactive", False),
        ("p2v.shell p2v.server=conv", False),
    ],
)
def test_a_server_on_the_command_line_means_no_questions(tmp_path: Path, cmdline: str, unattended: bool) -> None:
    said = common("if is_unattended; then echo yes; else echo no; fi", tmp_path, cmdline)
    assert said == ("yes\n" if unattended else "no\n")


def test_every_exit_code_has_words(tmp_path: Path) -> None:
    for code, words in re.findall(r"^  (\d)  (.*)$", EXIT_CODES, flags=re.MULTILINE):
        assert common(f"ending {code}", tmp_path) == f"ended with exit code {code}: {words}\n"
    assert common("ending 139", tmp_path) == "ended by signal 11\n"


@pytest.mark.parametrize(
    ("word", "speed", "size", "parity"),
    [
        ("console=ttyS1,9600", termios.B9600, termios.CS8, 0),
        ("console=ttyS1,57600e7", termios.B57600, termios.CS7, termios.PARENB),
        ("console=ttyS1,19200o8r", termios.B19200, termios.CS8, termios.PARENB | termios.PARODD),
        ("console=ttyS1", termios.B38400, termios.CS8, 0),
        ("console=ttyS11,9600 console=ttyS0,9600", termios.B38400, termios.CS8, 0),
    ],
)
def test_a_line_is_set_as_its_word_says(tmp_path: Path, word: str, speed: int, size: int, parity: int) -> None:
    terminal, line = pty.openpty()
    # The kernel keeps no parity and always eight bits on a pseudo-terminal: what stty is asked to do is looked at.
    (tmp_path / "stty").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\nexec {program("stty")} "$@"\n')
    (tmp_path / "stty").chmod(0o755)
    try:
        common(f"PATH={tmp_path}:$PATH\nset_line ttyS1", tmp_path, f"quiet {word}", stdin=line)
        attributes = termios.tcgetattr(line)
        asked = (tmp_path / "asked").read_text().splitlines()
        assert attributes[5] == speed
        assert attributes[2] & termios.CLOCAL
        assert ("cs7" in asked) == (size == termios.CS7)
        assert ("parenb" in asked, "parodd" in asked) == (bool(parity), bool(parity & termios.PARODD))
        assert ("crtscts" in asked) == word.endswith("r")
        assert termios.tcgetwinsize(line) == (24, 80)
    finally:
        os.close(terminal)
        os.close(line)


class Runner:
    """The unattended runner with stand-ins for p2v-tui and for what takes time or another kernel."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name, script in {"sleep": "", "udevadm": ""}.items():
            self.program(name, script)
        (directory / "block").mkdir()
        (directory / "cmdline").write_text("p2v.server=conv\n")

    def program(self, name: str, script: str) -> None:
        (self.directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.directory / name).chmod(0o755)

    def run(self, *codes: int) -> str:
        """All that the consoles show when p2v-tui ends with one of these codes after the other; 0 if it goes on."""
        for number, code in enumerate(codes, start=1):
            (self.directory / f"code-{number}").write_text(str(code))
        self.program(
            "p2v-tui",
            f"""
            [ "$1" != --help ] || exec {PROGRAM} --help
            number=$(($(cat {self.directory}/runs 2>/dev/null || echo 0) + 1))
            echo "$number" > {self.directory}/runs
            echo "p2v-tui was started with $*"
            code=$(cat {self.directory}/code-$number 2>/dev/null || echo 0)
            [ "$code" -le 128 ] || kill -$((code - 128)) $$
            exit "$code"
            """,
        )
        places = {"P2V_PROC": str(self.directory), "P2V_SYS": str(self.directory)}
        environment = {"RUNTIME_DIRECTORY": str(self.directory), "PATH": f"{self.directory}:{os.environ['PATH']}"}
        run_command([SCRIPTS / "unattended"], timeout=60, environment={**places, **environment})
        return (self.directory / "unattended.log").read_text()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_a_success_is_not_repeated(runner: Runner) -> None:
    said = runner.run(0)
    assert said.count("was started with --iso") == 1
    assert "p2v-tui: ended with exit code 0: the conversion succeeded" in said


@pytest.mark.parametrize("code", [2, 3, 4, 5, 6, 7])
def test_a_failure_that_would_come_again_is_left_to_the_operator(runner: Runner, code: int) -> None:
    said = runner.run(code)
    assert said.count("was started with") == 1
    assert f"p2v-tui: ended with exit code {code}: " in said
    assert said.rstrip().endswith("switch the machine off")


@pytest.mark.parametrize("code", [1, 137, 139])
def test_a_crash_is_followed_by_a_new_start(runner: Runner, code: int) -> None:
    said = runner.run(code, 0)
    assert said.count("was started with") == 2
    assert "p2v-tui: ended with exit code 0" in said


def test_crashes_that_go_on_are_given_up(runner: Runner) -> None:
    said = runner.run(1, 1, 1, 1, 1, 1, 1)
    assert said.count("was started with") == 4
    assert said.rstrip().endswith("switch the machine off")


def test_a_disk_that_comes_late_is_waited_for(runner: Runner) -> None:
    # At the third look there is one more; then nothing new for five looks.
    looks = runner.directory / "looks"
    comes = f"[ $(wc -l < {looks}) -lt 3 ] || touch {runner.directory}/block/sdz"
    runner.program("udevadm", f"echo look >> {looks}\n{comes}")
    runner.run(0)
    assert looks.read_text().count("look") == 8


GENERATOR_OF_CONNECTIONS = """#!/bin/sh
# Stands in for NetworkManager's nm-initrd-generator 1.42: what it writes and says of these words.
connections=$2
shift 5
mkdir -p "$connections"
for word in "$@"; do
    case $word in
        ip=em1:dhcp) printf '[connection]\\nautoconnect-retries=1\\n' > "$connections/em1.nmconnection" ;;
        ip=*:*) echo "<warn>  [1.2] cmdline-reader: Invalid IP address '${word#ip=}'." >&2 ;;
        ip=?*) printf '[connection]\\n' > "$connections/default_connection.nmconnection" ;;
    esac
done
[ "$*" != crash ] || exit 1
"""


class NetworkWords:
    """What p2v-network makes of a kernel command line. said: on the consoles. automatic: DHCP on all the others."""

    def __init__(self, directory: Path, cmdline: str) -> None:
        generator = directory / "generator"
        generator.write_text(GENERATOR_OF_CONNECTIONS)
        generator.chmod(0o755)
        (directory / "cmdline").write_text(f"{cmdline}\n")
        places = {"P2V_PROC": directory, "P2V_RUN": directory / "run", "RUNTIME_DIRECTORY": directory / "said"}
        environment = {name: str(place) for name, place in {**places, "P2V_GENERATOR": generator}.items()}
        run_command([SCRIPTS / "network"], timeout=60, environment=environment)
        notice = directory / "said/network"
        self.said = notice.read_text() if notice.exists() else ""
        made = directory / "run/NetworkManager"
        self.automatic = not (made / "conf.d/p2v-command-line.conf").exists()
        self.connections = {path.stem: path.read_text() for path in made.glob("system-connections/*")}


def test_words_for_the_network_that_are_understood_are_not_spoken_of(tmp_path: Path) -> None:
    words = NetworkWords(tmp_path, "quiet ip=em1:dhcp p2v.server=h")
    assert words.said == ""
    assert not words.automatic
    assert "autoconnect-retries=0" in words.connections["em1"]


@pytest.mark.parametrize("word", ["ip=eth0:192.0.2.7", "ip=junk:x", "ip=", "nameserver=192.0.2.53", "crash"])
def test_words_of_which_nothing_is_left_leave_dhcp_on_every_interface_and_are_said(tmp_path: Path, word: str) -> None:
    words = NetworkWords(tmp_path, word)
    assert words.automatic
    assert "The network on the kernel command line: Nothing of it makes a connection" in words.said
    assert all(line.endswith(".") for line in words.said.splitlines())


def test_a_word_that_is_passed_over_beside_a_good_one_is_said(tmp_path: Path) -> None:
    words = NetworkWords(tmp_path, "ip=em1:dhcp ip=junk:x")
    assert not words.automatic
    assert words.said == "The network on the kernel command line: Invalid IP address 'junk:x'.\n"


@pytest.mark.parametrize(
    ("word", "said"), [("ip=192.168.1.999", True), ("ip=dhpc", True), ("ip=dhcp", False), ("ip=none", False)]
)
def test_a_way_to_get_an_address_that_nobody_knows_is_said(tmp_path: Path, word: str, said: bool) -> None:
    words = NetworkWords(tmp_path, f"quiet {word}")
    assert (f"{word} is not a way to get an address." in words.said) is said


def test_a_conversion_without_questions_says_what_was_wrong_with_the_network(runner: Runner) -> None:
    (runner.directory / "network").write_text("The network on the kernel command line: it is wrong.\n")
    assert runner.run(0).startswith("The network on the kernel command line: it is wrong.\n")


def test_a_conversion_without_questions_goes_on_with_a_wrong_keyboard_layout_and_says_so(runner: Runner) -> None:
    (runner.directory / "keymap").write_text("p2v.keymap: it is wrong.\n")
    said = runner.run(0)
    assert said.startswith("p2v.keymap: it is wrong.\n")
    assert "p2v-tui was started" in said


def test_the_keyboard_has_its_layout_before_anything_is_asked() -> None:
    text = (ROOT / "etc/systemd/system/p2v-console@.service").read_text()
    assert "\nAfter=p2v-unattended.service p2v-keymap.service\n" in text
    unit = (ROOT / "etc/systemd/system/p2v-keymap.service").read_text()
    assert "\nConditionKernelCommandLine=p2v.keymap\nBefore=p2v-unattended.service\n" in unit
    assert " p2v-keymap.service " in f" {(ROOT.parent / 'root.setup').read_text()} ".replace("\n", " ")


def test_the_network_and_the_bioss_disks_are_there_before_anything_looks_at_the_machine() -> None:
    for unit in ("p2v-console@.service", "p2v-unattended.service"):
        text = (ROOT / "etc/systemd/system" / unit).read_text()
        assert "\nWants=modprobe@edd.service\n" in text
        assert "\nAfter=modprobe@edd.service p2v-network.service\n" in text
