"""The screens as an operator uses them: the real program on a real terminal, by keyboard only."""

from __future__ import annotations

import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.disturbed import COPYING, DETACHED, Lab, laboratory
from tests.e2e.program import CONVERSION_SECONDS, PROGRAM
from tests.lab.accounts import Account
from tests.lab.boot import boot_until_login
from tests.lab.by_keyboard import fill_in, move_to, press, start_conversion
from tests.lab.conversion_server import ConversionServer, Identity
from tests.lab.guest_disk import guest_disk
from tests.lab.stand_in import Behaviour
from tests.lab.terminal import Terminal

NO_GUEST = "inspection could not detect the source guest (or physical machine)."


@pytest.mark.xdist_group("emulation 2")
def test_from_an_empty_screen_to_a_guest_that_boots_with_a_wrong_password_on_the_way(
    account: Account, password_server: ConversionServer
) -> None:
    output = account.home / "tui-out"
    output.mkdir()
    output.chmod(0o777)
    with Terminal([PROGRAM, f"--test-disk={guest_disk()}", "--cmdline="]) as terminal:
        terminal.wait_for(r"Conversion server \(1 of 3\)")
        fill_in(terminal, "Conversion server", password_server.host)
        fill_in(terminal, "SSH port", str(password_server.port))
        fill_in(terminal, "User name", account.name)
        fill_in(terminal, "Password", "wrong", shown="*****")
        press(terminal, "Test connection")
        terminal.wait_for(r"Is this the conversion server\?[\s\S]*" + re.escape(password_server.fingerprint))
        press(terminal, "Yes, it is")
        # The focus is where the mistake is.
        terminal.wait_for(r">\s*Password \(\^P shows\):[\s\S]*refused\s+the\s+password")
        fill_in(terminal, "Password", account.password, shown="*" * len(account.password))
        press(terminal, "Test connection")
        terminal.wait_for(r">\[ Next \][\s\S]*\[ ok \] login")
        terminal.press("Enter")
        terminal.wait_for(r"Conversion \(2 of 3\)[\s\S]*Guest name")
        fill_in(terminal, "Guest name", "by-keyboard")
        fill_in(terminal, "Storage (-os), needed", str(output))
        start_conversion(terminal)
        terminal.wait_for(r"Conversion \(3 of 3\)")
        terminal.wait_for(r"by-keyboard-sd\*[\s\S]*\[ Quit \]", seconds=CONVERSION_SECONDS)
        assert account.password not in terminal.screen()
        press(terminal, "Back")
        terminal.wait_for(r"Conversion \(2 of 3\)")
        terminal.press("Escape")
        terminal.wait_for(r"Conversion server \(1 of 3\)")
        terminal.press("Escape")
        # Not before the dialog is there: a key close behind Esc makes an Alt of it.
        terminal.wait_for(r"Leave p2v-tui\?")
        press(terminal, "Leave")
        assert terminal.wait_for_exit() == 0
    boot_until_login([output / "by-keyboard-sda"])


def test_the_shell_key_opens_a_shell_and_exit_comes_back(small_disk: Path) -> None:
    with Terminal([PROGRAM, f"--test-disk={small_disk}", "--cmdline="], environment={"SHELL": "/bin/sh"}) as terminal:
        terminal.wait_for(r"Conversion server \(1 of 3\)")
        terminal.press("C-x")
        terminal.wait_for("come back when it ends")
        terminal.type("echo $((6 * 7)) is the answer; exit\n")
        terminal.wait_for(r">\s*Conversion server:")


