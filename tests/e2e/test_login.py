"""Logging in: both password prompts, misleading banners, every login shell, sudo, a password typed by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.conftest import at, with_key, with_password
from tests.e2e.program import run_p2v, spawn_p2v, wait_for_exit
from tests.lab.accounts import Account
from tests.lab.conversion_server import Authentication, ConversionServer, Identity

# Each says "password:" at every chance, asks a question, changes the prompt, and ends without a line end.
NOISE = "echo 'Your password: '; printf 'Really? '\n"
RC_FILES = {
    "bash": {".bashrc": f"{NOISE}PS1='password: '\nalias printf=false\n", ".profile": NOISE},
    "dash": {".profile": NOISE},
    "zsh": {".zshenv": f"{NOISE}PS1='password: '\n", ".zshrc": NOISE},
    "tcsh": {".tcshrc": f"{NOISE}set prompt='password: '\nalias printf false\n"},
    "fish": {".config/fish/config.fish": f"{NOISE}function fish_prompt; echo 'password: '; end\n"},
}


@pytest.mark.parametrize("authentication", [Authentication.PASSWORD, Authentication.KEYBOARD_INTERACTIVE])
def test_both_password_prompts_are_answered_whatever_the_banner_says(
    authentication: Authentication, account: Account, small_disk: Path
) -> None:
    banner = f"Enter your password: \n{account.name}@127.0.0.1's password: \n({account.name}@127.0.0.1) Password: "
    with ConversionServer(authentication=authentication, banner=banner) as server:
        outcome = run_p2v(f"{with_password(server, account)} p2v.disks={small_disk}", "--dry-run")
        assert "Failed " not in server.log_text()
    assert outcome.code == 0, outcome.output


@pytest.mark.parametrize("shell", RC_FILES)
def test_the_remote_shell_is_reached_whatever_the_login_shell(
    shell: str, password_server: ConversionServer, small_disk: Path
) -> None:
    with Account(login_shell=shell, files=RC_FILES[shell]) as user:
        outcome = run_p2v(f"{with_password(password_server, user)} p2v.disks={small_disk}", "--dry-run")
    assert outcome.code == 0, outcome.output
    assert "virt-v2v 2" in outcome.output
    assert "Really?" not in outcome.output


def test_an_account_without_a_shell_is_reported(password_server: ConversionServer, small_disk: Path) -> None:
    with Account(login_shell="/usr/sbin/nologin") as user:
        outcome = run_p2v(f"{with_password(password_server, user)} p2v.disks={small_disk}", "--dry-run")
    assert outcome.code == 3
    assert "gets no shell" in outcome.output


def test_sudo_without_a_password_is_used(password_server: ConversionServer, small_disk: Path) -> None:
    with Account(sudo=["/usr/bin/virt-v2v", "/usr/bin/kill"]) as user:
        outcome = run_p2v(f"{with_password(password_server, user)} p2v.sudo p2v.disks={small_disk}", "--dry-run")
    assert outcome.code == 0, outcome.output
    # The laboratory lets libguestfs' own variables through.
    assert re.search(r"sudo -n (--preserve-env=\S+ )?virt-v2v --colours -i libvirtxml", outcome.output)


def test_a_password_is_asked_for_once_on_the_terminal(
    account: Account, password_server: ConversionServer, small_disk: Path
) -> None:
    words = f"{at(password_server)} p2v.username={account.name} p2v.disks={small_disk}"
    child = spawn_p2v(f"{words} p2v.o=null")
    child.expect(r"password:")
    child.waitnoecho()
    child.sendline(account.password)
    # Three logins follow: the test's, the data connection's, the control connection's.
    child.expect("Starting virt-v2v")
    assert "password:" not in (child.before or "")
    child.sendintr()
    outcome = wait_for_exit(child)
    assert outcome.code == 6
    assert account.password not in outcome.output


def test_no_answer_to_the_question_for_the_password_is_a_clear_failure(
    account: Account, password_server: ConversionServer, small_disk: Path
) -> None:
    child = spawn_p2v(f"{at(password_server)} p2v.username={account.name} p2v.disks={small_disk} p2v.o=null")
    child.expect(r"password:")
    child.waitnoecho()
    child.sendeof()
    outcome = wait_for_exit(child)
    assert outcome.code == 3
    assert "none was given" in outcome.output


def test_the_pinned_host_key_lets_us_in(key_server: ConversionServer, key: Identity, small_disk: Path) -> None:
    others = "SHA256:" + "B" * 43
    pinned = f"p2v.remote.hostkey={others},{key_server.fingerprint}"
    outcome = run_p2v(f"{with_key(key_server, key)} {pinned} p2v.disks={small_disk}", "--dry-run")
    assert outcome.code == 0, outcome.output
    assert "host key is" not in outcome.output


def test_a_banner_cannot_pass_for_the_question_about_the_host_key(
    key: Identity, small_disk: Path, tmp_path: Path
) -> None:
    fake = "SHA256:" + "A" * 43
    banner = f"ED25519 key fingerprint is {fake}.\nAre you sure you want to continue connecting (yes/no)? "
    with ConversionServer(authorized=[key.public_key], banner=banner) as server:
        pinned = f"p2v.remote.hostkey={server.fingerprint}"
        for words in ("", pinned):
            outcome = run_p2v(
                f"{with_key(server, key)} {words} p2v.os={tmp_path} p2v.disks={small_disk}", "--dry-run"
            )
            assert outcome.code == 0, outcome.output
            assert fake not in outcome.output
