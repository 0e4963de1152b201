"""The machine is known again after a restart, and another one is not taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2v_tui.hwprobe.places import Places
from p2v_tui.hwprobe.this_machine import MachineIdentity, identify

UUID = "4c4c4544-0042-3510-8052-b4c04f564433"


def identity(uuid: str | None = UUID, serial: str | None = "b5r3d3j", *macs: str) -> MachineIdentity:
    return MachineIdentity(uuid, serial, frozenset(macs))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (identity(), identity(), True),
        (identity(), identity(UUID, None), True),
        # A card was added.
        (identity(UUID, None, "52:54:00:00:00:01"), identity(UUID, None, "52:54:00:00:00:01", "x"), True),
        # A clone of a virtual machine; a board whose maker gives all the same number.
        (identity(UUID, None, "52:54:00:00:00:01"), identity(UUID, None, "52:54:00:00:00:02"), False),
        (identity(UUID, "a"), identity(UUID, "b"), False),
        (identity(None, None, "52:54:00:00:00:01"), identity(None, None, "52:54:00:00:00:01"), True),
        (identity(None, None), identity(None, None), False),
        (identity(UUID, None), identity(None, "b5r3d3j"), False),
    ],
)
def test_all_that_is_known_has_to_agree(one: MachineIdentity, other: MachineIdentity, *, same: bool) -> None:
    assert one.same_machine(other) is same
    assert other.same_machine(one) is same


def interface(root: Path, name: str, address: str, *, hardware: bool = True) -> None:
    entry = root / "class/net" / name
    entry.mkdir(parents=True)
    (entry / "address").write_text(f"{address}\n")
    (entry / "type").write_text("1\n")
    if hardware:
        (entry / "device").mkdir()


def test_it_is_read_from_the_firmware_and_the_network(tmp_path: Path) -> None:
    tables = tmp_path / "class/dmi/id"
    tables.mkdir(parents=True)
    (tables / "product_uuid").write_text(f"{UUID.upper()}\n")
    (tables / "product_serial").write_text("B5R3D3J\n")
    interface(tmp_path, "eno1", "52:54:00:00:00:0A")
    interface(tmp_path, "bond0", "52:54:00:00:00:0b", hardware=False)
    interface(tmp_path, "eno2", "00:00:00:00:00:00")
    assert identify(Places(sys=tmp_path)) == identity(UUID, "b5r3d3j", "52:54:00:00:00:0a")


@pytest.mark.parametrize(
    ("uuid", "serial"),
    [
        ("00000000-0000-0000-0000-000000000000", "To be filled by O.E.M."),
        ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "Not Specified"),
        ("03000200-0400-0500-0006-000700080009", "System Serial Number"),
        ("", "0123456789"),
        ("", "........"),
        ("", "Default string"),
        ("", ""),
    ],
)
def test_what_says_nothing_identifies_nothing(tmp_path: Path, uuid: str, serial: str) -> None:
    tables = tmp_path / "class/dmi/id"
    tables.mkdir(parents=True)
    (tables / "product_uuid").write_text(f"{uuid}\n")
    (tables / "product_serial").write_text(f"{serial}\n")
    assert identify(Places(sys=tmp_path)) == identity(None, None)


def test_a_machine_that_says_nothing_is_no_machine_that_is_known(tmp_path: Path) -> None:
    assert identify(Places(sys=tmp_path)) == identity(None, None)
