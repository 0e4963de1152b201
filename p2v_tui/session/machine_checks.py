"""Judges what is known of the disks to convert: is one failing, is there something that virt-v2v cannot convert."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from p2v_tui.hwprobe.health import Health
from p2v_tui.hwprobe.machine import Disk
from p2v_tui.session.checks import Check


def judge_machine(disks: Sequence[Disk], health: Health, keys: Collection[str] = ()) -> tuple[Check, ...]:
    """The checks of the disks to convert, in the guest's order. health: of these disks.

    keys: the encrypted volumes that there is a key for: UUIDs, names of partitions (`sda3`, `/dev/sda3`), or what
    virt-v2v calls them.
    """
    return ()
