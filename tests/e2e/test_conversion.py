"""Whole conversions of a real Debian by the real virt-v2v; the converted guests boot. They take minutes each.

In one of them all connections are killed while virt-v2v converts, and again while it copies.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.conftest import with_key, with_password
from tests.e2e.disturbed import Run, end, phases_logged, phases_shown
from tests.e2e.peer import Peer, log_directory_in
from tests.e2e.program import CONVERSION_SECONDS, run_p2v
from tests.e2e.source_guest import print_source
from tests.lab.accounts import Account
from tests.lab.boot import boot_until_login
from tests.lab.conversion_server import ConversionServer, Identity
from tests.lab.guest_disk import DATA_DISK_TEXT, GuestDisk, guest_disk
from tests.lab.slow_link import SlowLink

pytestmark = pytest.mark.xdist_group("emulation 1")

# Bytes a second. On loopback the copy would be over before anything could be killed in it.
LINE_RATE = 25_000_000


def checksums(disks: Sequence[Path]) -> list[str]:
    found = []
    for disk in disks:
        with disk.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return found


def test_two_disks_by_password_from_the_settings_that_the_peer_takes_too(
    account: Account, password_server: ConversionServer, tmp_path: Path
) -> None:
    disks = [guest_disk(GuestDisk.SYSTEM), guest_disk(GuestDisk.DATA)]
    before = checksums(disks)
    output = account.home / "out"
    line = (
        f"quiet {with_password(password_server, account)} p2v.name=two-disks p2v.vcpu.cores=3 p2v.memory=768M "
        f"p2v.disks={disks[0]},{disks[1]} p2v.network=other p2v.o=local p2v.os={output} p2v.of=qcow2 p2v.post="
    )
    sources = {}
    for name, run in (("peer", Peer(tmp_path).run), ("ours", run_p2v)):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        shutil.chown(output, account.name)
        outcome = run(line)
        assert outcome.code == 0, outcome.output
        sources[name], said = print_source(log_directory_in(outcome.output) / "physical.xml")
        assert "warning" not in said
    assert sources["ours"] == sources["peer"]
    assert checksums(disks) == before
    boot_until_login([output / "two-disks-sda", output / "two-disks-sdb"], [DATA_DISK_TEXT, "login:"])


def test_by_identity_with_qemu_nbd_and_the_settings_of_a_machine_while_its_connections_are_killed(
    key_server: ConversionServer, key: Identity, tmp_path: Path
) -> None:
    disk = guest_disk(GuestDisk.SYSTEM)
    before = checksums([disk])
    post = tmp_path / "post"
    with SlowLink(key_server.port, rate=LINE_RATE) as line:
        run = Run(
            f"p2v.port={line.port} {with_key(key_server, key)} p2v.remote.hostkey={key_server.fingerprint} "
            f"p2v.name=by-identity p2v.nbd=qemu-nbd p2v.os={tmp_path} p2v.target.firmware=bios p2v.debug "
            f'p2v.post="touch {post}"',
            f"--test-disk={disk}",
        )
        run.child.timeout = CONVERSION_SECONDS
        directory = run.wait_for_directory()
        for phase in ("Converting ", "Copying disk 1/1"):
            run.expect(phase)
            end(run.tunnels() + run.control())
            run.expect("is back after", "is back after")
        outcome = run.end()
    assert outcome.code == 0, outcome.output
    assert (
        outcome.output.count("Lost the data connection") == outcome.output.count("Lost the control connection") == 2
    )
    assert phases_shown(outcome.output) == phases_logged(directory)
    for words in ("Inspecting the source", "Copying disk 1/1", "Finishing off", f"{tmp_path}/by-identity-sd*"):
        assert words in outcome.output
    # Debugging is in the log for whoever needs it, and not on the console of somebody who did not ask.
    assert "libguestfs: trace:" not in outcome.output
    assert "libguestfs: trace:" in (directory / "virt-v2v-conversion-log.txt").read_text()
    assert post.exists()
    assert checksums([disk]) == before
    boot_until_login([tmp_path / "by-identity-sda"])
