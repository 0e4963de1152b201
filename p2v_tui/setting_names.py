"""The settings' full names, so that the type checker finds a wrong one in an error.

config.py declares the settings; a test compares the two.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

SettingName: TypeAlias = Literal[
    "remote.server",
    "remote.port",
    "remote.hostkey",
    "auth.username",
    "auth.password",
    "auth.identity.url",
    "auth.sudo",
    "guestname",
    "vcpu.phys_topo",
    "vcpu.cores",
    "memory",
    "cpu.vendor",
    "cpu.model",
    "cpu.acpi",
    "cpu.apic",
    "cpu.pae",
    "rtc.basis",
    "rtc.offset",
    "disks",
    "removable",
    "interfaces",
    "network_map",
    "output.type",
    "output.allocation",
    "output.connection",
    "output.format",
    "output.storage",
    "output.misc",
    "output.password",
    "key",
    "root",
    "nbd",
    "target.firmware",
    "pre",
    "post",
    "fail",
    "reconnect",
    "skip_test_connection",
    "accept_warnings",
    "debug",
    "dump_config_and_exit",
    "dry_run",
    "interactive",
    "ssh_key",
    "keymap",
    "shell",
]
