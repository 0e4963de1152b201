"""Who made a disk and how it is attached: model, serial number, WWN, transport.

From udev's database, or from sysfs without udevd. Nothing is sent to the disk.
"""

from __future__ import annotations

from pathlib import Path

from p2v_tui.hwprobe.blockdev import BlockDevice, unescaped
from p2v_tui.hwprobe.machine import Transport
from p2v_tui.hwprobe.places import entries, matching, read_bytes, read_text

# Subsystems of the nearest ancestor that decide alone.
_BY_SUBSYSTEM = {
    "nvme": Transport.NVME,
    "nvme-subsystem": Transport.NVME,
    "virtio": Transport.VIRTIO,
    "mmc": Transport.MMC,
    "ide": Transport.PATA,
    "cciss": Transport.CCISS,
    "xen": Transport.XEN,
}


def model_of(device: BlockDevice) -> str | None:
    """The drive's model, after the vendor's name unless that is a part of it."""
    properties = device.properties
    encoded = properties.get("ID_MODEL_ENC")
    model = (
        (unescaped(encoded) if encoded else None)
        or device.attribute("device/model")
        or (device.attribute("device/name") if "mmc" in device.hangs_on else None)
        or properties.get("ID_MODEL", "").replace("_", " ")
    )
    if not model:
        return None
    vendor = unescaped(properties.get("ID_VENDOR_ENC", "")) or device.attribute("device/vendor") or ""
    # libata sets "ATA" as SCSI's vendor, and PCI or virtio numbers are not names.
    if vendor in {"", "ATA"} or vendor.startswith("0x") or model.lower().startswith(vendor.lower()):
        return model
    return f"{vendor} {model}"


def serial_of(device: BlockDevice) -> str | None:
    """The serial number on the drive's label. ID_SERIAL_SHORT comes late: for a SAS disk it is the WWN."""
    properties = device.properties
    return (
        properties.get("ID_SCSI_SERIAL")
        or properties.get("SCSI_IDENT_SERIAL")
        or properties.get("ID_SERIAL_SHORT")
        or device.attribute("serial")
        or device.attribute("device/serial")
        or _unit_serial_page(device.sys_path / "device/vpd_pg80")
    )


def wwn_of(device: BlockDevice) -> str | None:
    """The World Wide Name, as `0x5000c500a1b2c3d4` for SCSI and ATA and `eui.` or `uuid.` for NVMe."""
    properties = device.properties
    known = properties.get("ID_WWN_WITH_EXTENSION") or properties.get("ID_WWN")
    wwid = device.attribute("wwid") or device.attribute("device/wwid") or ""
    if known or not wwid:
        return known
    if wwid.startswith("naa."):
        return "0x" + wwid.removeprefix("naa.")
    # "t10.ATA ..." and "nvme.1234-..." only repeat model and serial number.
    return wwid if wwid.startswith(("eui.", "uuid.")) else None


def links_of(*devices: BlockDevice) -> tuple[str, ...]:
    """The links that udev makes to these devices, each once, as paths: of a disk and of its paths."""
    links = [link for device in devices for link in device.properties.get("DEVLINKS", "").split()]
    return tuple(dict.fromkeys(links))


def transport_of(device: BlockDevice) -> Transport | None:
    """How the disk is attached; None if neither sysfs nor udev says."""
    subsystems = device.hangs_on
    nearest = next((ancestor.subsystem for ancestor in device.ancestors if ancestor.subsystem), None)
    if nearest in _BY_SUBSYSTEM:
        return _BY_SUBSYSTEM[nearest]
    if "usb" in subsystems:
        return Transport.USB
    if "firewire" in subsystems:
        return Transport.FIREWIRE
    return _scsi_transport(device) if "scsi" in subsystems else None


def _scsi_transport(device: BlockDevice) -> Transport:
    above = {entry.name for ancestor in device.ancestors for entry in entries(ancestor.sys_path)}
    if "iscsi_session" in above:
        return Transport.ISCSI
    if "fc_host" in above:
        return Transport.FIBRE_CHANNEL
    if {"sas_host", "sas_device", "sas_end_device"} & above:
        return Transport.SAS
    if device.properties.get("ID_BUS") == "ata" or device.attribute("device/vendor") == "ATA":
        return _ata_transport(device)
    return Transport.SCSI


def _ata_transport(device: BlockDevice) -> Transport:
    """SATA or PATA. libata's link has a SATA speed or `<unknown>`; without a link, ata_id sets ID_ATA_SATA.

    ata_id reads that from the drive's words 76 and 93, which drives of QEMU and some early ones leave empty.
    """
    speeds = [
        read_text(speed)
        for ancestor in device.ancestors
        for speed in matching(ancestor.sys_path.parent, "link*/ata_link/link*/sata_spd")
    ]
    if any(speed != "<unknown>" for speed in speeds):
        return Transport.SATA
    if device.properties.get("ID_ATA_SATA") == "1":
        return Transport.SATA
    known = "ID_ATA" in device.properties or device.properties.get("ID_BUS") == "ata" or bool(speeds)
    return Transport.PATA if known else Transport.SATA


def _unit_serial_page(page: Path) -> str | None:
    """The serial number in a SCSI disk's vital product data page 0x80: four bytes of header, then text."""
    raw = read_bytes(page)
    if not raw or len(raw) < 5:
        return None
    return raw[4 : 4 + int.from_bytes(raw[2:4], "big")].decode("ascii", errors="replace").strip("\0 ") or None
