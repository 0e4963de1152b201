"""A virt-v2v that is installed but does not run: sudo, the loader and the kernel each print their own errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.e2e.conftest import with_password
from tests.e2e.program import run_p2v
from tests.lab.accounts import Account
from tests.lab.conversion_server import Authentication, ConversionServer

VIRT_V2V = "/usr/bin/virt-v2v"
# Of a server that has another program at that path: what is printed. More settings come last.
Refusal: TypeAlias = Callable[[str, str, str], str]


@pytest.fixture
def refusal(tmp_path: Path, account: Account, small_disk: Path) -> Refusal:
    def run(path: str, content: str, more: str) -> str:
        program = tmp_path / Path(path).name
        program.write_text(content)
        program.chmod(0o755)
        with ConversionServer(authentication=Authentication.PASSWORD, replace={path: program}) as server:
            outcome = run_p2v(f"{with_password(server, account)} p2v.disks={small_disk} {more}")
        assert outcome.code == 4, outcome.output
        return outcome.output

    return run


@pytest.mark.parametrize(
    ("program", "words", "not_words"),
    [
        (
            "#!/bin/sh\necho 'virt-v2v: error while loading shared libraries: libx.so.1: gone' >&2; exit 127\n",
            ["does not start: error while loading shared libraries: libx.so.1", "ldd /usr/bin/virt-v2v"],
            ["not installed"],
        ),
        ("#!/nonexistent/interpreter\n", ["/usr/bin/virt-v2v"], ["is not installed", "apt install"]),
        ("\x7fELF of another machine", ["/usr/bin/virt-v2v", "cannot be run", "findmnt"], ["not installed"]),
        ("#!/bin/sh\necho 'Fatal error: exception Not_found'; exit 2\n", ["exit code 2", "Fatal error"], []),
    ],
)
def test_a_virt_v2v_that_cannot_be_started_is_not_called_missing(
    program: str, words: list[str], not_words: list[str], refusal: Refusal
) -> None:
    output = refusal(VIRT_V2V, program, "")
    for word in words:
        assert word in output
    for word in not_words:
        assert word not in output


def test_a_directory_that_sudos_secure_path_lacks_is_named(small_disk: Path) -> None:
    own = {
        "bin/virt-v2v": "#!/bin/sh\necho 'virt-v2v 2.9.9'\n",
        ".bash_profile": "chmod +x ~/bin/*; PATH=~/bin:$PATH\n",
    }
    with (
        Account(sudo=["ALL"], files=own) as user,
        ConversionServer(authentication=Authentication.PASSWORD, hide=[VIRT_V2V]) as server,
    ):
        outcome = run_p2v(f"{with_password(server, user)} p2v.sudo p2v.disks={small_disk}")
    assert outcome.code == 4, outcome.output
    assert f"It is {user.home}/bin/virt-v2v: sudo's secure_path lacks that directory" in outcome.output
    assert f':/bin:{user.home}/bin"' in outcome.output
    assert "apt install" not in outcome.output


@pytest.mark.parametrize(
    "said",
    [
        "sudo-rs: interactive authentication is required",
        "sudo-rs: I'm sorry conv. I'm afraid I can't do that",
        "sudo: a password is required",
        "Sorry, user conv is not allowed to execute '/usr/bin/virt-v2v --version' as root on server.",
    ],
)
def test_every_sudo_that_refuses_gets_the_line_for_sudoers(said: str, account: Account, refusal: Refusal) -> None:
    output = refusal("/usr/bin/sudo", f'#!/bin/sh\necho "{said}" >&2\nexit 1\n', "p2v.sudo")
    assert f"{account.name} ALL=(root) NOPASSWD: /usr/bin/virt-v2v" in output
    assert "repair the installation" not in output
