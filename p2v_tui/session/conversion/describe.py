"""Describes what a conversion would do, for a dry run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from p2v_tui.session.conversion.stages import GENERATOR
from p2v_tui.session.conversion.wrapper import wrapper
from p2v_tui.session.data.nbd_server import command as nbd_command
from p2v_tui.session.data.nbd_server import find_program
from p2v_tui.session.data.tunnel import tunnel_options
from p2v_tui.session.plan.plan import Plan
from p2v_tui.session.plan.virt_v2v import VirtV2V
from p2v_tui.session.remote import commands as remote_commands
from p2v_tui.session.remote.directory import RemoteDirectory
from p2v_tui.session.ssh.control import ControlConnection
from p2v_tui.xmlgen import physical_xml

# Ports for a physical.xml that is only shown; the server chooses the real ones.
SAMPLE_PORT: Final = 10809


def describe(control: ControlConnection, plan: Plan, virt_v2v: VirtV2V) -> str:
    """The text of what `convert` would do: physical.xml and the remote commands, with sample ports.

    Raises SettingsError if the server lacks the output mode, PreflightRefused without an NBD server here.
    """
    directory = RemoteDirectory("/tmp/virt-p2v-YYYYMMDD-XXXXXXXX")
    program = find_program(plan.nbd)
    ports = range(SAMPLE_PORT, SAMPLE_PORT + len(plan.disks))
    storage = plan.output.storage if plan.output.mode.takes_directory else None
    script = wrapper(directory, plan, virt_v2v, sudo=control.sudo, storage=storage)
    relay = remote_commands.start_relay(directory, len(plan.disks), plan.settings.reconnect, many_clients=False)
    commands = (remote_commands.make_directory(directory, "{...}"), relay, remote_commands.start_wrapper(directory))
    return "\n".join(
        [
            "physical.xml (the server chooses the ports):",
            physical_xml(plan.guest_with(ports), GENERATOR),
            "Commands on this machine, one pair for each disk:",
            *(f"{shlex.join(nbd_command(program, disk.device))}" for disk in plan.disks),
            f"ssh {shlex.join(tunnel_options(Path('SOCKET'), directory.tunnel_socket(0, 1)))} ...",
            "",
            "Commands on the conversion server:",
            *commands,
            "",
            f"{directory.wrapper}:",
            script,
        ]
    )