def test_settings_are_saved_on_the_server_and_loaded_again(
    account: Account, password_server: ConversionServer, small_disk: Path
) -> None:
    words = f"p2v.server={password_server.host} p2v.port={password_server.port} p2v.username={account.name}"
    command = [PROGRAM, "--interactive", f"--test-disk={small_disk}", f"--cmdline={words}"]
    with Terminal(command) as terminal:
        terminal.wait_for(r">\s*Conversion server:")
        fill_in(terminal, "Password", account.password, shown="*" * len(account.password))
        press(terminal, "Test connection")
        terminal.wait_for(r"Is this the conversion server\?")
        press(terminal, "Yes, it is")
        terminal.wait_for(r">\[ Next \]")
        terminal.press("Enter")
        terminal.wait_for(r"Conversion \(2 of 3\)[\s\S]*Guest name")
        fill_in(terminal, "Guest name", "kept")
        press(terminal, "Show as kernel arguments", "Up")
        terminal.wait_for(r"p2v\.password=\.\.\.")
        press(terminal, "Save", "Right")
        terminal.wait_for(r"Save settings[\s\S]*>Directory or file")
        move_to(terminal, "Where", "Up")
        terminal.press("Left")
        terminal.wait_for(r"< conversion server >[\s\S]*p2v-tui-kept\.conf")
        press(terminal, "Save", "Down")
        terminal.wait_for(r"Settings saved[\s\S]*p2v-tui-kept\.conf on ")
        path = account.home / "p2v-tui-kept.conf"
        assert path.owner() == account.name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert account.password not in path.read_text()
        # It was asked about, and need not be asked about again.
        assert f"p2v.hostkey={password_server.fingerprint}" in path.read_text()
        path.write_text(path.read_text().replace("p2v.name=kept", "p2v.name=changed"))
        terminal.press("Enter")
        terminal.wait_for(r"Conversion \(2 of 3\)[\s\S]*>\[ Show as kernel")
        terminal.press("Escape")
        terminal.wait_for(r"Conversion server \(1 of 3\)")
        terminal.press("F8")
        terminal.wait_for(r"< conversion server >[\s\S]*p2v-tui-kept\.conf")
        terminal.press("Enter")
        terminal.wait_for(r"Settings loaded[\s\S]*p2v\.password=\.\.\.")
        terminal.press("Enter")
        press(terminal, "Test connection")
        terminal.wait_for(r">\[ Next \]")
        terminal.press("Enter")
        terminal.wait_for(r"Guest name: \[changed")


# A conversion that outlives the screens. A stand-in takes virt-v2v's place.


@pytest.fixture
def lab(tmp_path: Path, key: Identity) -> Iterator[Lab]:
    with laboratory(tmp_path, key) as made:
        yield made


def screens(lab: Lab, term: str = "vt220") -> Terminal:
    words = f"{lab.settings} p2v.remote.hostkey={lab.server.fingerprint} p2v.accept_warnings"
    return Terminal([PROGRAM, "--interactive", f"--cmdline={words}"], term=term)


def converting(lab: Lab) -> bool:
    """Whether virt-v2v or the relay runs. The control connection is kept for another try."""
    words = [" ".join(process.cmdline()) for process in lab.server.session_processes()]
    return any(program in line for line in words for program in ("virt-v2v", "nbd_relay.pyz"))


def convert_until_the_copy(terminal: Terminal, lab: Lab) -> None:
    """Starts a conversion by keyboard, from the first screen on; virt-v2v then waits in mid-copy."""
    terminal.wait_for(r">\s*Conversion server:")
    press(terminal, "Test connection")
    terminal.wait_for(r">\[ Next \]")
    terminal.press("Enter")
    terminal.wait_for(r"Conversion \(2 of 3\)[\s\S]*Guest name")
    start_conversion(terminal)
    terminal.wait_for(r"\[ \.\. \] Copying disk 1/1")
    lab.stand_in.wait_for(COPYING)


@pytest.mark.parametrize("term", ["vt220", "linux", "xterm-256color"])
def test_everything_is_reached_by_tab_arrows_enter_and_space(term: str, lab: Lab) -> None:
    """Also: a failed conversion is retried, and a running one cancelled."""
    lab.stand_in.behave(Behaviour(fails=NO_GUEST))
    with screens(lab, term=term) as terminal:
        terminal.wait_for(r">\s*Conversion server:")
        press(terminal, "More", "Up")
        terminal.wait_for("About: the version")
        press(terminal, "About", "Right")
        terminal.wait_for("About p2v-tui")
        terminal.press("Space")
        terminal.wait_for(r"\A(?![\s\S]*About p2v-tui)")
        press(terminal, "Test connection", "Down")
        terminal.wait_for(r">\[ Next \]")
        terminal.press("Space")
        terminal.wait_for(r"Conversion \(2 of 3\)[\s\S]*Guest name")
        move_to(terminal, "Copy the physical CPU topology", "Down")
        terminal.press("Space")
        terminal.wait_for(r"> \[x\] Copy the physical CPU topology")
        terminal.press("Space")
        press(terminal, "Show as kernel arguments", "Up")
        terminal.wait_for(r"p2v\.disks=")
        terminal.press("Enter")
        start_conversion(terminal)
        terminal.wait_for(r"inspection could not detect the source\s+guest")
        lab.pause_at("Opening the source")
        press(terminal, "Back")
        terminal.wait_for(r"Conversion \(2 of 3\)")
        start_conversion(terminal)
        terminal.wait_for(r"\[ \.\. \] Opening the source")
        press(terminal, "Cancel conversion")
        # The safe answer has the focus.
        terminal.wait_for(r">\[ No\b")
        terminal.press("Enter")
        terminal.wait_for(r"\[ Cancel conversion \]")
        press(terminal, "Cancel conversion")
        press(terminal, "Yes", "Right")
        terminal.wait_for(r"[Cc]ancelled[\s\S]*\[ Back \]")
        assert not converting(lab)


