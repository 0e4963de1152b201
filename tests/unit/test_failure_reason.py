"""The reason of a failure is the log's: in virt-v2v's words, with what it points at, and never what came after."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from p2v_tui.session.conversion.failure_reason import Reason
from p2v_tui.session.conversion.log import ConversionLog

LOGS = Path(__file__).with_name("logs")


def reason(log: str, *, debug: bool = False) -> Reason:
    read = ConversionLog(debug=debug)
    read.feed(log.encode(), final=True)
    return read.reason


@pytest.mark.parametrize("log", sorted(LOGS.glob("*.reason")), ids=lambda path: path.stem)
def test_a_log_tells_its_reason(log: Path) -> None:
    """Beside each log is the right answer: recorded ones, and others in the words of virt-v2v's sources."""
    assert reason(log.with_suffix(".log").read_bytes().decode()).text == log.read_text().rstrip("\n")


def test_every_log_of_a_failure_has_its_reason_beside_it() -> None:
    logs = {log.stem for log in LOGS.glob("*.log") if not log.stem.startswith("exit0")}
    assert logs == {log.stem for log in LOGS.glob("*.reason")}


PHASE = "[   1.0] Copying disk 1/1\n"
REPORT = (
    "\nIf reporting bugs, run virt-v2v with debugging enabled and include the complete output:\n\n  virt-v2v -v -x\n"
)


def test_what_comes_after_the_error_never_replaces_it() -> None:
    log = f"{PHASE}virt-v2v: error: the guest is too big\n{REPORT}"
    after = (
        "nbdkit: nbd.1: error: Broken pipe\nqemu-img: error: x\nvirt-v2v: error: cleanup failed\nTraceback\nFoo: y\n"
    )
    assert reason(log + after).text == "the guest is too big"
    assert reason(f"virt-v2v: error: one\n{after}").text == "one"


def test_in_debugging_output_the_appliance_is_not_the_reason() -> None:
    log = (
        "[   1.0] Setting up the destination: -o openstack\nlibguestfs: trace: v2v: mount_ro\n"
        "libguestfs: error: mount_ro: wrong fs type\n[    1.234567] sda: error -5\nguestfsd: error: x\n"
        "nbdkit: debug: error: nothing\nnbdkit: nbd[1]: debug: error: y\nrunning openstack: token issue\n"
        "Missing value auth-url required for auth plugin password\n"
        "virt-v2v: error: openstack: precheck failed, see earlier error messages\nrm -rf -- '/tmp/v2v.x'\n"
        "libguestfs: closing guestfs handle\n"
    )
    found = reason(log, debug=True)
    assert found.error == "openstack: precheck failed, see earlier error messages"
    assert found.lines[-1] == "Missing value auth-url required for auth plugin password"
    assert not [line for line in found.lines if line.startswith(("guestfsd", "nbdkit: debug", "["))]


def test_an_error_of_an_earlier_phase_is_no_cause() -> None:
    log = (
        "[   1.0] Opening the source\nnbdkit: nbd.1: error: read: Interrupted\n[   9.0] Copying disk 1/1\n"
        "nbdkit: file.1: error: pwrite: Permission denied\nvirt-v2v: error: nbdcopy command failed, see earlier\n"
    )
    assert reason(log).lines == ("nbdkit: file.1: error: pwrite: Permission denied",)


def test_where_there_are_only_consequences_they_are_named() -> None:
    log = f"{PHASE}nbdkit: nbd.1: error: write reply: Broken pipe\nvirt-v2v: error: nbdcopy command failed\n"
    assert reason(log).lines == ("nbdkit: nbd.1: error: write reply: Broken pipe",)


@pytest.mark.parametrize(
    "line", ["virt-v2v: warning: it is late\n", "nbdkit: file.1: error: pwrite: full\n", "noise\n"]
)
def test_a_log_of_any_length_keeps_memory_flat(line: str) -> None:
    read = ConversionLog(debug=False)
    piece = line.encode() * 5000
    read.feed(piece)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50):
        read.feed(piece)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024
    assert len(read.warnings.first) <= 100
