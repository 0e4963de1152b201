"""What to do with the guest when it is made: for each output mode the commands that define and start it.

docs/after-the-conversion.md tells more of each mode, with the same commands (tests/unit/test_next_steps.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2v_tui.session.plan.output_modes import Output
from p2v_tui.session.remote.commands import quote


@dataclass(frozen=True)
class _Steps:
    """words: what to do, a sentence; where the commands run, where there are some.

    commands: each a tuple of words. {name}, {storage} and {connection} are filled in, {server} in `words`.
    """

    words: str
    commands: tuple[tuple[str, ...], ...] = ()


# By the mode's first name.
_STEPS: Final = {
    "local": _Steps(
        "To start the guest on {server}, where the disks are:",
        (("virsh", "define", "{storage}/{name}.xml"), ("virsh", "start", "{name}")),
    ),
    "libvirt": _Steps("To start the guest on {server}, where it is defined:", (("virsh", "start", "{name}"),)),
    "qemu": _Steps("To start the guest on {server}:", (("sh", "{storage}/{name}.sh"),)),
    "null": _Steps("Nothing was kept. To convert for good, convert again with another output mode."),
    "glance": _Steps(
        "To start the guest, where the OpenStack client is set up:",
        (
            (
                *("openstack", "server", "create", "--flavor", "FLAVOR"),
                *("--network", "NETWORK", "--image", "{name}", "{name}"),
            ),
        ),
    ),
    "openstack": _Steps(
        "To start the guest, where the OpenStack client is set up:",
        (
            ("openstack", "volume", "list", "--name", "{name}-sda"),
            (
                *("openstack", "server", "create", "--flavor", "FLAVOR"),
                *("--network", "NETWORK", "--volume", "VOLUME-ID", "{name}"),
            ),
        ),
    ),
    "kubevirt": _Steps(
        "Upload each disk and name it in {storage}/{name}.yaml. Then, where kubectl is set up:",
        (("kubectl", "apply", "-f", "{name}.yaml"), ("virtctl", "start", "{name}")),
    ),
    "rhv": _Steps('In oVirt\'s portal open Storage, the export domain, "VM Import"; choose {name} and press Import.'),
    "rhv-upload": _Steps("In oVirt's portal look at the network interfaces of {name}, then press Run."),
    "vdsm": _Steps("From here on oVirt itself handles the guest."),
    "json": _Steps("{storage}/{name}.json describes the guest for your own tools."),
}


def next_steps(output: Output, guest: str, server: str | None) -> tuple[str, ...]:
    """Lines: what to do with the guest now, and the commands for it, indented. Nothing for a mode that is not known.

    server: the conversion server's name.
    """
    steps = _STEPS.get(output.mode.names[0])
    if steps is None:
        return ()
    values = {
        "name": guest,
        "storage": (output.storage or "").rstrip("/"),
        "server": server or "the conversion server",
    }
    commands = [quote(*(word.format(**values) for word in command)) for command in steps.commands]
    return (steps.words.format(**values), *(f"  {command}" for command in commands))
