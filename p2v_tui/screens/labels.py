"""What the settings are called on the screens. Errors and checks name a setting as the kernel command line does; an
operator at the screens looks for the field.
"""

from __future__ import annotations

import re
from typing import Final

from p2v_tui.config import BY_KEY
from p2v_tui.setting_names import SettingName

LABELS: Final[dict[SettingName, str]] = {
    "remote.server": "Conversion server",
    "remote.port": "SSH port",
    "auth.username": "User name",
    "auth.password": "Password",
    "auth.identity.url": "SSH identity URL",
    "auth.sudo": "Use sudo when running virt-v2v",
    "guestname": "Guest name",
    "vcpu.phys_topo": "Copy the physical CPU topology",
    "vcpu.cores": "vCPUs",
    "memory": "Memory (MiB)",
    "target.firmware": "Firmware",
    "output.type": "Output to (-o)",
    "output.connection": "Connection (-oc)",
    "output.storage": "Storage (-os)",
    "output.format": "Format (-of)",
    "output.allocation": "Allocation (-oa)",
    "output.misc": "Options (-oo)",
    "output.password": "Password (-op)",
    "disks": "Fixed disks",
    "removable": "Removable media",
    "interfaces": "Network interfaces",
    "network_map": "to network",
    "debug": "Debugging output of virt-v2v (-v -x)",
}
# A quoted value is taken whole; at the end of any other one the stop belongs to the sentence.
_NAMED: Final = re.compile(r"""\b(p2v\.[a-z_]+(?:\.[a-z_]+)*)(?:=("[^"]*"|'[^']*'|[^\s;)]*[^\s;:,.)]))?""")


def on_screen(text: str) -> str:
    """The text with the labels of the fields in place of the names of their settings; others keep their names.

    An empty value is not shown: `"SSH port" is empty.`
    """
    return _NAMED.sub(_label, text)


def _label(match: re.Match[str]) -> str:
    setting = BY_KEY.get(match[1])
    label = LABELS.get(setting.name) if setting else None
    if label is None:
        return match[0]
    return f'"{label}"' if match[2] in (None, "''", '""') else f'"{label}": {match[2]}'
