"""What the account's start-up files set reaches virt-v2v, whatever else these files do; through sudo, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import with_password
from tests.e2e.program import Outcome, run_p2v
from tests.lab.accounts import Account
from tests.lab.conversion_server import Authentication, ConversionServer

PROFILE = 'export OS_AUTH_URL="https://a b/\'c" LIBGUESTFS_MEMSIZE=1024 TMOUT=60\n'
# Noise, a question, and what only a terminal has.
NOISE = "echo Welcome; printf 'Go on? '; read answer; stty -a\n"
CSH = 'echo Welcome\nsetenv OS_AUTH_URL "https://a b/\'c"\nsetenv LIBGUESTFS_MEMSIZE 1024\n'
FISH = 'echo Welcome\nset -gx OS_AUTH_URL "https://a b/\'c"; set -gx LIBGUESTFS_MEMSIZE 1024\n'
FILES = {
    "bash": {".bash_profile": NOISE + PROFILE},
    "dash": {".profile": NOISE + PROFILE},
    "zsh": {".zprofile": NOISE + PROFILE},
    "fish": {".config/fish/config.fish": FISH},
    "tcsh": {".login": CSH},
}
SET = {"OS_AUTH_URL": "https://a b/'c", "LIBGUESTFS_MEMSIZE": "1024"}
# A virt-v2v that writes down what it sees of the environment.
RECORDER = """#!/bin/sh
printenv >{record} 2>/dev/null
echo 'virt-v2v 2.2.0'
[ "$1" = --version ] || printf 'virt-v2v\\noutput:local\\noutput:null\\n'
"""


@pytest.fixture
def record() -> Path:
    """A file for virt-v2v's environment. Not below pytest's directory, which other accounts cannot read."""
    return Path("/var/tmp/p2v-tui-environment")


@pytest.fixture
def server(tmp_path: Path, record: Path) -> ConversionServer:
    """Not started yet."""
    recorder = tmp_path / "virt-v2v"
    recorder.write_text(RECORDER.format(record=record))
    recorder.chmod(0o755)
    record.write_text("")
    record.chmod(0o666)
    return ConversionServer(authentication=Authentication.PASSWORD, replace={"/usr/bin/virt-v2v": recorder})


def dry_run(server: ConversionServer, account: Account, disk: Path, *words: str) -> Outcome:
    settings = f"{with_password(server, account)} p2v.disks={disk} p2v.o=null"
    return run_p2v(" ".join([settings, *words]), "--dry-run")


def seen(record: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in record.read_text().splitlines() if "=" in line)


@pytest.mark.parametrize("shell", FILES)
def test_virt_v2v_sees_what_the_profile_sets(
    shell: str, server: ConversionServer, small_disk: Path, record: Path
) -> None:
    with Account(login_shell=shell, files=FILES[shell]) as user, server:
        outcome = dry_run(server, user, small_disk)
    found = seen(record)
    assert {name: found.get(name) for name in SET} == SET, outcome.output
    assert "TMOUT" not in found
    assert "runs without" not in outcome.output
    # They may be secret.
    assert SET["OS_AUTH_URL"] not in outcome.output


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("exec sh\n", "end the shell, or start another one"),
        ("exit 1\n", "end the shell"),
        ("sleep 60\n", "did not end within 10 seconds"),
    ],
)
def test_a_profile_that_does_not_come_to_an_end_is_skipped_with_words(
    profile: str, words: str, server: ConversionServer, small_disk: Path
) -> None:
    with Account(files={".bash_profile": profile}) as user, server:
        outcome = dry_run(server, user, small_disk)
    assert f"runs without what the profile of {user.name} sets" in outcome.output
    assert words in outcome.output
    assert "virt-v2v 2.2.0" in outcome.output


def test_virt_v2v_is_found_in_the_path_of_the_profile(small_disk: Path, server: ConversionServer) -> None:
    own = {
        "bin/virt-v2v": "#!/bin/sh\necho 'virt-v2v 2.9.9'\n",
        ".bash_profile": "chmod +x ~/bin/virt-v2v; PATH=~/bin:$PATH\n",
    }
    with Account(files=own) as user, server:
        outcome = dry_run(server, user, small_disk)
    assert "2.9.9" in outcome.output


def test_sudo_passes_on_what_the_sudoers_let_through_and_the_rest_is_named(
    server: ConversionServer, small_disk: Path, record: Path
) -> None:
    profile = "export LIBGUESTFS_BACKEND=direct OS_CLOUD=here VIRTIO_WIN=/srv/win EDITOR=vi\n"
    with Account(sudo=["/usr/bin/virt-v2v", "/usr/bin/kill"], files={".bash_profile": profile}) as user, server:
        outcome = dry_run(server, user, small_disk, "p2v.sudo")
    # The laboratory's sudoers keep LIBGUESTFS_BACKEND.
    assert "does not pass OS_CLOUD, VIRTIO_WIN on to virt-v2v" in outcome.output
    assert f'Defaults:{user.name} env_keep += "OS_CLOUD VIRTIO_WIN"' in outcome.output
    assert "--preserve-env=LIBGUESTFS_BACKEND" in outcome.output
    assert seen(record)["LIBGUESTFS_BACKEND"] == "direct"


def test_sudo_with_setenv_passes_on_everything(server: ConversionServer, small_disk: Path) -> None:
    profile = "export OS_CLOUD=here VIRTIO_WIN=/srv/win\n"
    rules = ["SETENV: /usr/bin/virt-v2v", "/usr/bin/kill"]
    with Account(sudo=rules, files={".bash_profile": profile}) as user, server:
        outcome = dry_run(server, user, small_disk, "p2v.sudo")
    assert "does not pass" not in outcome.output
    assert "OS_CLOUD,VIRTIO_WIN" in outcome.output
