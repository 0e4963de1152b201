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


def interface(root: Path, name: str, address: str, *, hardware: str = "devices/pci0000:00/0000:00:1f.6") -> None:
    entry = root / "class/net" / name
    entry.mkdir(parents=True)
    (entry / "address").write_text(f"{address}\n")
    (entry / "type").write_text("1\n")
    if hardware:
        (root / hardware).mkdir(parents=True, exist_ok=True)
        (entry / "device").symlink_to(root / hardware)


def test_it_is_read_from_the_firmware_and_the_network(tmp_path: Path) -> None:
    tables = tmp_path / "class/dmi/id"
    tables.mkdir(parents=True)
    (tables / "product_uuid").write_text(f"{UUID.upper()}\n")
    (tables / "product_serial").write_text("B5R3D3J\n")
    interface(tmp_path, "eno1", "52:54:00:00:00:0A")
    interface(tmp_path, "bond0", "52:54:00:00:00:0b", hardware="")
    interface(tmp_path, "eno2", "00:00:00:00:00:00")
    assert identify(Places(sys=tmp_path)) == identity(UUID, "b5r3d3j", "52:54:00:00:00:0a")


USB = "devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0"


def test_a_network_card_that_others_have_too_identifies_nothing_beside_one_of_its_own(tmp_path: Path) -> None:
    """A management controller's, with the same address on every board; and an adapter that goes round."""
    interface(tmp_path, "enp1s0", "3c:ec:ef:00:00:0a")
    interface(tmp_path, "usb0", "be:3a:f2:b6:05:9f", hardware=USB)
    interface(tmp_path, "enx00e04c680001", "00:e0:4c:68:00:01", hardware=USB)
    assert identify(Places(sys=tmp_path)) == identity(None, None, "3c:ec:ef:00:00:0a")


def test_an_adapter_on_usb_is_better_than_nothing(tmp_path: Path) -> None:
    interface(tmp_path, "enx00e04c680001", "00:e0:4c:68:00:01", hardware=USB)
    assert identify(Places(sys=tmp_path)) == identity(None, None, "00:e0:4c:68:00:01")


@pytest.mark.parametrize(
    ("uuid", "serial"),
    [
        ("00000000-0000-0000-0000-000000000000", "To be filled by O.E.M."),
        ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "Not Specified"),
        ("03000200-0400-0500-0006-000700080009", "System Serial Number"),
        ("00020003-0004-0005-0006-000700080009", "Default"),
        ("4C4C4544-0000-2010-8020-80C04F202020", "No Serial"),
        ("FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE", "Undefined"),
        ("11111111-1111-1111-1111-111111111111", "None"),
        ("12345678-1234-5678-90AB-CDDEEFAABBCC", "x"),
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