def test_killed_in_mid_conversion_it_is_continued_by_the_keyboard(lab: Lab) -> None:
    go_on = lab.pause_at(COPYING)
    with screens(lab) as terminal:
        convert_until_the_copy(terminal, lab)
        terminal.signal(signal.SIGKILL)
        terminal.wait_for_exit()
    with screens(lab) as terminal:
        shown = terminal.wait_for(r"A conversion was left running[\s\S]*>\[ Continue it \]")
        assert f"to {lab.server.host}" in " ".join(shown.replace("|", " ").split())
        terminal.press("Enter")
        terminal.wait_for(r"Conversion \(3 of 3\)[\s\S]*\[ \.\. \] Copying disk 1/1")
        go_on.touch()
        terminal.wait_for(r"Conversion finished successfully[\s\S]*>\[ Quit \]")
        assert lab.copied
        press(terminal, "Back", "Left")
        terminal.wait_for(r">\s*Conversion server:")
        terminal.press("Escape")
        terminal.wait_for(r"Leave p2v-tui\?")
        press(terminal, "Leave")
        assert terminal.wait_for_exit() == 0
    assert [event.name for event in lab.stand_in.events()].count("start") == 1


def test_a_server_that_cannot_be_reached_is_reported_until_it_is_back(lab: Lab) -> None:
    go_on = lab.pause_at(COPYING)
    with screens(lab) as terminal:
        convert_until_the_copy(terminal, lab)
        lab.server.stop_sshd()
        terminal.wait_for(r"!!! LOST since \d\d:\d\d:\d\d: .*the control connection")
        terminal.wait_for(r"!!! LOST since .*the data connection of")
        lab.server.start()
        terminal.wait_for(r"\A(?![\s\S]*!!!)[\s\S]*is back after")
        go_on.touch()
        terminal.wait_for(r"Conversion finished successfully[\s\S]*>\[ Quit \]")
        assert lab.copied


def cancel_without_the_server(terminal: Terminal, lab: Lab) -> None:
    """The conversion copies; its server is lost, and then it is cancelled."""
    convert_until_the_copy(terminal, lab)
    lab.server.stop_sshd()
    terminal.wait_for(r"!!! LOST since .*the control connection")
    press(terminal, "Cancel conversion")
    press(terminal, "Yes", "Right")


def test_cancelled_while_the_server_cannot_be_reached_it_ends_when_it_is_back(lab: Lab) -> None:
    lab.pause_at(COPYING)
    with screens(lab) as terminal:
        cancel_without_the_server(terminal, lab)
        terminal.wait_for(r"!!! No connection to the server since")
        assert converting(lab)
        lab.server.start()
        terminal.wait_for(r"Cancelled\.[\s\S]*\[ Back \]")
        assert not converting(lab)


def test_cancelled_twice_it_does_not_wait_for_the_server(lab: Lab) -> None:
    lab.pause_at(COPYING)
    with screens(lab) as terminal:
        cancel_without_the_server(terminal, lab)
        terminal.wait_for(r"\[ Stop waiting \]")
        press(terminal, "Stop waiting")
        terminal.wait_for(r"Stop waiting for the server\?")
        press(terminal, "Yes", "Right")
        terminal.wait_for(r"Cancelled\.[\s\S]*\[ Back \]")
        terminal.wait_for(r"virt-v2v could not be stopped")
        assert converting(lab)


@pytest.mark.parametrize("how", ["left", "told to end", "hung up"])
def test_left_waiting_or_ended_from_outside_it_can_be_stopped_at_the_next_start(how: str, lab: Lab) -> None:
    lab.pause_at(COPYING)
    with screens(lab) as terminal:
        convert_until_the_copy(terminal, lab)
        if how == "left":
            terminal.press("Escape")
            terminal.wait_for("The conversion is running")
            press(terminal, "Leave the screen", "Right")
            terminal.wait_for(r"Conversion \(2 of 3\)")
            terminal.press("Escape")
            terminal.wait_for(r"Conversion server \(1 of 3\)")
            terminal.press("Escape")
            terminal.wait_for(r"Let it wait: virt-v2v waits on the conversion server")
            press(terminal, "Let it wait and leave", "Right")
        elif how == "told to end":
            terminal.signal(signal.SIGTERM)
        if how == "hung up":
            terminal.hang_up()
        else:
            assert terminal.wait_for_exit() == DETACHED
    assert converting(lab)
    with screens(lab) as terminal:
        terminal.wait_for(r"A conversion was left running[\s\S]*>\[ Continue it \]")
        press(terminal, "Stop it", "Right")
        terminal.wait_for(r"virt-v2v does not run any more on")
        assert lab.at_rest
        terminal.press("Enter")
        terminal.wait_for(r">\s*Conversion server:")
