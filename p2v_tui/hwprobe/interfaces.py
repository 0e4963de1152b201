"""The physical network interfaces: MAC, vendor, model, driver, carrier. Nothing is brought up or configured."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyudev

from p2v_tui.hwprobe.blockdev import DEVICE_FAULTS, key_values, natural, not_looked_at, properties_of
from p2v_tui.hwprobe.machine import NetworkInterface
from p2v_tui.hwprobe.places import Places, link_target, read_text

# ARPHRD_ETHER: Ethernet and Wi-Fi. InfiniBand's addresses have 20 bytes, a modem has none.
_ETHERNET = "1"
_NO_MAC = "00:00:00:00:00:00"


@dataclass(frozen=True)
class FoundInterfaces:
    """interfaces: in natural order of their names. notes: about those that could not be read, a sentence each."""

    interfaces: tuple[NetworkInterface, ...]
    notes: tuple[str, ...] = ()


def physical_interfaces(places: Places) -> FoundInterfaces:
    """The network interfaces with hardware behind them."""
    found: list[NetworkInterface] = []
    notes: list[str] = []
    for device in places.udev().list_devices(subsystem="net"):
        try:
            interface = _interface(device, places)
            found += [interface] if interface else []
        except DEVICE_FAULTS as error:
            # This happens while a card is removed or renamed.
            notes.append(f"The network interface {device.sys_name} is left out: {not_looked_at(error)}.")
    return FoundInterfaces(tuple(sorted(found, key=lambda it: natural(it.name))), tuple(notes))


def _interface(device: pyudev.Device, places: Places) -> NetworkInterface | None:
    """The interface; None without hardware behind it. Raises one of DEVICE_FAULTS."""
    sys_path = places.sys / device.device_path.lstrip("/")
    # Bridges, bonds, VLANs, veth and dummy interfaces have no device behind them.
    if not (sys_path / "device").exists() or read_text(sys_path / "type") not in {_ETHERNET, None}:
        return None
    properties = properties_of(device, places)
    mac = (
        # A bond gives its members one address, and NetworkManager gives Wi-Fi a random one.
        read_text(sys_path / "bonding_slave/perm_hwaddr")
        or read_text(sys_path / "phy80211/macaddress")
        or _mac_at_first_sight(properties.get("ID_NET_NAME_MAC", ""))
        or (sys_path / "address").read_text().strip()
    )
    if not mac or mac == _NO_MAC:
        return None
    vendor, model = _hardware_names(device, properties, places)
    driver = link_target(sys_path / "device/driver")
    carrier = read_text(sys_path / "carrier")
    return NetworkInterface(
        name=device.sys_name,
        mac=mac.lower(),
        vendor=vendor,
        model=model,
        driver=driver.name if driver else properties.get("ID_NET_DRIVER"),
        # Reading carrier gives EINVAL while the interface is down.
        carrier={"0": False, "1": True}.get(carrier or ""),
    )


def _mac_at_first_sight(name: str) -> str | None:
    """The address in udev's `enx525400a1b2c3`, a name that it makes early and only from permanent addresses."""
    digits = re.search(r"x([0-9a-f]{12})$", name)
    return ":".join(re.findall("..", digits[1])) if digits else None


def _hardware_names(
    device: pyudev.Device, properties: dict[str, str], places: Places
) -> tuple[str | None, str | None]:
    """Vendor and model from the hardware database: as udev noted them, else looked up by the modalias."""
    sources = [properties, *(properties_of(ancestor, places) for ancestor in device.ancestors)]
    noted = next((source for source in sources if "ID_VENDOR_FROM_DATABASE" in source), None)
    if noted is None:
        noted = _looked_up(device, places)
    return noted.get("ID_VENDOR_FROM_DATABASE"), noted.get("ID_MODEL_FROM_DATABASE")


def _looked_up(device: pyudev.Device, places: Places) -> dict[str, str]:
    """The hardware database's entry of the nearest PCI or USB device. pyudev has no binding for the database."""
    for ancestor in device.ancestors:
        modalias = read_text(places.sys / ancestor.device_path.lstrip("/") / "modalias") or ""
        if modalias.startswith(("pci:", "usb:")):
            return key_values((places.run(["systemd-hwdb", "query", modalias]) or "").splitlines())
    return {}
