"""Success is proved, not believed: what virt-v2v calls one is compared with the plan."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from p2v_tui.errors import ConversionFailed
from p2v_tui.front.event_text import loss_lines
from p2v_tui.session.conversion.failure_reason import Reason
from p2v_tui.session.conversion.log import ConversionLog
from p2v_tui.session.conversion.outcome import Evidence, check_success, failed, losses
from p2v_tui.session.conversion.output_proof import Found
from p2v_tui.session.data.relay.states import DiskState
from p2v_tui.session.data.relay_status import DiskRelay
from p2v_tui.session.words.events import Converted

LOGS = Path(__file__).with_name("logs")
LOG_PLACE = "The whole log is /tmp/x/log."
COMPLETE = (
    "[   0.0] Setting up the source: -i libvirtxml x\n"
    "[   9.0] Copying disk 1/2\n[  10.0] Copying disk 2/2\n"
    "[  11.0] Creating output metadata\n[  12.0] Finishing off\n"
)
# As virt-v2v 1.44 says it.
OLD = (
    "[   0.0] Opening the source -i libvirtxml x\n[   3.0] Initializing the target -o local -os /var/tmp\n"
    "[   9.0] Copying disk 1/2 to /var/tmp/g-sda (raw)\n    (42.10/100%)\n"
    "[  10.0] Copying disk 2/2 to /var/tmp/g-sdb (raw)\n[  11.0] Creating output metadata\n[  12.0] Finishing off\n"
)
READ = (DiskRelay(1, DiskState.DONE, distinct=65536), DiskRelay(2, DiskState.DONE, distinct=65536))


def evidence(log: str, *, relays: tuple[DiskRelay, ...] = READ, found: Found | None = None) -> Evidence:
    read = ConversionLog(debug=False)
    read.feed(log.encode(), final=True)
    return Evidence(("sda", "sdb"), read.copies, read.warnings, relays, found, read.causes)


def refused(found: Evidence) -> ConversionFailed:
    with pytest.raises(ConversionFailed) as raised:
        check_success(found, LOG_PLACE)
    return raised.value


@pytest.mark.parametrize("log", [COMPLETE, OLD, COMPLETE.replace("[", "\x1b[0;32m[").replace("\n", "\x1b[0m\r\n")])
@pytest.mark.parametrize("relays", [READ, ()])
@pytest.mark.parametrize("found", [None, Found(("/srv/g-sda",))])
def test_a_complete_conversion_is_a_success(log: str, relays: tuple[DiskRelay, ...], found: Found | None) -> None:
    check_success(evidence(log, relays=relays, found=found), LOG_PLACE)


def test_a_list_of_options_is_no_conversion() -> None:
    error = refused(evidence((LOGS / "exit0-nothing-copied.log").read_text(), relays=()))
    assert "it copied no disk" in error.message
    assert "What is proved: nothing" in error.advice
    assert LOG_PLACE in error.advice


def test_one_disk_of_two_is_no_success_and_virt_v2vs_warning_is_told() -> None:
    error = refused(evidence((LOGS / "exit0-one-disk-of-two.log").read_text(), relays=READ[:1]))
    assert "it copied 1 of 2 disks" in error.message
    assert "disk (/dev/sdb) is not supported and was ignored" in error.message
    assert "the copy of 1 of 2 disks began, sda was read" in error.advice


def test_a_disk_whose_copy_never_began_is_named() -> None:
    error = refused(evidence(COMPLETE.replace("[   9.0] Copying disk 1/2\n", "")))
    assert "it did not copy sda" in error.message


def test_a_log_that_ends_before_the_last_phase_is_no_success() -> None:
    assert "Finishing off" in refused(evidence(COMPLETE.rpartition("[")[0])).message


def test_a_disk_that_virt_v2v_never_read_was_not_converted() -> None:
    relays = (READ[0], dataclasses.replace(READ[1], distinct=0))
    assert "it never read sdb" in refused(evidence(COMPLETE, relays=relays)).message


@pytest.mark.parametrize("state", [DiskState.READY, DiskState.RELAYING])
def test_a_status_that_is_not_the_last_one_disproves_nothing(state: DiskState) -> None:
    check_success(evidence(COMPLETE, relays=(READ[0], DiskRelay(2, state))), LOG_PLACE)


def test_what_is_missing_at_the_output_is_named_and_so_is_what_is_there() -> None:
    error = refused(
        evidence(COMPLETE, found=Found(("/srv/g-sda",), ("/srv/g-sdb is empty", "/srv/g.xml is missing")))
    )
    assert "/srv/g-sdb is empty; /srv/g.xml is missing" in error.message
    assert "/srv/g-sda is there" in error.advice


def test_a_log_in_another_language_proves_and_disproves_nothing() -> None:
    log = "[   0.0] Die Quelle wird eingerichtet: -i libvirtxml x\n[   9.0] Kopieren von Festplatte 1/2\n"
    check_success(evidence(log), LOG_PLACE)
    assert "is missing" in refused(evidence(log, found=Found((), ("/srv/g-sda is missing",)))).message


def test_a_guest_that_libvirt_does_not_have_is_not_a_success() -> None:
    warning = (
        "\x1b[1;34mvirt-v2v: warning: could not define libvirt domain: unsupported configuration.\n"
        "The libvirt XML is still available in \u2018/tmp/v2vlibvirt1.xml\u2019.  Try running \n"
        "\u2018virsh -c qemu:///system define /tmp/v2vlibvirt1.xml\u2019 yourself instead.\x1b[0m\n"
    )
    error = refused(evidence(COMPLETE.replace("[  12.0]", f"{warning}[  12.0]")))
    assert "libvirt has no such guest" in error.message
    assert "/tmp/v2vlibvirt1.xml" in error.message


def test_why_libvirt_does_not_have_the_guest_is_quoted_from_virsh() -> None:
    said = (
        "error: Failed to define domain from /tmp/v2vlibvirt1.xml\n"
        "error: unsupported configuration: machine type 'pc-q35-6.2' does not exist\n"
        "virt-v2v: warning: could not define libvirt domain.  The libvirt XML is still \n"
        "available in \u2018/tmp/v2vlibvirt1.xml\u2019.  Try running \u2018virsh define \n"
        "/tmp/v2vlibvirt1.xml\u2019 yourself instead.\n"
    )
    error = refused(evidence(COMPLETE.replace("[  12.0]", f"{said}[  12.0]")))
    assert "machine type 'pc-q35-6.2' does not exist" in error.message
    assert "/tmp/v2vlibvirt1.xml\u2019 yourself instead." in error.message


@pytest.mark.parametrize("after", ["virt-v2v: error: no room", "nbdkit: error: no room", "[   9.0] Copying disk 1/2"])
def test_what_follows_a_wrapped_warning_is_no_part_of_it(after: str) -> None:
    found = evidence(f"virt-v2v: warning: there are no drivers for this version of \n{after}\n")
    assert found.warnings.first == ("there are no drivers for this version of",)


@pytest.mark.parametrize(
    ("warning", "loss"),
    [
        ("<target dev='x'> was ignored because the device name could not be recognized", True),
        ("this guest has direct network interfaces which will be ignored", True),
        ("this guest has passthrough host devices which will be ignored", True),
        ("<disk type='network'> with <source protocol='nbd'> was ignored", True),
        ("fstrim on guest filesystem /dev/sda1 failed.  Usually you can ignore this message.", False),
        ("could not remove grub2 serial console (ignored)", False),
        ("could not determine a way to update the configuration of Grub2", False),
        ("the target hypervisor does not support a x86_64 KVM guest", True),
    ],
)
def test_a_warning_that_means_a_loss_is_told_apart(warning: str, loss: bool) -> None:
    found = evidence(f"virt-v2v: warning: {warning}\n")
    assert losses(found.warnings) == ((warning,) if loss else ())
    lines = loss_lines(Converted("g", "x", "/tmp/x", 1.0, losses(found.warnings), found.warnings.count))
    assert len(lines) == 1
    assert (warning in lines[0]) is loss


def test_a_success_without_a_warning_says_nothing_of_losses() -> None:
    assert loss_lines(Converted("g", "x", "/tmp/x", 1.0)) == ()


def test_the_exit_code_is_told_where_the_words_are_not_virt_v2vs() -> None:
    assert failed(126, Reason("", ("Permission denied",)), LOG_PLACE, "/tmp").message == (
        "virt-v2v failed (exit code 126): Permission denied."
    )
    assert failed(1, Reason("it went wrong"), LOG_PLACE, "/tmp").message == "virt-v2v failed: it went wrong."
    assert "df /tmp" in failed(1, Reason(), LOG_PLACE, "/tmp").advice
