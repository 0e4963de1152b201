"""The physical network interfaces: MAC, vendor, model, driver, carrier. Nothing is brought up or configured."""

from __future__ import annotations

import re

import pyudev

from p2v_tui.hwprobe.blockdev import key_values, natural
from p2v_tui.hwprobe.machine import NetworkInterface
from p2v_tui.hwprobe.places import Places, read_text

# ARPHRD_ETHER: Ethernet and Wi-Fi. InfiniBand's addresses have 20 bytes, a modem has none.
_ETHERNET = "1"
_NO_MAC = "00:00:00:00:00:00"


def physical_interfaces(places: Places) -> tuple[NetworkInterface, ...]:
    """The network interfaces with hardware behind them, in natural order of their names."""
    found = (_interface(device, places) for device in places.udev().list_devices(subsystem="net"))
    return tuple(sorted((interface for interface in found if interface), key=lambda it: natural(it.name)))


def _interface(device: pyudev.Device, places: Places) -> NetworkInterface | None:
    sys_path = places.sys / device.device_path.lstrip("/")
    # Bridges, bonds, VLANs, veth and dummy interfaces have no device behind them.
    if not (sys_path / "device").exists() or read_text(sys_path / "type") not in {_ETHERNET, None}:
        return None
    properties = dict(device.properties)
    mac = (
        # A bond gives its members one address, and NetworkManager gives Wi-Fi a random one.
        read_text(sys_path / "bonding_slave/perm_hwaddr")
        or read_text(sys_path / "phy80211/macaddress")
        or _mac_at_first_sight(properties.get("ID_NET_NAME_MAC", ""))
        or read_text(sys_path / "address")
    )
    if not mac or mac == _NO_MAC:
        return None
    vendor, model = _hardware_names(device, properties, places)
    driver = sys_path / "device/driver"
    carrier = read_text(sys_path / "carrier")
    return NetworkInterface(
        name=device.sys_name,
        mac=mac.lower(),
        vendor=vendor,
        model=model,
        driver=driver.readlink().name if driver.is_symlink() else properties.get("ID_NET_DRIVER"),
        # Reading carrier gives EINVAL while the interface is down.
        carrier={"0": False, "1": True}.get(carrier or ""),
    )


def _mac_at_first_sight(name: str) -> str | None:
    """The address in udev's `enx525400a1b2c3`, a name that it makes early and of permanent addresses only."""
    digits = re.search(r"x([0-9a-f]{12})$", name)
    return ":".join(re.findall("..", digits[1])) if digits else None


def _hardware_names(
    device: pyudev.Device, properties: dict[str, str], places: Places
) -> tuple[str | None, str | None]:
    """Vendor and model from the hardware database: as udev noted them, else looked up by the modalias."""
    sources = [properties, *(dict(ancestor.properties) for ancestor in device.ancestors)]
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
