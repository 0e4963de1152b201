"""Bad input of every kind: the exit code, a message that says what is wrong and what to do, nothing left behind."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui import hwprobe
from tests.e2e.conftest import at, with_key, with_password
from tests.e2e.program import Outcome, run_p2v
from tests.lab.accounts import Account
from tests.lab.conversion_server import Authentication, ConversionServer, Identity, identity
from tests.lab.ports import closed_port, silent_port

SETTINGS, CONNECTION, PREFLIGHT, COMMAND = 2, 3, 4, 7
# Without it a server that cannot be reached is tried for an hour.
AT_ONCE = "p2v.reconnect=0"


def refused(outcome: Outcome, code: int, *words: str) -> None:
    """Checks that the outcome is this failure and that its text has these words."""
    assert outcome.code == code, outcome.output
    for word in words:
        assert word in outcome.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("p2v.port=0", ["p2v.port='0'", "1 to 65535"]),
        ("p2v.port=65536", ["p2v.port='65536'", "1 to 65535"]),
        ("p2v.port=abc", ["p2v.port='abc'", "not a whole number"]),
        ("p2v.memory=0", ["p2v.memory='0'", "1024M or 16G"]),
        ("p2v.memory=-1", ["p2v.memory='-1'", "not a size"]),
        ("p2v.memory=lots", ["p2v.memory='lots'", "not a size"]),
        ("p2v.oa=thin", ["p2v.oa='thin'", "sparse, preallocated"]),
        ("p2v.name=$(reboot)", ["$(reboot)", "letters and digits"]),
        ("p2v.name=a'b", ["p2v.name", "letters and digits"]),
        ('p2v.name="a b "', ["'a b '", "letters and digits"]),
        ("p2v.name=a/b", ["'a/b'", "letters and digits"]),
        ("p2v.name=nbd:a", ["'nbd:a'", "letters and digits"]),
        ('p2v.name="a\nb"', ["control character"]),
        (f"p2v.name={'x' * 300}", ["300 characters", "at most 200"]),
        ("p2v.disks=nosuchdisk", ["fixed disk nosuchdisk was not found", "There are"]),
        ("p2v.disks=", ["No fixed disk was found to convert"]),
        ("p2v.disks=/nonexistent/disk.img", ["fixed disk /nonexistent/disk.img was not found"]),
        ("p2v.o=rhv-upload", ["rhv-upload needs", "p2v.oc", "p2v.op"]),
        ("p2v.of=vmdkk", ["vmdkk", "raw or qcow2"]),
        ("p2v.os=guests", ["p2v.os=guests", "absolute path"]),
        ("p2v.oo=?", ["p2v.oo=?", "-o local -oo '?'"]),
        ("p2v.o=libvirt p2v.oc=qemu+ssh://root@other/system", ["another machine", "p2v.server=other"]),
    ],
)
def test_wrong_settings_are_named_with_what_is_valid(words: str, expected: list[str], small_disk: Path) -> None:
    disks = "" if "p2v.disks" in words else f" p2v.disks={small_disk}"
    outcome = run_p2v(f"p2v.server=127.0.0.1 {words}{disks}")
    # Where this machine has no disk to offer, the choices read otherwise.
    no_choice = "No fixed disk of this machine can be converted"
    refused(Outcome(outcome.code, outcome.output.replace(no_choice, "There are")), SETTINGS, *expected)


def test_the_disk_that_we_run_from_cannot_be_converted() -> None:
    running = next(disk for disk in hwprobe.probe().excluded if "runs now" in disk.reason)
    refused(run_p2v(f"p2v.server=127.0.0.1 p2v.disks={running.name}"), SETTINGS, running.name, running.reason)


def test_without_a_server_and_without_a_terminal_both_are_named() -> None:
    refused(
        run_p2v("quiet p2v.o=null"),
        SETTINGS,
        "No conversion server is given",
        "only on a terminal",
        "p2v.server=HOST",
    )


@pytest.mark.parametrize(
    ("words", "options"), [("p2v.server=h p2v.interactive", []), ("p2v.server=h", ["--interactive"])]
)
def test_the_screens_need_a_terminal(words: str, options: list[str]) -> None:
    refused(
        run_p2v(words, *options), SETTINGS, "The screens need a terminal", "Without --interactive and p2v.interactive"
    )


def test_an_unknown_setting_is_named_with_the_nearest_one() -> None:
    assert "did you mean p2v.memory?" in run_p2v("p2v.memmory=1G").output


def test_a_server_name_that_does_not_resolve(small_disk: Path) -> None:
    outcome = run_p2v(f"p2v.server=nosuch.invalid p2v.disks={small_disk} p2v.password=x {AT_ONCE}")
    refused(outcome, CONNECTION, "'nosuch.invalid'", "cannot be resolved", "DNS")


def test_a_server_that_refuses(small_disk: Path) -> None:
    with closed_port() as port:
        outcome = run_p2v(f"p2v.server=127.0.0.1 p2v.port={port} p2v.disks={small_disk} p2v.password=x {AT_ONCE}")
    refused(outcome, CONNECTION, f"refuses connections to port {port}", "sshd runs")


def test_a_silent_server(small_disk: Path) -> None:
    with silent_port() as port:
        outcome = run_p2v(f"p2v.server=127.0.0.1 p2v.port={port} p2v.disks={small_disk} p2v.password=x {AT_ONCE}")
    refused(outcome, CONNECTION, f"127.0.0.1 port {port} takes the connection, but no SSH server answers", "p2v.port")


@pytest.mark.parametrize("authentication", [Authentication.PASSWORD, Authentication.KEYBOARD_INTERACTIVE])
def test_a_wrong_password_is_sent_once(authentication: Authentication, account: Account, small_disk: Path) -> None:
    with ConversionServer(authentication=authentication) as server:
        outcome = run_p2v(
            f"{at(server)} p2v.username={account.name} p2v.password=not-{account.password} p2v.disks={small_disk}"
        )
        # Through PAM sshd logs a failure twice, once as PAM's and once as its own.
        tries = [line for line in server.log_text().splitlines() if line.startswith("Failed ")]
    refused(outcome, CONNECTION, f"refused the password of {account.name}", "sent once")
    assert len(tries) == 1


def test_no_password_and_nobody_to_ask(account: Account, password_server: ConversionServer, small_disk: Path) -> None:
    outcome = run_p2v(f"{at(password_server)} p2v.username={account.name} p2v.disks={small_disk}")
    refused(outcome, CONNECTION, "asks", "for a password, and none was given", "p2v.password or p2v.identity")


def test_a_server_that_takes_no_passwords(key_server: ConversionServer, account: Account, small_disk: Path) -> None:
    outcome = run_p2v(f"{with_password(key_server, account)} p2v.disks={small_disk}")
    refused(outcome, CONNECTION, "only by publickey", "p2v.identity")


def test_an_identity_that_the_server_does_not_know(
    key_server: ConversionServer, tmp_path: Path, small_disk: Path
) -> None:
    stranger = identity(tmp_path)
    outcome = run_p2v(f"{with_key(key_server, stranger)} p2v.disks={small_disk}")
    refused(outcome, CONNECTION, "refused the SSH identity for root", "authorized_keys")


def test_a_host_key_other_than_the_pinned_one(key_server: ConversionServer, key: Identity, small_disk: Path) -> None:
    pinned = "SHA256:" + "A" * 43
    outcome = run_p2v(f"{with_key(key_server, key)} p2v.remote.hostkey={pinned} p2v.disks={small_disk}")
    refused(outcome, CONNECTION, key_server.fingerprint, pinned, "Nothing was sent", "/etc/ssh/ssh_host_*_key.pub")


def test_forwarding_disabled_in_sshd(key: Identity, small_disk: Path) -> None:
    with ConversionServer(authorized=[key.public_key], sshd_options=["DisableForwarding yes"]) as server:
        outcome = run_p2v(f"{with_key(server, key)} p2v.disks={small_disk}")
    refused(outcome, PREFLIGHT, "does not forward a Unix socket", "AllowStreamLocalForwarding yes")


def test_no_virt_v2v(key: Identity, small_disk: Path) -> None:
    with ConversionServer(authorized=[key.public_key], hide=["/usr/bin/virt-v2v"]) as server:
        outcome = run_p2v(f"{with_key(server, key)} p2v.disks={small_disk}")
    refused(outcome, PREFLIGHT, "virt-v2v is not installed on the conversion server", "apt install virt-v2v")


def test_sudo_that_wants_a_password(small_disk: Path) -> None:
    with (
        Account(sudo=["ALL"], sudo_password=True) as operator,
        ConversionServer(authentication=Authentication.PASSWORD) as server,
    ):
        outcome = run_p2v(f"{with_password(server, operator)} p2v.sudo p2v.disks={small_disk}")
        refused(outcome, PREFLIGHT, "without a password", f"{operator.name} ALL=(root) NOPASSWD: /usr/bin/virt-v2v, ")


def test_a_user_that_sudo_does_not_know(
    account: Account, password_server: ConversionServer, small_disk: Path
) -> None:
    outcome = run_p2v(f"{with_password(password_server, account)} p2v.sudo p2v.disks={small_disk}")
    refused(outcome, PREFLIGHT, "without a password", "NOPASSWD")


def test_a_remote_tmp_that_is_full(key: Identity, small_disk: Path) -> None:
    with ConversionServer(authorized=[key.public_key], tmp_size=16 * 1024) as server:
        outcome = run_p2v(f"{with_key(server, key)} p2v.disks={small_disk}")
    refused(outcome, PREFLIGHT, "no space", "/tmp")


def test_an_output_mode_that_the_server_lacks(key_server: ConversionServer, key: Identity, small_disk: Path) -> None:
    outcome = run_p2v(f"{with_key(key_server, key)} p2v.o=floppynet p2v.disks={small_disk}")
    refused(outcome, SETTINGS, "no output mode 'floppynet'", "libvirt, local, null")


def test_an_nbd_server_that_is_not_installed(
    key_server: ConversionServer, key: Identity, small_disk: Path, tmp_path: Path
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("ssh", "ssh-keygen", "sh", "dmesg"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    words = f"{with_key(key_server, key)} p2v.nbd=nbdkit p2v.disks={small_disk}"
    refused(run_p2v(words, environment={"PATH": str(tools)}), PREFLIGHT, "nbdkit is not installed", "qemu-nbd")


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on loopback: its URL, and the directory that it serves."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_identity_that_the_web_server_does_not_have(web_server: tuple[str, Path], small_disk: Path) -> None:
    url = f"{web_server[0]}/id"
    outcome = run_p2v(f"p2v.server=127.0.0.1 p2v.identity={url} p2v.disks={small_disk}")
    refused(outcome, CONNECTION, url, "404")


def test_an_identity_from_a_web_server_logs_in(
    web_server: tuple[str, Path], key_server: ConversionServer, key: Identity, small_disk: Path
) -> None:
    url, directory = web_server
    shutil.copy(key.private_key, directory / "id")
    outcome = run_p2v(f"{at(key_server)} p2v.identity={url}/id p2v.disks={small_disk}", "--dry-run")
    assert outcome.code == 0, outcome.output


def test_an_identity_file_that_is_missing(small_disk: Path) -> None:
    outcome = run_p2v(f"p2v.server=127.0.0.1 p2v.identity=file:///nonexistent/id p2v.disks={small_disk}")
    refused(outcome, CONNECTION, "/nonexistent/id cannot be read", "on this machine")


def test_an_identity_with_a_passphrase(tmp_path: Path, small_disk: Path) -> None:
    locked = identity(tmp_path, passphrase="secret words")
    outcome = run_p2v(f"p2v.server=127.0.0.1 p2v.identity={locked.url} p2v.disks={small_disk}")
    refused(outcome, CONNECTION, "has a passphrase", "ssh-keygen")


def test_an_identity_that_others_can_read(tmp_path: Path, small_disk: Path) -> None:
    readable = identity(tmp_path)
    readable.private_key.chmod(0o644)
    outcome = run_p2v(f"p2v.server=127.0.0.1 p2v.identity={readable.url} p2v.disks={small_disk}")
    refused(outcome, CONNECTION, "mode 0644", f"chmod 600 {readable.private_key}")


def test_a_failure_runs_the_fail_command_and_not_the_post_command(small_disk: Path, tmp_path: Path) -> None:
    with closed_port() as port:
        run_p2v(
            f"p2v.server=127.0.0.1 p2v.port={port} p2v.disks={small_disk} {AT_ONCE} "
            f'p2v.pre="touch {tmp_path}/pre" p2v.post="touch {tmp_path}/post" p2v.fail="touch {tmp_path}/fail"'
        )
    assert {path.name for path in tmp_path.iterdir()} == {"disk.img", "pre", "fail"}


def test_a_setting_that_cannot_be_used_runs_the_fail_command_too(tmp_path: Path) -> None:
    outcome = run_p2v(f'p2v.server=127.0.0.1 p2v.memory=lots p2v.fail="touch {tmp_path}/fail"')
    refused(outcome, SETTINGS, "p2v.memory='lots'")
    assert (tmp_path / "fail").exists()


def test_a_pre_command_that_fails_stops_everything(small_disk: Path, tmp_path: Path) -> None:
    words = f'p2v.server=127.0.0.1 p2v.disks={small_disk} p2v.pre=false p2v.fail="touch {tmp_path}/fail"'
    refused(run_p2v(words), COMMAND, "The command of p2v.pre failed")
    assert (tmp_path / "fail").exists()


def test_an_empty_host_key_setting_does_not_turn_the_check_off(small_disk: Path) -> None:
    refused(run_p2v(f"p2v.server=127.0.0.1 p2v.remote.hostkey= p2v.disks={small_disk}"), SETTINGS, "is empty")


def test_a_test_disk_beside_other_disks_is_refused(small_disk: Path) -> None:
    outcome = run_p2v(f"p2v.server=127.0.0.1 p2v.disks={small_disk}", f"--test-disk={small_disk}")
    refused(outcome, SETTINGS, "--test-disk and p2v.disks")


def test_the_help_names_every_option_and_exit_code() -> None:
    text = run_p2v("", "--help").output
    for option in ("--cmdline", "--iso", "--test-disk", "--colours", "--dry-run", "--verbose", "--version", "  6  "):
        assert option in text
