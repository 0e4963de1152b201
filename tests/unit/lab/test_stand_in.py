"""The stand-in for virt-v2v answers and prints what virt-v2v does, reads the disks that it is given, and fails so."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from p2v_tui.hwprobe.machine import Disk, Topology
from p2v_tui.session.conversion.log import ConversionLog, CopyPercent, LogEvent
from p2v_tui.session.plan.virt_v2v import parse_features
from p2v_tui.session.words.events import OutputKind, PhaseStarted, RemoteOutput
from p2v_tui.xmlgen import physical_xml
from p2v_tui.xmlgen.guest import Guest, GuestDisk
from tests.lab.commands import LabFailure, program
from tests.lab.conversion_server import ConversionServer, identity
from tests.lab.stand_in import VIRT_V2V, Behaviour, Pause, StandIn
from tests.lab.stand_in_virt_v2v import CONVERSION_PHASES
from tests.unit.lab.test_conversion_server import ssh

pytestmark = pytest.mark.integration

PHASES = [
    "Opening the source",
    *CONVERSION_PHASES,
    "Setting up the destination: -o local",
    "Copying disk 1/1",
    "Creating output metadata",
    "Finishing off",
]


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as made:
        yield made


@contextlib.contextmanager
def served(image: Path) -> Iterator[int]:
    """The image, read-only on a port of loopback that the kernel chose."""
    ready = image.with_suffix(".pid")
    command = ["nbdkit", "--foreground", "--exit-with-parent", "--readonly", "--ipaddr=127.0.0.1", "--port=0"]
    nbdkit = subprocess.Popen([*command, f"--pidfile={ready}", "file", f"file={image}"], stdin=subprocess.DEVNULL)
    try:
        while not ready.exists():
            assert nbdkit.poll() is None
        (listening,) = (each for each in psutil.Process(nbdkit.pid).net_connections() if each.status == "LISTEN")
        yield listening.laddr.port
    finally:
        # TERM would let it wait for its last client.
        nbdkit.kill()
        nbdkit.wait()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(os.urandom(3 << 20))
    return path


def describe(directory: Path, *ports: int) -> Path:
    """A physical.xml as p2v-tui writes it."""
    disks = tuple(GuestDisk(Disk(f"disk{port}", Path("/dev/null"), 1 << 20), port) for port in ports)
    guest = Guest("guest", 1 << 30, Topology(1, 1, 1), disks)
    path = directory / "physical.xml"
    path.write_text(physical_xml(guest, "the tests"))
    return path


def conversion(stand_in: StandIn, description: Path, *options: str) -> list[str]:
    return [str(stand_in.program), *options, "-i", "libvirtxml", "-o", "local", str(description)]


def convert(
    stand_in: StandIn, description: Path, *options: str, storage: Path | None = None
) -> tuple[int, list[LogEvent], ConversionLog]:
    """The exit code, and the log as p2v-tui reads it."""
    if storage:
        options = (*options, "-os", str(storage))
    done = subprocess.run(
        conversion(stand_in, description, *options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    log = ConversionLog(debug=False)
    return done.returncode, log.feed(done.stdout, final=True), log


def phases(events: Sequence[LogEvent]) -> list[str]:
    return [event.name for event in events if isinstance(event, PhaseStarted)]


def test_it_prints_the_real_version_and_capabilities(stand_in: StandIn) -> None:
    for question in ("--version", "--machine-readable"):
        answers = [
            subprocess.run([asked, question], capture_output=True, timeout=60, check=False)
            for asked in (stand_in.program, program("virt-v2v"))
        ]
        assert answers[0].stdout == answers[1].stdout
        assert answers[0].returncode == answers[1].returncode == 0
    assert "local" in parse_features("2.2.0", answers[0].stdout.decode()).output_modes
    assert not stand_in.events()


@pytest.mark.parametrize("colours", [[], ["--colours"]])
def test_a_conversion_prints_virt_v2vs_phases_with_their_seconds(
    stand_in: StandIn, image: Path, tmp_path: Path, colours: list[str]
) -> None:
    with served(image) as port:
        code, events, log = convert(stand_in, describe(tmp_path, port), *colours)
    assert code == 0
    assert log.reason.text == ""
    assert phases(events) == [f"Setting up the source: -i libvirtxml {tmp_path / 'physical.xml'}", *PHASES]
    seconds = [event.seconds for event in events if isinstance(event, PhaseStarted)]
    assert seconds == sorted(seconds)
    assert events[-1] == PhaseStarted("Finishing off", seconds[-1])
    assert CopyPercent(0, 100) in events
    # A green text after a time stamp that has no colour, as virt-v2v 2.2 prints it.
    coloured = [event.text for event in events if isinstance(event, RemoteOutput) and "\x1b[0;32mOpen" in event.text]
    assert len(coloured) == len(colours)
    assert [event.name for event in stand_in.events()] == ["start", *phases(events), "end"]


def test_it_writes_the_copies_where_virt_v2v_would_when_it_is_told_to(
    stand_in: StandIn, image: Path, tmp_path: Path
) -> None:
    stand_in.behave(Behaviour(writes=True))
    second = tmp_path / "second.img"
    second.write_bytes(os.urandom(1 << 20) + bytes(1 << 20))
    with served(image) as one, served(second) as two:
        code, events, _ = convert(stand_in, describe(tmp_path, one, two), storage=tmp_path)
    assert code == 0
    assert [name for name in phases(events) if "Copying" in name] == ["Copying disk 1/2", "Copying disk 2/2"]
    assert (tmp_path / "guest-sda").read_bytes() == image.read_bytes()
    assert (tmp_path / "guest-sdb").read_bytes() == second.read_bytes()


def test_without_it_nothing_is_written(stand_in: StandIn, image: Path, tmp_path: Path) -> None:
    with served(image) as port:
        assert convert(stand_in, describe(tmp_path, port), storage=tmp_path)[0] == 0
    assert not list(tmp_path.glob("guest*"))


def test_it_waits_in_a_phase_until_the_file_is_there(stand_in: StandIn, image: Path, tmp_path: Path) -> None:
    go = stand_in.directory / "go"
    stand_in.behave(Behaviour(pauses=(Pause("Inspecting", until=go),)))
    with served(image) as port:
        command = conversion(stand_in, describe(tmp_path, port))
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            here = stand_in.wait_for("Inspecting")
            assert here.pid == process.pid
            assert process.poll() is None
            assert stand_in.events()[-1] == here
            go.touch()
            assert process.wait(60) == 0
            assert b"Finishing off" in process.communicate()[0]


def test_a_pause_that_is_removed_from_the_settings_ends(stand_in: StandIn, image: Path, tmp_path: Path) -> None:
    waiting = Behaviour(pauses=(Pause("Opening", until=stand_in.directory / "never"),))
    stand_in.behave(waiting)
    with served(image) as port:
        command = conversion(stand_in, describe(tmp_path, port))
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            stand_in.wait_for("Opening")
            stand_in.behave(dataclasses.replace(waiting, pauses=()))
            assert process.wait(60) == 0


def test_a_rate_slows_the_copy_down(stand_in: StandIn, image: Path, tmp_path: Path) -> None:
    stand_in.behave(Behaviour(rate=6 << 20))
    with served(image) as port:
        assert convert(stand_in, describe(tmp_path, port))[0] == 0
    at = {event.name: event.at for event in stand_in.events()}
    # 3 MiB of which a quarter of a second's worth may pass at once.
    assert at["Creating output metadata"] - at["Copying disk 1/1"] >= 0.2


def test_a_disk_that_nobody_serves_is_an_error_in_virt_v2vs_words(stand_in: StandIn, tmp_path: Path) -> None:
    code, events, log = convert(stand_in, describe(tmp_path, 1), "--colours")
    assert code == 1
    assert "guestfs_launch failed" in log.reason.text or "nbdkit did not start up" in log.reason.error
    assert "Copying disk 1/1" not in phases(events)
    errors = [event.text for event in events if isinstance(event, RemoteOutput) and event.kind is OutputKind.ERROR]
    assert any("Connection refused" in text for text in errors)


def test_a_disk_that_goes_away_during_the_copy_fails_it(stand_in: StandIn, image: Path, tmp_path: Path) -> None:
    go = stand_in.directory / "go"
    stand_in.behave(Behaviour(pauses=(Pause("Copying", until=go),)))
    with contextlib.ExitStack() as serving:
        port = serving.enter_context(served(image))
        command = conversion(stand_in, describe(tmp_path, port))
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        stand_in.wait_for("Copying")
        serving.close()
        go.touch()
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    log = ConversionLog(debug=False)
    log.feed(output, final=True)
    assert log.reason.error == "nbdcopy command failed, see earlier error messages"


def test_a_signal_ends_it_and_all_that_it_has_started(stand_in: StandIn, image: Path, tmp_path: Path) -> None:
    stand_in.behave(Behaviour(pauses=(Pause("Inspecting", seconds=600),)))
    with served(image) as port:
        command = conversion(stand_in, describe(tmp_path, port))
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        stand_in.wait_for("Inspecting")
        children = psutil.Process(process.pid).children(recursive=True)
        assert [child.name() for child in children] == ["nbdkit"]
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert b"Exiting on signal SIGTERM" in output
        assert not any(child.is_running() for child in children)


def test_an_event_that_does_not_come_is_reported_with_those_that_came(stand_in: StandIn) -> None:
    with pytest.raises(LabFailure, match="did not come to 'Copying'; it did: nothing"):
        stand_in.wait_for("Copying", seconds=0.1)


@pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root")
def test_a_conversion_server_has_it_in_virt_v2vs_place_and_this_machine_does_not(
    stand_in: StandIn, tmp_path: Path
) -> None:
    key = identity(tmp_path)
    before = Path(VIRT_V2V).read_bytes()
    with ConversionServer(authorized=[key.public_key], replace={VIRT_V2V: stand_in.program}) as server:
        assert ssh(server, key, f"cat {VIRT_V2V}").startswith("#!/bin/sh")
        assert ssh(server, key, "virt-v2v --version").startswith("virt-v2v ")
        server.stop()
        server.start()
        assert ssh(server, key, f"cat {VIRT_V2V}").startswith("#!/bin/sh")
    assert Path(VIRT_V2V).read_bytes() == before
    assert not stand_in.events()
