"""Login failures of real servers, each by its own cause, and what the operator can do about it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import at, with_key, with_password
from tests.e2e.program import run_p2v
from tests.lab.accounts import Account
from tests.lab.conversion_server import Authentication, ConversionServer, Identity


def refusal(words: str, small_disk: Path) -> str:
    outcome = run_p2v(f"{words} p2v.disks={small_disk}", "--dry-run")
    assert outcome.code == 3, outcome.output
    return outcome.output


@pytest.mark.parametrize("authentication", [Authentication.PASSWORD, Authentication.KEYBOARD_INTERACTIVE])
def test_an_expired_password_is_not_called_a_wrong_one(authentication: Authentication, small_disk: Path) -> None:
    with Account() as user, ConversionServer(authentication=authentication) as server:
        subprocess.run(["chage", "-d", "0", user.name], check=True)
        output = refusal(with_password(server, user), small_disk)
    assert f"The password of {user.name}" in output
    assert "has expired" in output
    assert "refused the password" not in output


@pytest.mark.parametrize("method", ["password", "keyboard-interactive:pam"])
def test_an_identity_that_is_accepted_and_not_enough_is_said_to_be(
    method: str, key: Identity, account: Account, small_disk: Path
) -> None:
    options = [f"AuthenticationMethods publickey,{method}"]
    kind = Authentication.PASSWORD if method == "password" else Authentication.KEYBOARD_INTERACTIVE
    with ConversionServer(authentication=kind, authorized=[key.public_key], sshd_options=options) as server:
        output = refusal(f"{with_key(server, key)} p2v.username={account.name}", small_disk)
    assert f"accepted the SSH identity of {account.name}, and wants a password besides" in output
    assert "AuthenticationMethods publickey" in output
    assert "authorized_keys" not in output


def test_a_password_that_is_accepted_and_not_enough_is_said_to_be(account: Account, small_disk: Path) -> None:
    options = ["AuthenticationMethods password,publickey"]
    with ConversionServer(authentication=Authentication.PASSWORD, sshd_options=options) as server:
        output = refusal(with_password(server, account), small_disk)
    assert f"took the password of {account.name} and wants more: publickey" in output


def test_a_kind_of_key_that_the_server_does_not_take_is_hinted_at(tmp_path: Path, small_disk: Path) -> None:
    rsa = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa], check=True)
    options = ["PubkeyAcceptedAlgorithms ssh-ed25519"]
    with ConversionServer(authorized=[Path(f"{rsa}.pub")], sshd_options=options) as server:
        output = refusal(f"{at(server)} p2v.identity={rsa.as_uri()}", small_disk)
    assert "It is of type RSA" in output
    assert "PubkeyAcceptedAlgorithms" in output


def test_root_is_told_about_permit_root_login(small_disk: Path) -> None:
    options = ["PermitRootLogin prohibit-password"]
    with ConversionServer(authentication=Authentication.PASSWORD, sshd_options=options) as server:
        output = refusal(f"{at(server)} p2v.password=right", small_disk)
    assert "refused the password of root" in output
    assert "PermitRootLogin" in output


@pytest.mark.parametrize("shell", ["/bin/false", "/usr/sbin/nologin"])
def test_a_login_shell_that_is_not_a_shell_is_named(
    shell: str, password_server: ConversionServer, small_disk: Path
) -> None:
    with Account(login_shell=shell) as user:
        output = refusal(with_password(password_server, user), small_disk)
    assert "gets no shell" in output
    assert "password:" not in output


@pytest.mark.parametrize(
    ("options", "files", "words"),
    [
        (["ForceCommand printf 'Your choice? '; read answer"], {}, "waits at 'Your choice?'"),
        ([], {".bashrc": "printf 'Go on? [y/N] '; read answer\n"}, "waits at 'Go on? [y/N]'"),
        (["ForceCommand echo Maintenance, come back later"], {}, "Maintenance, come back later"),
    ],
)
def test_a_shell_that_asks_or_ends_is_named(
    options: list[str], files: dict[str, str], words: str, small_disk: Path
) -> None:
    with (
        Account(files=files) as user,
        ConversionServer(authentication=Authentication.PASSWORD, sshd_options=options) as server,
    ):
        output = refusal(with_password(server, user), small_disk)
    assert words in output
    assert "ForceCommand" in output
