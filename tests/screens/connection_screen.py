"""The application with the first screen in front, and a connection test that goes by."""

from __future__ import annotations

from textual.pilot import Pilot

from p2v_tui import cmdline
from p2v_tui.app import P2VTui
from p2v_tui.errors import P2VError
from p2v_tui.screens.connection import ConnectionScreen
from p2v_tui.screens.look import Look
from p2v_tui.screens.state import State
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.session.words.events import ConnectionStep, Event, StepDone, StepStarted
from tests.screens.judged import VIRT_V2V

FINGERPRINT = "SHA256:mJcgwqEeQ9g4GvCDZDjuqaKsPnl8D+gfpKM2S5pczao"


def app_for(words: str, *, look: Look = Look.PLAIN) -> P2VTui:
    return P2VTui(State(cmdline.parse(words).settings), look=look)


def screen_of(app: P2VTui) -> ConnectionScreen:
    assert isinstance(app.screen, ConnectionScreen)
    return app.screen


STEPS: list[Event] = [
    StepDone(ConnectionStep.NETWORK, "ready"),
    StepDone(ConnectionStep.HOST_KEY, FINGERPRINT),
    StepDone(ConnectionStep.LOGIN, "as root"),
    StepDone(ConnectionStep.VERSION, "2.2.0"),
    StepDone(
        ConnectionStep.FEATURES,
        "output modes glance, kubevirt, libvirt, local, null, openstack, qemu, rhv, rhv-upload, vdsm",
    ),
    StepDone(ConnectionStep.FORWARDING, "a disk can be read through it"),
    StepStarted(ConnectionStep.PREFLIGHT, "Looking at the server's programs, space and memory"),
]


async def hear(app: P2VTui, pilot: Pilot[int], *reported: Event) -> None:
    for event in reported:
        screen_of(app).show_event(event)
    await pilot.pause()


def end(app: P2VTui, error: P2VError | None = None) -> None:
    if error is not None:
        screen_of(app).show_failure(error)
        return
    server = ControlConnection(app.state.settings, cpu_has_aes=True)
    screen_of(app).show_success(server, VIRT_V2V)
