"""The survey of a real conversion server: over ssh, as an ordinary user, with no more sudo than conversions need."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2v_tui.config import Settings
from p2v_tui.hwprobe import probe
from p2v_tui.session.plan.plan import Plan, make_plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.preflight.server_checks import judge_server
from p2v_tui.session.preflight.server_facts import Directory, Place, ServerFacts, survey_server
from p2v_tui.session.ssh.login import Login, PasswordSource
from p2v_tui.session.ssh.shell import ShellConnection
from p2v_tui.session.words.cancellation import Cancellation
from p2v_tui.session.words.checks import Verdict, of_verdict
from tests.lab.accounts import Account
from tests.lab.conversion_server import ConversionServer, Identity

FOUND = VirtV2V("2.2.0", frozenset(), ())


@pytest.fixture(scope="module")
def user() -> Iterator[Account]:
    """An account that sudo lets do what docs/conversion-server.md asks for, and nothing else."""
    with Account(sudo=["/usr/bin/virt-v2v", "/usr/bin/kill"]) as made:
        yield made


def plan_for(image: Path, **settings: str) -> Plan:
    return make_plan(Settings(disks=(str(image),), guestname="db1", **settings), probe())  # type: ignore[arg-type]


def surveyed(server: ConversionServer, user: str, key: Identity, plan: Plan | None, *, sudo: bool) -> ServerFacts:
    known_hosts = key.private_key.with_name(f"known_hosts-{server.port}")
    known_hosts.write_text(server.known_hosts_line())
    login = Login(
        host=server.host,
        port=server.port,
        user=user,
        known_hosts=known_hosts,
        ciphers=("aes128-gcm@openssh.com",),
        passwords=PasswordSource(None, None),
        accept_host_key=lambda *_: False,
        identity=key.private_key,
    )
    with ShellConnection(login, Cancellation()) as connection:
        return survey_server(connection.shell(Cancellation()), plan, sudo=sudo)


@pytest.mark.parametrize("sudo", [False, True])
def test_a_server_that_is_fit_for_a_conversion_passes_all_checks(
    sudo: bool, key_server: ConversionServer, user: Account, key: Identity, small_disk: Path
) -> None:
    plan = plan_for(small_disk, output_storage=str(user.home))
    facts = surveyed(key_server, user.name, key, plan, sudo=sudo)
    assert (facts.as_root, facts.by_sudo) == (sudo, sudo)
    assert facts.storage is Directory.THERE
    assert facts.space[Place.STORAGE].path == str(user.home)
    assert all(facts.programs.values())
    checks = judge_server(facts, FOUND, plan, time.time())
    assert not of_verdict(checks, Verdict.REFUSED)
    assert not of_verdict(checks, Verdict.WARNING)


def test_what_this_server_lacks_is_refused_with_the_reason(key: Identity, user: Account, small_disk: Path) -> None:
    hidden = ["/usr/bin/nbdcopy", "/usr/bin/python3", "/usr/share/OVMF/OVMF_VARS.fd"]
    with ConversionServer(authorized=[key.public_key], hide=hidden, tmp_size=64 * 1024) as server:
        (user.home / "db1-sda").touch()
        settings = {"output_storage": str(user.home), "target_firmware": "uefi"}
        plan = plan_for(small_disk, **settings)
        facts = surveyed(server, user.name, key, plan, sudo=False)
        (user.home / "db1-sda").unlink()
    checks = judge_server(facts, FOUND, plan, time.time())
    refused = {check.name for check in of_verdict(checks, Verdict.REFUSED)}
    assert refused == {"programs", "space in /tmp", "UEFI firmware"}
    assert {check.name for check in of_verdict(checks, Verdict.WARNING)} == {"reconnecting", "guest of that name"}


def test_before_anything_is_chosen_the_server_alone_is_surveyed(key_server: ConversionServer, key: Identity) -> None:
    facts = surveyed(key_server, "root", key, None, sudo=False)
    assert facts.as_root
    assert set(facts.space) == {Place.OVERLAY, Place.LOGS}
    assert not of_verdict(judge_server(facts, FOUND, None, time.time()), Verdict.REFUSED)
